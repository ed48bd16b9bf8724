// The controls of the preview: buttons, sliders and keys.

import { byId, timeText } from "./page.js";

const IDLE = "Space plays, the arrow keys step, b shows before. The preview is silent; exports keep the sound.";
const OF_VIDEOS = ["scrub", "play", "back", "forward", "trim-start", "trim-end"];

export class Controls {
  constructor({ viewer, player, trim, isShown }) {
    Object.assign(this, { viewer, player, trim, isShown });
    this.#listenToButtons();
    this.#listenToView();
    this.#listenToKeys();
  }

  // Follows which file is open: null for none.
  follow(file) {
    const isVideo = file?.kind === "video";
    for (const id of OF_VIDEOS) byId(id).disabled = !isVideo;
    byId("hold").disabled = !file;
    byId("part").hidden = byId("timeline").hidden = file?.kind === "image";
    byId("part").hidden ||= !file;
    byId("empty").hidden = Boolean(file);
    byId("length").textContent = isVideo ? `of ${timeText(file.duration)}` : "";
    byId("badge").hidden = true;
    if (isVideo) byId("scrub").max = Math.max(1, file.frames - 1);
    this.showState();
  }

  showFrame(header) {
    byId("clock").textContent = timeText(header.at);
    byId("scrub").value = Math.round(header.at * this.player.file.fps);
    byId("scrub").setAttribute("aria-valuetext", timeText(header.at));
    byId("badge").hidden = !header.reduced;
    byId("badge").textContent = header.reduced ? `Reduced to keep up: ${header.quality}` : "";
    if (header.fps) {
      byId("speed").textContent = `${header.fps.toFixed(1)} frames per second, ${header.reduced
        ? `${header.quality}. Exports have full quality.` : "full quality"}`;
    }
  }

  showState() {
    byId("play").textContent = this.player.playing ? "Pause" : "Play";
    byId("speed").textContent = this.player.file?.kind !== "video" ? "" : this.player.playing ? "Starting to play..." : IDLE;
    if (!this.player.playing) byId("badge").hidden = true;
  }

  #holdBefore(isHeld) {
    this.viewer.holdBefore = isHeld;
    byId("hold").setAttribute("aria-pressed", String(isHeld));
    this.viewer.draw();
  }

  #listenToButtons() {
    const { player, trim } = this;
    byId("play").addEventListener("click", () => player.toggle());
    byId("back").addEventListener("click", () => player.step(-1));
    byId("forward").addEventListener("click", () => player.step(1));
    byId("scrub").addEventListener("input", () => player.seek(Number(byId("scrub").value) / player.file.fps));
    byId("trim-start").addEventListener("click", () => trim.set(Math.min(player.at, trim.end), trim.end));
    byId("trim-end").addEventListener("click", () => trim.set(trim.start, Math.max(trim.start, player.at + 1 / player.file.fps)));
    byId("trim-whole").addEventListener("click", () => { trim.set(0, player.file.duration); byId("trim-start").focus(); });
    document.addEventListener("visibilitychange", () => { if (document.hidden) player.pause(false); });
  }

  #listenToView() {
    const { viewer, player } = this;
    byId("boxes").addEventListener("change", () => { viewer.showBoxes = byId("boxes").checked; viewer.draw(); });
    byId("loupe").addEventListener("change", () => { viewer.showLoupe = byId("loupe").checked; viewer.draw(); });
    byId("divider").addEventListener("input", () => { viewer.divider = byId("divider").value / 100; viewer.draw(); });
    byId("zoom").addEventListener("change", () => { viewer.zoom = byId("zoom").value; viewer.draw(); player.refresh(); });
    const hold = byId("hold");
    hold.addEventListener("pointerdown", (event) => { hold.setPointerCapture(event.pointerId); this.#holdBefore(true); });
    for (const name of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(name, () => this.#holdBefore(false));
    hold.addEventListener("keydown", (event) => { if ([" ", "Enter"].includes(event.key)) this.#holdBefore(true); });
    hold.addEventListener("keyup", () => this.#holdBefore(false));
    hold.addEventListener("contextmenu", (event) => event.preventDefault()); // A long touch opens a menu.
  }

  #listenToKeys() {
    const { player } = this;
    const hasOwnKeys = ({ tagName, type, role }) =>
      ["INPUT", "SELECT", "TEXTAREA"].includes(tagName) && type !== "checkbox" || role === "slider" || role === "tab";
    document.addEventListener("keydown", (event) => {
      if (!player.file || !this.isShown() || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "b" && event.target.type !== "text") { this.#holdBefore(true); return; }
      if (hasOwnKeys(event.target) || player.file.kind === "image") return;
      if (event.key === " " && !["BUTTON", "INPUT"].includes(event.target.tagName)) { event.preventDefault(); player.toggle(); }
      else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        event.preventDefault();
        player.step((event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 10 : 1));
      }
    });
    document.addEventListener("keyup", (event) => { if (event.key === "b") this.#holdBefore(false); });
    window.addEventListener("blur", () => this.#holdBefore(false));
  }
}
