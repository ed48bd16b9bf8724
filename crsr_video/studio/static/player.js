// Plays a file: asks for single frames while paused, and for a stream of frames while playing.

import { packetOf, postForPacket, socketTo } from "./api.js";

export class Player {
  // `settings()` returns the current settings, `onFrame(packet)` shows one, `onState()` follows playing and pausing.
  constructor({ viewer, settings, onFrame, onState, onError }) {
    Object.assign(this, { viewer, settings, onFrame, onState, onError });
    this.file = null;
    this.at = 0;
    this.playing = false;
    this.asked = 0;
    this.socket = null;
  }

  open(file) {
    this.pause();
    this.file = file;
    this.at = 0;
    return this.refresh();
  }

  close() {
    this.pause();
    this.file = null;
  }

  async seek(seconds) {
    if (!this.file) return;
    this.at = Math.min(Math.max(0, seconds), Math.max(0, this.file.duration - 1 / this.file.fps));
    if (this.playing) this.#send({ command: "play", at: this.at, settings: this.settings(), width: this.#width() });
    else await this.refresh();
  }

  step(frames) {
    this.pause();
    return this.seek(this.at + frames / this.file.fps);
  }

  // Shows the frame at the present position with the present settings. Requests that were overtaken are ignored.
  async refresh() {
    if (!this.file) return;
    if (this.playing) {
      this.#send({ command: "settings", settings: this.settings() });
      return;
    }
    const number = ++this.asked;
    try {
      const packet = await postForPacket(`/api/files/${this.file.id}/frame`,
        { at: this.at, settings: this.settings(), width: this.#width() });
      if (number === this.asked && !this.playing) this.#show(packet);
    } catch (error) {
      if (number === this.asked) this.onError(error);
    }
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (!this.file || this.playing) return;
    this.playing = true;
    this.asked++;
    if (this.at >= this.file.duration - 1.5 / this.file.fps) this.at = 0;
    const socket = this.socket = socketTo(`/api/files/${this.file.id}/play`);
    socket.addEventListener("open", () =>
      this.#send({ command: "play", at: this.at, settings: this.settings(), width: this.#width() }));
    socket.addEventListener("message", async (event) => {
      if (typeof event.data === "string") {
        const message = JSON.parse(event.data);
        if (message.error) this.onError(new Error(message.error));
        this.pause();
        return;
      }
      const packet = await packetOf(event.data);
      if (socket !== this.socket) return;
      this.#show(packet);
      this.#send({ command: "shown", number: packet.header.number });
    });
    socket.addEventListener("close", () => { if (socket === this.socket) this.pause(); });
    this.onState();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.socket?.close();
    this.socket = null;
    this.onState();
  }

  #show(packet) {
    this.at = packet.header.at;
    this.viewer.show(packet);
    this.onFrame(packet.header);
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Pixels that are worth sending: those of the screen, or all of them when zoomed in.
  #width() {
    if (this.viewer.zoom !== "fit") return this.file.width;
    return Math.min(this.file.width, Math.round(this.viewer.canvas.clientWidth * (window.devicePixelRatio || 1)));
  }
}
