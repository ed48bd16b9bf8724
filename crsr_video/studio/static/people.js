// The people of a file: one card each, with a switch and a strength; merging and splitting by hand.

import { get, post, put } from "./api.js";
import { byId, element, showError } from "./page.js";

export class People {
  constructor({ onChange, onSelect }) {
    Object.assign(this, { onChange, onSelect });
    this.file = null;
    this.people = [];
    this.choices = {};
    this.selected = new Set();
    byId("analyse").addEventListener("click", () => this.#analyse());
    byId("only").addEventListener("click", () => this.#enhanceOnlySelected());
    byId("everybody").addEventListener("click", () => this.#enhance(() => true));
    byId("merge").addEventListener("click", () => this.#regroup("merge"));
    byId("split").addEventListener("click", () => this.#regroup("split"));
  }

  // Shows the people of a file, with choices that were made before the page was reloaded.
  async open(file, choices = {}) {
    this.file = file;
    this.people = [];
    this.choices = choices;
    byId("analyse").hidden = false;
    byId("analyse-progress").hidden = true;
    this.selected.clear();
    byId("analyse").disabled = !file;
    this.#render();
    if (file) await this.#load();
  }

  // Settings of the people who differ from the default: {"2": {"enabled": false, "strength": 1}}.
  settings() {
    return Object.fromEntries(Object.entries(this.choices).filter(([, c]) => !c.enabled || c.strength < 1));
  }

  select(id) {
    this.selected = new Set([id]);
    this.#render();
    this.onSelect(id);
  }

  // Follows the progress of an analysis that the events announce.
  async progress(event) {
    if (event.file !== this.file?.id) return;
    const bar = byId("analyse-progress");
    bar.hidden = event.state !== "running";
    bar.value = event.progress;
    byId("analyse").disabled = event.state === "running";
    if (event.state === "failed") showError(event.error);
    if (event.state === "done") {
      try { await this.#load(); } catch (error) { showError(error.message); }
    }
  }

  async #load() {
    const { file } = this;
    const found = await get(`/api/files/${file.id}/people`);
    if (file !== this.file) return;
    this.people = found.people;
    byId("analyse").hidden = found.state === "done";
    byId("analyse").disabled = found.state === "running" || file.kind === "image";
    byId("analyse-progress").hidden = found.state !== "running";
    byId("people-hint").textContent = file.kind === "image" ? "A still picture has no tracks: all faces are enhanced alike."
      : found.state !== "done" ? "Finding people takes about as long as watching the clip. Each person can then be switched off or get a strength of their own."
      : this.people.length ? "Click a face here or in the picture to select a person, for example to enhance only this one. Hold Ctrl or Shift to select several."
        : "No face was found in this file.";
    for (const person of this.people) this.choices[person.id] ??= { enabled: true, strength: 1 };
    this.#render();
    this.onChange();
  }

  async #analyse() {
    try {
      await post(`/api/files/${this.file.id}/people`);
      byId("analyse-progress").hidden = false;
      byId("analyse").disabled = true;
    } catch (error) { showError(error.message); }
  }

  #enhanceOnlySelected() { this.#enhance((id) => this.selected.has(id)); }

  #enhance(isEnabled) {
    for (const { id } of this.people) this.choices[id].enabled = isEnabled(id);
    this.#render();
    this.onChange();
  }

  // Merges or splits the selected people.
  async #regroup(action) {
    try {
      await put(`/api/files/${this.file.id}/people`, { action, people: [...this.selected] });
      this.selected.clear();
      this.choices = {};
      await this.#load();
    } catch (error) { showError(error.message); }
  }

  #render() {
    const focused = document.activeElement?.closest?.(".person") && document.activeElement.id;
    byId("people-list").replaceChildren(...this.people.map((person) => this.#card(person)));
    if (focused) byId(focused)?.focus();
    byId("people-tools").hidden = this.selected.size === 0;
    byId("everybody").hidden = this.people.every(({ id }) => this.choices[id].enabled);
    byId("merge").disabled = this.selected.size < 2;
    byId("split").disabled = ![...this.selected].some((id) => this.people.find((p) => p.id === id)?.tracks.length > 1);
  }

  #card(person) {
    const choice = this.choices[person.id];
    const toggle = element("input", { type: "checkbox", id: `person-${person.id}-on`, checked: choice.enabled });
    toggle.addEventListener("change", () => { choice.enabled = toggle.checked; this.onChange(); });
    const strength = element("input", { type: "range", id: `person-${person.id}-strength`, min: 0, max: 1, step: 0.05, value: choice.strength,
      ariaLabel: `Strength of person ${person.id}` });
    strength.addEventListener("input", () => { choice.strength = Number(strength.value); this.onChange(); });
    const image = element("button", { className: "face", id: `person-${person.id}-face`, ariaLabel: `Select person ${person.id}`,
      ariaPressed: String(this.selected.has(person.id)) }, element("img", { src: person.thumbnail, alt: "" }));
    const pick = (event) => {
      if (event.shiftKey || event.ctrlKey || event.metaKey) {
        if (!this.selected.delete(person.id)) this.selected.add(person.id);
        this.#render();
      } else this.select(person.id);
    };
    image.addEventListener("click", pick);
    const card = element("li", { className: "person" + (this.selected.has(person.id) ? " selected" : "") },
      image, element("label", {}, toggle, ` Person ${person.id}`), strength);
    card.dataset.person = person.id;
    return card;
  }
}
