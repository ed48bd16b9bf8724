// The page: files, preview, people, settings and export.

import { get, post, upload } from "./api.js";
import { Camera } from "./camera.js";
import { Jobs } from "./jobs.js";
import { byId, bytesText, durationText, element, settled, showError, showMessage, timeText } from "./page.js";
import { People } from "./people.js";
import { Player } from "./player.js";
import { Trim } from "./trim.js";
import { Viewer } from "./viewer.js";

const THUMBNAILS = 12;
const TABS = ["edit", "queue", "camera"];
const CHOICES = ["strength", "texture", "region", "scale", "background", "model", "format", "quality"];
const MAX_SHOWN_ERRORS = 3;
const RECONNECT_MILLISECONDS = 3000;
const STORED = "crsr-studio";
const state = { files: [], formats: [], changes: 0, opened: 0, uploads: [], isUploading: false };

const viewer = new Viewer(byId("picture"), {
  onPickFace: (id) => people.select(id),
  onDivide: (share) => { byId("divider").value = Math.round(100 * share); },
});
const people = new People({
  onChange: settingsChanged,
  onSelect: (id) => { viewer.selected = id; viewer.draw(); },
});
const player = new Player({ viewer, settings, onFrame, onState, onError: (error) => showError(error.message) });
const trim = new Trim({ onChange: trimChanged, onSeek: (seconds) => player.seek(seconds) });
const jobs = new Jobs({ onCompare: compare });
const camera = new Camera();

// Settings -----------------------------------------------------------------------------------------------------------

function settings() {
  return {
    strength: Number(byId("strength").value),
    texture: Number(byId("texture").value),
    region: byId("region").value,
    scale: Number(byId("scale").value),
    background: byId("background").value,
    model: byId("model").value || "fast",
    people: people.settings(),
  };
}

function exportSettings() {
  return {
    file: player.file.id,
    settings: settings(),
    format: byId("format").value,
    quality: byId("quality").value,
    start: trim.start,
    end: trim.end,
    output: byId("output").dataset.edited ? byId("output").value.trim() : "",
  };
}

function settingsChanged() {
  byId("strength-value").textContent = `${Math.round(100 * byId("strength").value)} %`;
  byId("texture-value").textContent = `${Math.round(100 * byId("texture").value)} %`;
  const format = state.formats.find(({ name }) => name === byId("format").value);
  byId("format-hint").textContent = format?.hint ?? "";
  byId("quality").disabled = !format?.qualities.length;
  for (const option of byId("quality").options) {
    option.disabled = !format?.qualities.includes(option.value);
    if (option.disabled && option.selected) byId("quality").value = "normal";
  }
  byId("background-hint").hidden = byId("background").value === "keep";
  byId("estimate-result").textContent = "";
  player.refresh();
  showCommand();
  remember();
}

async function showCommand() {
  if (!player.file) return;
  const number = ++state.changes;
  try {
    const { command, output } = await post("/api/command", exportSettings());
    if (number !== state.changes) return;
    byId("command").textContent = command;
    const [, folder, name] = output.match(/^(.*)[\\/]([^\\/]*)$/);
    if (!byId("output").dataset.edited) byId("output").value = name;
    byId("output-folder").textContent = `In ${folder}`;
  } catch (error) {
    if (number === state.changes) byId("command").textContent = error.message;
  }
}

function trimChanged() {
  byId("range").textContent = trim.isWhole ? "The whole file is exported."
    : `From ${timeText(trim.start)} to ${timeText(trim.end)} (${durationText(trim.end - trim.start)}).`;
  byId("estimate-result").textContent = "";
  showCommand();
  remember();
}

// Reloading ----------------------------------------------------------------------------------------------------------

function store() {
  const tab = TABS.find((name) => !byId(`view-${name}`).hidden);
  const choices = Object.fromEntries(CHOICES.map((id) => [id, byId(id).value]));
  const file = player.file && { id: player.file.id, at: player.at, start: trim.start, end: trim.end, people: people.choices, job: player.job };
  sessionStorage.setItem(STORED, JSON.stringify({ tab, choices, file }));
}

const remember = settled(store, 200);

function remembered() {
  try { return JSON.parse(sessionStorage.getItem(STORED)) ?? {}; } catch { return {}; }
}

// Files --------------------------------------------------------------------------------------------------------------

async function loadFiles() {
  state.files = (await get("/api/files")).files;
  byId("no-files").hidden = state.files.length > 0;
  byId("file-list").replaceChildren(...state.files.map((file) => {
    const button = element("button", { textContent: file.name, title: `${file.name}, ${bytesText(file.bytes)}` });
    button.addEventListener("click", () => openFile(file.id));
    button.dataset.file = file.id;
    if (file.id === player.file?.id) button.setAttribute("aria-current", "true");
    return element("li", {}, button);
  }));
}

const reloadFiles = settled(() => loadFiles().catch((error) => showError(error.message)), 300);

function mark(id) {
  for (const button of document.querySelectorAll("#file-list button")) {
    if (button.dataset.file === id) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

// Opens a file. `stored` is what was remembered of it before the page was reloaded, `job` an export to compare with.
async function openFile(id, { stored = {}, job = null } = {}) {
  const number = ++state.opened;
  mark(id);
  showMessage("Opening the file...", { stays: true });
  try {
    const file = await get(`/api/files/${id}`);
    if (number === state.opened) await show(file, stored, job);
  } catch (error) {
    if (number !== state.opened) return;
    closeFile();
    showError(error.message);
  }
}

function closeFile() {
  player.close();
  mark(null);
  people.open(null);
  byId("empty").hidden = false;
  byId("comparing").hidden = true;
  byId("thumbnails").replaceChildren();
  byId("command").textContent = byId("output").value = byId("output-folder").textContent = "";
  trim.close();
  enable(false, false);
}

function enable(isOpen, isVideo) {
  for (const id of ["estimate", "export", "copy"]) byId(id).disabled = !isOpen;
  for (const id of ["scrub", "play", "back", "forward", "trim-start", "trim-end"]) byId(id).disabled = !isVideo;
}

async function show(file, stored, job) {
  const still = file.kind === "image";
  showMessage("Preparing the picture...", { stays: true });
  byId("empty").hidden = true;
  byId("comparing").hidden = !job;
  if (job) byId("comparing-text").textContent = `Left: the source. Right: ${job.output}`;
  delete byId("output").dataset.edited;
  enable(true, !still);
  byId("scrub").max = Math.max(1, file.frames - 1);
  byId("thumbnails").replaceChildren(...(still ? [] : Array.from({ length: THUMBNAILS }, (_, index) =>
    element("img", { alt: "", src: `/api/files/${file.id}/thumbnail?at=${(file.duration * (index + 0.5) / THUMBNAILS).toFixed(3)}` }))));
  const found = people.open(file, stored.people ?? {});
  viewer.clear();
  const picture = player.open(file, { job: job?.id ?? "", at: stored.at ?? job?.start ?? 0 });
  trim.open(file, stored.start, stored.end);
  if (await picture) showMessage("");
  await found;
}

// Shows the result of an export as the picture after. Its source may have been moved meanwhile.
async function compare(job) {
  chooseTab("edit");
  await openFile(job.source_file, { stored: chosenFor(job.source_file), job });
}

// The choices for a file that is open already, so that they stay when it is opened again.
function chosenFor(id) {
  return player.file?.id === id ? { people: people.choices, start: trim.start, end: trim.end } : {};
}

function addFiles(files) {
  state.uploads.push(...files);
  if (!state.isUploading) uploadAll();
}

// Uploads one file after another. The first one opens as soon as it is there.
async function uploadAll() {
  state.isUploading = true;
  const errors = [];
  let done = 0;
  let opens = true;
  while (state.uploads.length) {
    const file = state.uploads.shift();
    const count = () => done + state.uploads.length + 1;
    try {
      const item = await upload(file, (share) => showMessage(
        `Uploading ${file.name}${count() > 1 ? ` (${done + 1} of ${count()})` : ""}: ${Math.round(100 * share)} %`, { stays: true }));
      if (opens) { opens = false; await loadFiles(); await openFile(item.id); }
    } catch (error) { errors.push(error.message); }
    done++;
  }
  state.isUploading = false;
  reloadFiles();
  const added = done - errors.length;
  const more = errors.length > MAX_SHOWN_ERRORS ? `, and ${errors.length - MAX_SHOWN_ERRORS} more` : "";
  if (errors.length) showError(`${added} of ${done} files were added. ${errors.slice(0, MAX_SHOWN_ERRORS).join("; ")}${more}`);
  else if (done > 1) showMessage(`${added} files were added.`);
}

// Preview ------------------------------------------------------------------------------------------------------------

function onFrame(header) {
  byId("clock").textContent = timeText(header.at);
  byId("scrub").value = Math.round(header.at * player.file.fps);
  byId("scrub").setAttribute("aria-valuetext", timeText(header.at));
  byId("badge").hidden = !header.reduced;
  byId("badge").textContent = header.reduced ? `Preview quality: ${header.quality}` : "";
  if (header.fps) byId("speed").textContent = `${header.fps.toFixed(1)} frames per second, ${header.quality}`;
  remember();
}

function onState() {
  byId("play").textContent = player.playing ? "Pause" : "Play";
  byId("speed").textContent = "";
}

function holdBefore(isHeld) {
  viewer.holdBefore = isHeld;
  viewer.draw();
}

function listenToPreview() {
  byId("play").addEventListener("click", () => player.toggle());
  byId("back").addEventListener("click", () => player.step(-1));
  byId("forward").addEventListener("click", () => player.step(1));
  byId("scrub").addEventListener("input", () => player.seek(Number(byId("scrub").value) / player.file.fps));
  byId("trim-start").addEventListener("click", () => trim.set(Math.min(player.at, trim.end), trim.end));
  byId("trim-end").addEventListener("click", () => trim.set(trim.start, Math.max(trim.start, player.at + 1 / player.file.fps)));
  byId("boxes").addEventListener("change", () => { viewer.showBoxes = byId("boxes").checked; viewer.draw(); });
  byId("loupe").addEventListener("change", () => { viewer.showLoupe = byId("loupe").checked; viewer.draw(); });
  byId("divider").addEventListener("input", () => { viewer.divider = byId("divider").value / 100; viewer.draw(); });
  byId("zoom").addEventListener("change", () => { viewer.zoom = byId("zoom").value; viewer.draw(); player.refresh(); });
  byId("compare-end").addEventListener("click", () => {
    const { file, at } = player;
    openFile(file.id, { stored: { ...chosenFor(file.id), at } });
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) player.pause(false); });
  const hasOwnKeys = ({ tagName, type, role }) =>
    ["INPUT", "SELECT", "TEXTAREA"].includes(tagName) && type !== "checkbox" || role === "slider" || role === "tab";
  document.addEventListener("keydown", (event) => {
    if (!player.file || byId("view-edit").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "b" && event.target.type !== "text") { holdBefore(true); return; }
    if (hasOwnKeys(event.target) || player.file.kind === "image") return;
    if (event.key === " " && !["BUTTON", "INPUT"].includes(event.target.tagName)) { event.preventDefault(); player.toggle(); }
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      player.step((event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 10 : 1));
    }
  });
  document.addEventListener("keyup", (event) => { if (event.key === "b") holdBefore(false); });
  window.addEventListener("blur", () => holdBefore(false));
}

// Export -------------------------------------------------------------------------------------------------------------

async function whileDisabled(id, task) {
  byId(id).disabled = true;
  try { await task(); } catch (error) { showError(error.message); }
  byId(id).disabled = !player.file;
}

function listenToExport() {
  for (const id of CHOICES) byId(id).addEventListener("input", settingsChanged);
  byId("output").addEventListener("input", () => {
    if (byId("output").value) byId("output").dataset.edited = "yes"; else delete byId("output").dataset.edited;
    showCommand();
  });
  byId("copy").addEventListener("click", () => whileDisabled("copy", async () => {
    await navigator.clipboard.writeText(byId("command").textContent);
    showMessage("The command was copied.");
  }));
  byId("estimate").addEventListener("click", () => whileDisabled("estimate", async () => {
    const asked = state.changes;
    byId("estimate-result").textContent = "Encoding a sample...";
    try {
      const found = await post("/api/estimate", exportSettings());
      if (asked !== state.changes) return;
      byId("estimate-result").textContent =
        `About ${durationText(found.seconds)} and ${bytesText(found.bytes)} (the source has ${bytesText(found.source_bytes)}).`;
    } catch (error) { byId("estimate-result").textContent = ""; throw error; }
  }));
  byId("export").addEventListener("click", () => whileDisabled("export", async () => {
    const job = await post("/api/jobs", exportSettings());
    delete byId("output").dataset.edited;
    showMessage(`Exporting to ${job.output}. The queue shows the progress.`);
    showCommand();
  }));
}

// Start --------------------------------------------------------------------------------------------------------------

function chooseTab(name) {
  for (const tab of TABS) {
    const chosen = tab === name;
    byId(`view-${tab}`).hidden = !chosen;
    byId(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
    byId(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
  }
  if (name !== "camera") camera.stop();
  if (name !== "edit") player.pause();
  remember();
}

function listenToTabs() {
  for (const [index, tab] of TABS.entries()) {
    byId(`tab-${tab}`).addEventListener("click", () => chooseTab(tab));
    byId(`tab-${tab}`).addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      const other = TABS[(index + by + TABS.length) % TABS.length];
      chooseTab(other);
      byId(`tab-${other}`).focus();
    });
  }
}

function listenToDrops() {
  byId("upload").addEventListener("change", () => { addFiles([...byId("upload").files]); byId("upload").value = ""; });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    chooseTab("edit");
    addFiles([...event.dataTransfer.files]);
  });
}

// Follows the events of the studio. A browser connects again by itself while the server is away, but not after an
// answer with an error: a studio that was started anew does not know this page's cookie.
function listenToEvents() {
  const events = new EventSource("/api/events");
  let wasLost = false;
  events.addEventListener("jobs", (event) => jobs.show(JSON.parse(event.data)));
  events.addEventListener("people", (event) => people.progress(JSON.parse(event.data)));
  events.addEventListener("files", reloadFiles);
  events.addEventListener("problem", (event) => showError(JSON.parse(event.data).error));
  events.addEventListener("error", () => {
    wasLost = true;
    if (events.readyState === EventSource.CLOSED) {
      showError("The studio was started again. Open the address that it printed in the terminal.");
      setTimeout(listenToEvents, RECONNECT_MILLISECONDS);
    } else showError("The studio does not answer. The page connects again as soon as it runs.");
  });
  events.addEventListener("open", () => {
    if (wasLost) showMessage("The page is connected to the studio again.");
    if (wasLost) reloadFiles();
    wasLost = false;
  });
  window.addEventListener("pagehide", () => events.close());
}

async function start() {
  listenToTabs();
  listenToDrops();
  listenToPreview();
  listenToExport();
  window.addEventListener("pagehide", store);
  const stored = remembered();
  try {
    const options = await get("/api/options");
    state.formats = options.formats;
    byId("model").replaceChildren(...options.models.map((name) => element("option", { value: name, textContent: name })));
    byId("format").replaceChildren(...options.formats.map(({ name, title }) => element("option", { value: name, textContent: title })));
    for (const [id, value] of Object.entries(stored.choices ?? {})) byId(id).value = value;
    settingsChanged();
    listenToEvents();
    if (TABS.includes(stored.tab)) chooseTab(stored.tab);
    await Promise.all([camera.listDevices(), loadFiles()]);
    const known = state.files.some((file) => file.id === stored.file?.id);
    if (known) await openFile(stored.file.id, { stored: stored.file });
    else if (state.files.length === 1) await openFile(state.files[0].id);
  } catch (error) { showError(error.message); }
}

start();
