// The part of the file that is exported: two handles on the strip of thumbnails.

import { byId, timeText } from "./page.js";

export class Trim {
  constructor({ onChange, onSeek }) {
    Object.assign(this, { onChange, onSeek });
    this.file = null;
    this.start = this.end = 0;
    this.#listen();
  }

  get isWhole() { return !this.file || (this.start <= 0 && this.end >= this.file.duration); }

  open(file, start = 0, end = file.duration) {
    this.file = file;
    this.set(start, end);
  }

  close() {
    this.file = null;
    for (const name of ["trim-left", "trim-right"]) byId(name).hidden = true;
    byId("trim").hidden = true;
  }

  set(start, end) {
    const { duration, fps } = this.file;
    this.start = Math.min(Math.max(0, start), Math.max(0, duration - 1 / fps));
    this.end = Math.min(duration, Math.max(end, this.start + 1 / fps));
    this.#draw();
    this.onChange();
  }

  #draw() {
    const share = (seconds) => `${100 * seconds / this.file.duration}%`;
    Object.assign(byId("trim").style, { left: share(this.start), width: share(this.end - this.start) });
    byId("trim").hidden = this.isWhole;
    for (const [name, value] of [["trim-left", this.start], ["trim-right", this.end]]) {
      const handle = byId(name);
      handle.hidden = false;
      handle.style.left = share(value);
      handle.setAttribute("aria-valuemax", this.file.duration.toFixed(3));
      handle.setAttribute("aria-valuenow", value.toFixed(3));
      handle.setAttribute("aria-valuetext", timeText(value));
    }
  }

  #move(name, seconds) {
    if (name === "trim-left") this.set(Math.min(seconds, this.end - 1 / this.file.fps), this.end);
    else this.set(this.start, seconds);
  }

  #listen() {
    const strip = byId("strip");
    const secondsAt = (event) => {
      const { left, width } = strip.getBoundingClientRect();
      const seconds = this.file.duration * Math.min(1, Math.max(0, (event.clientX - left) / width));
      return Math.round(seconds * this.file.fps) / this.file.fps;
    };
    for (const name of ["trim-left", "trim-right"]) {
      const handle = byId(name);
      handle.addEventListener("pointerdown", (event) => {
        handle.setPointerCapture(event.pointerId);
        event.stopPropagation();
      });
      handle.addEventListener("pointermove", (event) => {
        if (!handle.hasPointerCapture(event.pointerId)) return;
        this.#move(name, secondsAt(event));
        this.onSeek(name === "trim-left" ? this.start : this.end - 1 / this.file.fps);
      });
      handle.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!by) return;
        event.preventDefault();
        const frames = by * (event.shiftKey ? 10 : 1);
        this.#move(name, (name === "trim-left" ? this.start : this.end) + frames / this.file.fps);
      });
    }
    strip.addEventListener("pointerdown", (event) => { if (this.file) this.onSeek(secondsAt(event)); });
  }
}
