// The tabs: edit, queue and camera.

import { byId } from "./page.js";

const NAMES = ["edit", "queue", "camera"];

export class Tabs {
  // `onChoose(name)` follows which tab is shown.
  constructor({ onChoose }) {
    this.onChoose = onChoose;
    for (const [index, name] of NAMES.entries()) {
      byId(`tab-${name}`).addEventListener("click", () => this.choose(name));
      byId(`tab-${name}`).addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!by) return;
        const other = NAMES[(index + by + NAMES.length) % NAMES.length];
        this.choose(other);
        byId(`tab-${other}`).focus();
      });
    }
  }

  get chosen() { return NAMES.find((name) => !byId(`view-${name}`).hidden); }

  choose(name) {
    if (!NAMES.includes(name)) return;
    for (const tab of NAMES) {
      const isChosen = tab === name;
      byId(`view-${tab}`).hidden = !isChosen;
      byId(`tab-${tab}`).setAttribute("aria-selected", String(isChosen));
      byId(`tab-${tab}`).tabIndex = isChosen ? 0 : -1;
    }
    this.onChoose(name);
  }
}
