// The page: files, preview, people, settings and export.

import { get, post, upload } from "./api.js";
import { Camera } from "./camera.js";
import { Jobs } from "./jobs.js";
import { byId, bytesText, durationText, element, showError, showMessage, timeText } from "./page.js";
import { People } from "./people.js";
import { Player } from "./player.js";
import { Viewer } from "./viewer.js";

const THUMBNAILS = 12;
const state = { files: [], formats: [], trim: [0, 0], changes: 0 };

const viewer = new Viewer(byId("picture"), { onPickFace: (id) => people.select(id) });
const people = new People({
  onChange: settingsChanged,
  onSelect: (id) => { viewer.selected = id; viewer.draw(); },
});
const player = new Player({ viewer, settings, onFrame, onState, onError: (error) => showError(error.message) });
const jobs = new Jobs({ onPlay: playResult });
const camera = new Camera();

// Settings -----------------------------------------------------------------------------------------------------------

function settings() {
  return {
    strength: Number(byId("strength").value),
    texture: Number(byId("texture").value),
    scale: Number(byId("scale").value),
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
    start: state.trim[0],
    end: state.trim[1],
    output: byId("output").value.trim(),
  };
}

function settingsChanged() {
  byId("strength-value").textContent = `${Math.round(100 * byId("strength").value)} %`;
  byId("texture-value").textContent = `${Math.round(100 * byId("texture").value)} %`;
  byId("format-hint").textContent = state.formats.find((format) => format.name === byId("format").value)?.hint ?? "";
  byId("estimate-result").textContent = "";
  player.refresh();
  showCommand();
}

async function showCommand() {
  if (!player.file) return;
  const number = ++state.changes;
  try {
    const { command, output } = await post("/api/command", exportSettings());
    if (number !== state.changes) return;
    byId("command").textContent = command;
    if (!byId("output").dataset.edited) byId("output").value = output;
  } catch (error) {
    if (number === state.changes) byId("command").textContent = error.message;
  }
}

function trimTo(start, end) {
  state.trim = [start, end];
  const { duration } = player.file;
  const whole = start <= 0 && end >= duration;
  byId("range").textContent = whole ? "The whole file is exported."
    : `From ${timeText(start)} to ${timeText(end)} (${durationText(end - start)}).`;
  Object.assign(byId("trim").style, { display: whole ? "none" : "block", left: `${100 * start / duration}%`,
    width: `${100 * (end - start) / duration}%` });
  byId("estimate-result").textContent = "";
  showCommand();
}

// Files --------------------------------------------------------------------------------------------------------------

async function loadFiles() {
  state.files = (await get("/api/files")).files;
  byId("file-list").replaceChildren(...state.files.map((file) => {
    const button = element("button", { textContent: file.name, title: `${file.name}, ${bytesText(file.bytes)}` });
    button.addEventListener("click", () => openFile(file.id));
    button.dataset.file = file.id;
    if (file.id === player.file?.id) button.setAttribute("aria-current", "true");
    return element("li", {}, button);
  }));
}

async function openFile(id) {
  showMessage("Opening...");
  try {
    const file = await get(`/api/files/${id}`);
    await show(file);
    showMessage("");
  } catch (error) { showError(error.message); }
}

async function show(file) {
  byId("empty").hidden = true;
  delete byId("output").dataset.edited;
  await player.open(file);
  for (const button of document.querySelectorAll("#file-list button")) {
    if (button.dataset.file === file.id) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  const still = file.kind === "image";
  for (const id of ["scrub", "play", "back", "forward", "trim-start", "trim-end"]) byId(id).disabled = still;
  for (const id of ["estimate", "export", "copy"]) byId(id).disabled = false;
  byId("timeline").hidden = still;
  byId("scrub").max = Math.max(1, file.frames - 1);
  byId("scrub").value = 0;
  byId("thumbnails").replaceChildren(...(still ? [] : Array.from({ length: THUMBNAILS }, (_, index) =>
    element("img", { loading: "lazy", alt: "",
      src: `/api/files/${file.id}/thumbnail?at=${(file.duration * (index + 0.5) / THUMBNAILS).toFixed(3)}` }))));
  trimTo(0, file.duration);
  await people.open(file);
}

async function addFiles(files) {
  let last = null;
  for (const file of files) {
    try {
      last = await upload(file, (share) => showMessage(`Uploading ${file.name}: ${Math.round(100 * share)} %`));
      showMessage(`${file.name} was added.`);
    } catch (error) { showError(error.message); }
  }
  await loadFiles();
  if (last) await openFile(last.id);
}

async function playResult(job) {
  chooseTab("edit");
  await show(await get(`/api/files/${job.result_file}`));
}

// Preview ------------------------------------------------------------------------------------------------------------

function onFrame(header) {
  byId("clock").textContent = timeText(header.at);
  byId("scrub").value = Math.round(header.at * player.file.fps);
  byId("badge").hidden = !header.note;
  byId("badge").textContent = header.note ?? "";
  if (header.fps) byId("speed").textContent = `${header.fps.toFixed(1)} frames per second, ${header.quality}`;
}

function onState() {
  byId("play").textContent = player.playing ? "Pause" : "Play";
  if (!player.playing) { byId("speed").textContent = ""; player.refresh(); }
}

function listenToPreview() {
  byId("play").addEventListener("click", () => player.toggle());
  byId("back").addEventListener("click", () => player.step(-1));
  byId("forward").addEventListener("click", () => player.step(1));
  byId("scrub").addEventListener("input", () => player.seek(Number(byId("scrub").value) / player.file.fps));
  byId("trim-start").addEventListener("click", () => trimTo(Math.min(player.at, state.trim[1]), state.trim[1]));
  byId("trim-end").addEventListener("click", () =>
    trimTo(state.trim[0], Math.max(state.trim[0], Math.min(player.file.duration, player.at + 1 / player.file.fps))));
  byId("boxes").addEventListener("change", () => { viewer.showBoxes = byId("boxes").checked; viewer.draw(); });
  byId("loupe").addEventListener("change", () => { viewer.showLoupe = byId("loupe").checked; viewer.draw(); });
  byId("zoom").addEventListener("change", () => { viewer.zoom = byId("zoom").value; viewer.draw(); player.refresh(); });
  const inField = (target) => ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName) && target.type !== "checkbox";
  document.addEventListener("keydown", (event) => {
    if (!player.file || byId("view-edit").hidden || inField(event.target) || event.ctrlKey || event.metaKey) return;
    if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); player.toggle(); }
    else if (event.key === "ArrowLeft") player.step(-1);
    else if (event.key === "ArrowRight") player.step(1);
    else if (event.key === "b") { viewer.holdBefore = true; viewer.draw(); }
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === "b") { viewer.holdBefore = false; viewer.draw(); }
  });
}

// Export -------------------------------------------------------------------------------------------------------------

function listenToExport() {
  for (const id of ["strength", "texture", "scale", "model", "format", "quality"]) {
    byId(id).addEventListener("input", settingsChanged);
  }
  byId("output").addEventListener("input", () => { byId("output").dataset.edited = "yes"; showCommand(); });
  byId("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId("command").textContent);
    showMessage("The command was copied.");
  });
  byId("estimate").addEventListener("click", async () => {
    byId("estimate-result").textContent = "Encoding a sample...";
    try {
      const found = await post("/api/estimate", exportSettings());
      byId("estimate-result").textContent =
        `About ${durationText(found.seconds)} and ${bytesText(found.bytes)} (the source has ${bytesText(found.source_bytes)}).`;
    } catch (error) { byId("estimate-result").textContent = ""; showError(error.message); }
  });
  byId("export").addEventListener("click", async () => {
    try {
      const job = await post("/api/jobs", exportSettings());
      showMessage(`Exporting to ${job.output}. The queue shows the progress.`);
    } catch (error) { showError(error.message); }
  });
}

// Start --------------------------------------------------------------------------------------------------------------

function chooseTab(name) {
  for (const tab of ["edit", "queue", "camera"]) {
    byId(`view-${tab}`).hidden = tab !== name;
    byId(`tab-${tab}`).setAttribute("aria-selected", String(tab === name));
  }
  if (name !== "camera") camera.stop();
  if (name !== "edit") player.pause();
}

function listenToDrops() {
  byId("upload").addEventListener("change", () => addFiles(byId("upload").files));
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    chooseTab("edit");
    addFiles(event.dataTransfer.files);
  });
}

function listenToEvents() {
  const events = new EventSource("/api/events");
  events.addEventListener("jobs", (event) => jobs.show(JSON.parse(event.data)));
  events.addEventListener("people", (event) => people.progress(JSON.parse(event.data)));
  events.addEventListener("files", loadFiles);
  events.addEventListener("error", () => showError("The connection to the studio was lost. The page connects again by itself."));
  events.addEventListener("open", () => { if (byId("message").textContent.startsWith("The connection")) showMessage(""); });
}

async function start() {
  for (const tab of ["edit", "queue", "camera"]) byId(`tab-${tab}`).addEventListener("click", () => chooseTab(tab));
  listenToDrops();
  listenToPreview();
  listenToExport();
  listenToEvents();
  try {
    const options = await get("/api/options");
    state.formats = options.formats;
    byId("model").replaceChildren(...options.models.map((name) => element("option", { value: name, textContent: name })));
    byId("format").replaceChildren(...options.formats.map(({ name, title }) => element("option", { value: name, textContent: title })));
    settingsChanged();
    await camera.listDevices();
    await loadFiles();
    if (state.files.length === 1) await openFile(state.files[0].id);
  } catch (error) { showError(error.message); }
}

start();
