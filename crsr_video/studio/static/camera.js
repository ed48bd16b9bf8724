// A camera, enhanced live. The pictures of a browser's camera travel to the studio as JPEG, two at a time, and come back
// enhanced.

import { get, packetOf, socketTo } from "./api.js";
import { byId, element, showError } from "./page.js";
import { Viewer } from "./viewer.js";

const WIDTH = 640;
const QUALITY = 0.85;

export class Camera {
  constructor() {
    this.socket = this.stream = null;
    this.viewer = new Viewer(byId("camera-picture"), { onPickFace: () => {}, onDivide: () => {} });
    byId("camera-start").addEventListener("click", () => (this.socket ? this.stop() : this.start()));
    const strength = byId("camera-strength");
    strength.addEventListener("input", () => {
      byId("camera-strength-value").textContent = `${Math.round(100 * strength.value)} %`;
      this.#send({ command: "strength", strength: Number(strength.value) });
    });
    strength.dispatchEvent(new Event("input"));
  }

  async listDevices() {
    const { devices } = await get("/api/cameras");
    byId("camera-source").replaceChildren(
      element("option", { value: "browser", textContent: "Camera of this browser" }),
      ...devices.map((path) => element("option", { value: path, textContent: path })));
  }

  async start() {
    const source = byId("camera-source").value;
    try {
      if (source === "browser" && !navigator.mediaDevices) {
        showError("Browsers give their camera only to pages of the same computer. Open the studio at 127.0.0.1, or choose another camera.");
        return;
      }
      if (source === "browser") {
        this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: WIDTH, height: 480 } });
        const video = byId("camera-video");
        video.srcObject = this.stream;
        await video.play();
      }
    } catch (error) {
      showError(`The camera cannot be used: ${error.message}. Allow it for this page in the address bar.`);
      return;
    }
    byId("camera-start").textContent = "Stop";
    byId("camera-empty").hidden = true;
    byId("camera-status").textContent = "Waiting for the first picture...";
    const socket = this.socket = socketTo("/api/camera");
    socket.addEventListener("open", () => {
      this.#send({ command: "open", source, strength: Number(byId("camera-strength").value) });
      if (source === "browser") { this.#sendPicture(); this.#sendPicture(); }
    });
    socket.addEventListener("message", (event) => this.#receive(event, source));
    socket.addEventListener("close", () => { if (socket === this.socket) this.stop(); });
  }

  stop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    byId("camera-start").textContent = "Start";
  }

  async #receive(event, source) {
    if (typeof event.data === "string") {
      const message = JSON.parse(event.data);
      if (message.error) { showError(message.error); this.stop(); return; }
      const latency = message.latency == null ? "" : `${Math.round(1000 * message.latency)} ms latency, `;
      byId("camera-status").textContent = `${latency}${message.fps.toFixed(1)} frames per second, ${message.quality}`;
      return;
    }
    const packet = await packetOf(event.data);
    this.viewer.show(packet);
    this.#send({ command: "shown", number: packet.header.number });
    if (source === "browser") this.#sendPicture();
  }

  // Sends the newest picture of the camera. The next one follows when the answer is there, so that nothing piles up.
  #sendPicture() {
    const video = byId("camera-video");
    const canvas = element("canvas", { width: video.videoWidth || WIDTH, height: video.videoHeight || 480 });
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      if (blob && this.socket?.readyState === WebSocket.OPEN) this.socket.send(blob);
    }, "image/jpeg", QUALITY);
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
