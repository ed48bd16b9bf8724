// Small helpers for the page.

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Messages lie over the lower edge of the window, so that nothing moves. Errors stay until they are closed or until
// something else is reported; other messages go by themselves.
const MESSAGE_MILLISECONDS = 6000;
let timer = null;

let act = null;

// Shows a message. `action` is the text of a button in it, and what the button does.
export function showMessage(text, { isError = false, stays = false, action = null } = {}) {
  clearTimeout(timer);
  byId("message").hidden = !text;
  byId("message").classList.toggle("error", isError);
  byId("message-text").textContent = text;
  const button = byId("message-action");
  if (button) {
    button.hidden = !action;
    [button.textContent, act] = action ?? ["Show", null];
  }
  if (text && !isError && !stays) timer = setTimeout(() => showMessage(""), MESSAGE_MILLISECONDS);
}

byId("message-close").addEventListener("click", () => showMessage(""));
byId("message-action")?.addEventListener("click", () => { const run = act; showMessage(""); run?.(); });

export const showError = (text) => showMessage(text, { isError: true });

export function timeText(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(3).padStart(6, "0")}`;
}

export function durationText(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function bytesText(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit++; }
  return `${unit ? bytes.toPrecision(3) : bytes} ${units[unit]}`;
}

// Returns a function that runs `task` once, a moment after its last call.
export function settled(task, milliseconds) {
  let waiting = null;
  return () => { clearTimeout(waiting); waiting = setTimeout(task, milliseconds); };
}
