// The page of a live run: its pictures, its figures, and the strength of the enhancement.

import { get, packetOf, socketTo } from "./api.js";
import { byId, element, showError } from "./page.js";
import { Viewer } from "./viewer.js";

const SHOWN = 120; // Figures in a curve: two minutes, at one per second.
const history = [];
const viewer = new Viewer(byId("picture"), {
  onPickFace: () => {},
  onDivide: (share) => { byId("divider").value = Math.round(100 * share); },
});
let socket = null;
let isHeld = false;
let hasEnded = false;
let level = null;

function say(text) { byId("state").textContent = text; }

function showState() {
  if (hasEnded) say("The stream has ended. This is its last picture.");
  else if (isHeld) say("The picture is held. The stream goes on.");
  else if (level !== null) say(level === "full" ? "Full quality." : `Reduced quality to keep up: ${level}.`);
  byId("badge").hidden = !isHeld && !hasEnded;
  byId("badge").textContent = hasEnded ? "ended" : "held";
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function showStrength() {
  byId("strength-value").textContent = `${Math.round(100 * byId("strength").value)} %`;
}

function showStatistics(found) {
  const { latency } = found;
  const ms = (value) => `${Math.round(value)} ms`;
  const shown = {
    p50: ms(latency.p50_ms), p95: ms(latency.p95_ms), p99: ms(latency.p99_ms), in: found.fps_in.toFixed(1),
    out: found.fps_out.toFixed(1), dropped: found.dropped, faces: found.faces, steps: found.steps,
  };
  for (const place of document.querySelectorAll("[data-of]")) place.textContent = shown[place.dataset.of];
  history.push({ latency: latency.p95_ms, rate: found.fps_out });
  if (history.length > SHOWN) history.shift();
  for (const name of ["latency", "rate"]) showCurve(name);
  const most = Math.max(1, ...Object.values(found.stages));
  byId("stages").replaceChildren(...Object.entries(found.stages).flatMap(([name, time]) => [
    element("dt", { textContent: name }), element("dd", { textContent: time.toFixed(1) }),
    element("meter", { max: most, value: time, ariaLabel: `${name}: ${time.toFixed(1)} milliseconds` })]));
  ({ level } = found);
  showState();
}

function showCurve(name) {
  const most = Math.max(1, ...history.map((moment) => moment[name]));
  byId(`${name}-high`).textContent = Math.round(most);
  byId(name).setAttribute("points", history.map((moment, index) =>
    `${(300 - 300 * (history.length - 1 - index) / (SHOWN - 1)).toFixed(1)},${(60 - 60 * moment[name] / most).toFixed(1)}`).join(" "));
}

async function receive(data) {
  if (typeof data === "string") {
    const message = JSON.parse(data);
    if (message.error) showError(message.error);
    if (message.statistics) showStatistics(message.statistics);
    if (message.ended) { hasEnded = true; showState(); }
    return;
  }
  const packet = await packetOf(data);
  if (isHeld) { packet.before.close(); packet.part?.close(); } else viewer.show(packet);
  if (level === null) say("");
  if (!document.hidden) send({ command: "shown", number: packet.header.number });
  else document.addEventListener("visibilitychange", () => send({ command: "shown", number: packet.header.number }), { once: true });
}

function listen() {
  socket = socketTo("/api/live");
  socket.addEventListener("message", (event) => receive(event.data));
  socket.addEventListener("close", () => {
    if (hasEnded) return;
    hasEnded = true; // A run that was stopped does not come back under this address.
    showState();
  });
  byId("strength").addEventListener("input", () => {
    showStrength();
    send({ command: "strength", strength: Number(byId("strength").value) });
  });
  byId("divider").addEventListener("input", () => { viewer.divider = byId("divider").value / 100; viewer.draw(); });
  byId("loupe").addEventListener("change", () => { viewer.showLoupe = byId("loupe").checked; viewer.draw(); });
  byId("zoom").addEventListener("change", () => { viewer.zoom = byId("zoom").value; viewer.draw(); });
  byId("hold").addEventListener("click", hold);
  document.addEventListener("keydown", (event) => {
    if (event.key === "b" && !event.ctrlKey && !event.metaKey) { viewer.holdBefore = true; viewer.draw(); }
    if (event.key === " " && !["BUTTON", "INPUT", "SELECT"].includes(event.target.tagName)) { event.preventDefault(); hold(); }
  });
  document.addEventListener("keyup", (event) => { if (event.key === "b") { viewer.holdBefore = false; viewer.draw(); } });
}

function hold() {
  isHeld = !isHeld && !hasEnded;
  byId("hold").textContent = isHeld ? "Go on" : "Hold the picture";
  showState();
}

try {
  byId("strength").value = (await get("/api/options")).strength;
  showStrength();
  listen();
} catch (error) { showError(error.message); }
