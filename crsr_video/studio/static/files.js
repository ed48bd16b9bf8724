// The list of files, and the files that are dropped onto the page or chosen, which are uploaded one after another.

import { get, upload } from "./api.js";
import { byId, bytesText, element, settled, showError, showMessage } from "./page.js";

const MAX_SHOWN_ERRORS = 3;

export class Files {
  // `onOpen(id)` opens a file, `onDrop()` follows a drop onto the page.
  constructor({ onOpen, onDrop }) {
    Object.assign(this, { onOpen, onDrop });
    this.files = [];
    this.opened = null;
    this.uploads = [];
    this.isUploading = false;
    this.reload = settled(() => this.load().catch((error) => showError(error.message)), 300);
    this.#listen();
  }

  has(id) { return this.files.some((file) => file.id === id); }

  async load() {
    this.files = (await get("/api/files")).files;
    byId("no-files").hidden = this.files.length > 0;
    byId("empty-title").textContent = this.files.length ? "Choose a file from the list, or drop one here" : "Drop a video or a picture here";
    byId("file-list").replaceChildren(...this.files.map((file) => {
      const button = element("button", { textContent: file.name, title: `${file.name}, ${bytesText(file.bytes)}` });
      button.addEventListener("click", () => this.onOpen(file.id));
      button.dataset.file = file.id;
      return element("li", {}, button);
    }));
    this.mark(this.opened);
  }

  mark(id) {
    this.opened = id;
    for (const button of document.querySelectorAll("#file-list button")) {
      if (button.dataset.file === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #add(files) {
    this.uploads.push(...files);
    if (!this.isUploading) this.#uploadAll();
  }

  // The first file opens as soon as it is there.
  async #uploadAll() {
    this.isUploading = true;
    const errors = [];
    let done = 0;
    let opens = true;
    while (this.uploads.length) {
      const file = this.uploads.shift();
      const count = () => done + this.uploads.length + 1;
      try {
        const item = await upload(file, (share) => showMessage(
          `Adding ${file.name}${count() > 1 ? ` (${done + 1} of ${count()})` : ""}: ${Math.round(100 * share)} %`, { stays: true }));
        if (opens) { opens = false; await this.load(); await this.onOpen(item.id); }
      } catch (error) { errors.push(error.message); }
      done++;
    }
    this.isUploading = false;
    this.reload();
    const added = done - errors.length;
    const more = errors.length > MAX_SHOWN_ERRORS ? `, and ${errors.length - MAX_SHOWN_ERRORS} more` : "";
    const shown = errors.slice(0, MAX_SHOWN_ERRORS).join("; ") + more;
    if (errors.length) showError(done === 1 ? shown : `${added} of ${done} files were added. ${shown}`);
    else if (done > 1) showMessage(`${added} files were added.`);
  }

  #listen() {
    byId("upload").addEventListener("change", () => { this.#add([...byId("upload").files]); byId("upload").value = ""; });
    document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      if (!event.dataTransfer.files.length) return;
      this.onDrop();
      this.#add([...event.dataTransfer.files]);
    });
  }
}
