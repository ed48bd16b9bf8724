// The settings, and what is made with them: the export, its estimate and its command line.

import { get, post } from "./api.js";
import { byId, bytesText, durationText, element, showError, showMessage, timeText } from "./page.js";

const CHOICES = ["strength", "texture", "region", "scale", "background", "model", "format", "quality"];

export class ExportForm {
  constructor({ player, trim, people, onChange, onShowQueue }) {
    Object.assign(this, { player, trim, people, onChange, onShowQueue });
    this.formats = [];
    this.changes = 0;
    this.#listen();
  }

  // Fetches the models and formats, and restores the choices of before a reload.
  async load(choices) {
    const { models, formats } = await get("/api/options");
    this.formats = formats;
    byId("model").replaceChildren(...models.map((name) => element("option", { value: name, textContent: name })));
    byId("models").hidden = models.length < 2;
    byId("format").replaceChildren(...formats.map(({ name, title }) => element("option", { value: name, textContent: title })));
    for (const [id, value] of Object.entries(choices)) byId(id).value = value;
    this.changed();
  }

  get choices() { return Object.fromEntries(CHOICES.map((id) => [id, byId(id).value])); }

  // How the preview is enhanced.
  settings() {
    return {
      strength: Number(byId("strength").value),
      texture: Number(byId("texture").value),
      region: byId("region").value,
      scale: Number(byId("scale").value),
      background: byId("background").value,
      model: byId("model").value || "fast",
      people: this.people.settings(),
    };
  }

  // Follows which file is open: null for none.
  follow(file) {
    delete byId("output").dataset.edited;
    for (const id of ["estimate", "export", "copy"]) byId(id).disabled = !file;
    if (!file) byId("command").textContent = byId("output").value = byId("output-folder").textContent = byId("estimate-result").textContent = "";
    if (!file) byId("tracks").hidden = true;
    byId("format").disabled = byId("quality").disabled = file?.kind === "image";
    this.#showHints();
  }

  changed() {
    this.#showHints();
    this.player.refresh();
    this.rangeChanged();
  }

  rangeChanged() {
    const { trim } = this;
    byId("range").textContent = trim.isWhole ? "The whole file is exported."
      : `From ${timeText(trim.start)} to ${timeText(trim.end)} (${durationText(trim.end - trim.start)}).`;
    byId("trim-whole").hidden = trim.isWhole;
    byId("estimate-result").textContent = "";
    this.showCommand();
    this.onChange();
  }

  async showCommand() {
    if (!this.player.file) return;
    const number = ++this.changes;
    try {
      const { command, output, tracks, tracks_are_saved } = await post("/api/command", this.#export());
      if (number !== this.changes) return;
      // Each word stays on one line. The text is that of the command, with its spaces.
      byId("command").replaceChildren(...command.split(" ").flatMap((word, index) =>
        [index ? " " : "", element("span", { textContent: word })]));
      const [, folder, name] = output.match(/^(.*)[\\/]([^\\/]*)$/);
      if (!byId("output").dataset.edited) byId("output").value = name;
      byId("output-folder").textContent = this.player.file.uploaded
        ? "The result can be downloaded from the queue." : `In ${folder}`;
      byId("tracks").hidden = !tracks;
      byId("tracks-save").hidden = tracks_are_saved;
      byId("tracks-text").textContent = tracks_are_saved ? `${tracks} is saved beside the file.`
        : `The command needs ${tracks}, which states who is where.`;
    } catch (error) {
      if (number === this.changes) byId("command").textContent = error.message;
    }
  }

  #export() {
    return {
      file: this.player.file.id,
      settings: this.settings(),
      format: byId("format").value,
      quality: byId("quality").value,
      start: this.trim.start,
      end: this.trim.end,
      output: byId("output").dataset.edited ? byId("output").value.trim() : "",
    };
  }

  #showHints() {
    for (const id of ["strength", "texture"]) byId(`${id}-value`).textContent = `${Math.round(100 * byId(id).value)} %`;
    const isImage = this.player.file?.kind === "image";
    const format = this.formats.find(({ name }) => name === byId("format").value);
    byId("format-hint").textContent = isImage ? "A picture keeps its format." : format?.hint ?? "";
    byId("quality").disabled = isImage || !format?.qualities.length;
    for (const option of byId("quality").options) {
      option.disabled = !format?.qualities.includes(option.value);
      if (option.disabled && option.selected) byId("quality").value = "normal";
    }
    byId("background-hint").hidden = byId("background").value === "keep";
  }

  async #whileDisabled(id, task) {
    byId(id).disabled = true;
    try { await task(); } catch (error) { showError(error.message); }
    byId(id).disabled = !this.player.file;
  }

  async #estimate() {
    const asked = this.changes;
    byId("estimate-result").textContent = "Encoding a sample...";
    try {
      const found = await post("/api/estimate", this.#export());
      byId("estimate-result").textContent = asked !== this.changes ? ""
        : `About ${durationText(found.seconds)} and ${bytesText(found.bytes)} (the source has ${bytesText(found.source_bytes)}).`;
    } catch (error) { byId("estimate-result").textContent = ""; throw error; }
  }

  async #run() {
    const job = await post("/api/jobs", this.#export());
    delete byId("output").dataset.edited;
    showMessage(`Exporting to ${job.output}.`, { action: ["Show the queue", this.onShowQueue] });
    this.showCommand();
  }

  async #saveTracks() {
    const { file } = this.player;
    if (file.uploaded) element("a", { href: `/api/files/${file.id}/tracks`, download: "" }).click();
    else showMessage(`Saved as ${(await post(`/api/files/${file.id}/tracks`)).path}.`);
    await this.showCommand();
  }

  #listen() {
    for (const id of CHOICES) byId(id).addEventListener("input", () => this.changed());
    const output = byId("output");
    output.addEventListener("input", () => {
      if (output.value) output.dataset.edited = "yes"; else delete output.dataset.edited;
      this.showCommand();
    });
    byId("copy").addEventListener("click", () => this.#whileDisabled("copy", async () => {
      await navigator.clipboard.writeText(byId("command").textContent);
      showMessage("The command was copied.");
    }));
    byId("estimate").addEventListener("click", () => this.#whileDisabled("estimate", () => this.#estimate()));
    byId("export").addEventListener("click", () => this.#whileDisabled("export", () => this.#run()));
    byId("tracks-save").addEventListener("click", () => this.#whileDisabled("tracks-save", () => this.#saveTracks()));
  }
}
