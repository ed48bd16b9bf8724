// Plays a file: asks for single frames while paused, and for a stream of frames while playing.

import { packetOf, postForPacket, socketTo } from "./api.js";

export class Player {
  // `settings()` returns the current settings, `onFrame(header)` follows what is shown, `onState()` playing and pausing.
  constructor({ viewer, settings, onFrame, onState, onError }) {
    Object.assign(this, { viewer, settings, onFrame, onState, onError });
    this.file = null;
    this.job = ""; // An export whose result is shown as the picture after.
    this.at = 0;
    this.playing = false;
    this.socket = null;
    this.isAsking = false;
    this.isOutdated = false;
  }

  open(file, { job = "", at = 0 } = {}) {
    this.pause(false);
    this.file = file;
    this.job = job;
    this.at = at;
    return this.refresh();
  }

  close() {
    this.pause(false);
    this.file = null;
    this.viewer.clear();
  }

  async seek(seconds) {
    if (!this.file) return;
    this.at = Math.min(Math.max(0, seconds), Math.max(0, this.file.duration - 1 / this.file.fps));
    this.onFrame({ at: this.at });
    if (this.playing) this.#send(this.#command());
    else await this.refresh();
  }

  step(frames) {
    this.pause(false);
    return this.seek(this.at + frames / this.file.fps);
  }

  // Shows the frame at the present position with the present settings. There is one request at a time: whatever was
  // asked for meanwhile is answered by one more, so that scrubbing never waits for frames that were passed.
  async refresh() {
    if (!this.file) return false;
    if (this.playing) {
      this.#send({ command: "settings", settings: this.settings() });
      return true;
    }
    this.isOutdated = true;
    if (this.isAsking) return this.asking;
    return this.asking = this.#ask();
  }

  // Returns whether the frame that was asked for last is shown.
  async #ask() {
    let isShown = false;
    this.isAsking = true;
    while (this.isOutdated && this.file && !this.playing) {
      this.isOutdated = false;
      const { file, at } = this;
      try {
        const packet = await postForPacket(`/api/files/${file.id}/frame`,
          { at, settings: this.settings(), width: this.#width(), job: this.job });
        if (file !== this.file || this.playing) continue;
        this.viewer.show(packet);
        isShown = true;
        if (at === this.at) this.#follow(packet.header);
      } catch (error) {
        if (file === this.file && !this.isOutdated) { isShown = false; this.onError(error); }
      }
    }
    this.isAsking = false;
    return isShown;
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (!this.file || this.playing) return;
    this.playing = true;
    if (this.at >= this.file.duration - 1.5 / this.file.fps) this.at = 0;
    const socket = this.socket = socketTo(`/api/files/${this.file.id}/play?job=${this.job}`);
    socket.addEventListener("open", () => this.#send(this.#command()));
    socket.addEventListener("message", async (event) => {
      if (typeof event.data === "string") {
        const message = JSON.parse(event.data);
        if (socket !== this.socket) return;
        this.pause();
        if (message.error) this.onError(new Error(message.error));
        return;
      }
      const packet = await packetOf(event.data);
      if (socket !== this.socket) return;
      this.viewer.show(packet);
      this.#follow(packet.header);
      this.#send({ command: "shown", number: packet.header.number });
    });
    socket.addEventListener("close", () => { if (socket === this.socket) this.pause(); });
    this.onState();
  }

  pause(refreshes = true) {
    if (!this.playing) return;
    this.playing = false;
    this.socket?.close();
    this.socket = null;
    this.onState();
    if (refreshes) this.refresh();
  }

  #command() {
    return { command: "play", at: this.at, settings: this.settings(), width: this.#width() };
  }

  #follow(header) {
    this.at = header.at;
    this.onFrame(header);
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Pixels that are worth sending: those of the screen, or all of them when zoomed in.
  #width() {
    const full = Math.min(3840, this.file.width * this.settings().scale);
    const shown = Math.ceil(this.viewer.shownWidth(this.file.width, this.file.height) * (window.devicePixelRatio || 1));
    return Math.max(16, this.viewer.zoom === "fit" ? Math.min(full, shown) : full);
  }
}
