// The people of a file: one card each, with a switch and a strength; merging and splitting by hand.

import { get, post, put, remove } from "./api.js";
import { byId, element, showError } from "./page.js";

export class People {
  constructor({ onChange, onSelect }) {
    Object.assign(this, { onChange, onSelect });
    this.file = null;
    this.people = [];
    this.choices = {};
    this.selected = new Set();
    byId("analyse").addEventListener("click", () => this.#analyse());
    byId("analyse-stop").addEventListener("click", () => this.#stop());
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
    this.selected.clear();
    this.#showSearch(file ? "unknown" : "none", 0);
    this.#render();
    if (file) await this.#load();
  }

  // Asks for the people again, as a search may have ended while the studio did not answer.
  async reload() {
    if (this.file) await this.#load().catch((error) => showError(error.message));
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
    this.#showSearch(event.state, event.progress);
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
    this.#showSearch(found.state, byId("analyse-progress").value);
    for (const person of this.people) this.choices[person.id] ??= { enabled: true, strength: 1 };
    this.#render();
    this.onChange();
  }

  // Shows the state of the search: "none" without a file, else "unknown", "running", "done", "cancelled" or "failed".
  #showSearch(state, progress) {
    const isRunning = state === "running";
    const isImage = this.file?.kind === "image";
    const hadFocus = [byId("analyse"), byId("analyse-stop")].includes(document.activeElement);
    byId("analyse").hidden = isRunning;
    byId("analyse").disabled = state === "none";
    byId("search").hidden = isImage || state === "done";
    for (const id of ["analyse-progress", "analyse-text", "analyse-stop"]) byId(id).hidden = !isRunning;
    byId("analyse-progress").value = progress;
    byId("analyse-text").textContent = isRunning ? `Searching for people: ${Math.round(100 * progress)} %` : "";
    if (hadFocus) byId(isRunning ? "analyse-stop" : "analyse").focus();
    byId("people-hint").textContent = isImage ? "All faces of a still picture are enhanced alike."
      : state !== "done" ? "All faces are enhanced. To treat people differently, find them first, which takes about as long as watching the clip."
      : this.people.length ? "Click a face here or in the picture to select a person, for example to enhance only this one. Hold Ctrl or Shift to select several."
        : "No face was found in this file.";
  }

  async #analyse() {
    try {
      await post(`/api/files/${this.file.id}/people`);
      this.#showSearch("running", 0);
    } catch (error) { showError(error.message); }
  }

  async #stop() {
    try { await remove(`/api/files/${this.file.id}/people`); } catch (error) { showError(error.message); }
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
    const value = element("span", { className: "hint" });
    const showStrength = () => { value.textContent = `Strength ${Math.round(100 * choice.strength)} %`; };
    strength.addEventListener("input", () => { choice.strength = Number(strength.value); showStrength(); this.onChange(); });
    showStrength();
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
      image, element("label", {}, toggle, ` Person ${person.id}`), value, strength);
    card.dataset.person = person.id;
    return card;
  }
}
