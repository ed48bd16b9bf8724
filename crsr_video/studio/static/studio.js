// The page: joins files, preview, people, export, queue and camera.

import { get } from "./api.js";
import { Camera } from "./camera.js";
import { Controls } from "./controls.js";
import { ExportForm } from "./export.js";
import { Files } from "./files.js";
import { Jobs } from "./jobs.js";
import { Memory } from "./memory.js";
import { byId, element, settled, showError, showMessage } from "./page.js";
import { People } from "./people.js";
import { Player } from "./player.js";
import { Tabs } from "./tabs.js";
import { Trim } from "./trim.js";
import { Viewer } from "./viewer.js";

const THUMBNAILS = 12;
const RECONNECT_MILLISECONDS = 3000;
const memory = new Memory();
let opened = 0;

const viewer = new Viewer(byId("picture"), {
  onPickFace: (id) => people.select(id),
  onDivide: (share) => { byId("divider").value = Math.round(100 * share); },
});
const people = new People({
  onChange: () => form.changed(),
  onSelect: (id) => { viewer.selected = id; viewer.draw(); },
});
const player = new Player({
  viewer,
  settings: () => form.settings(),
  onFrame: (header) => { controls.showFrame(header); remember(); },
  onState: () => controls.showState(),
  onError: (error) => showError(error.message),
});
const trim = new Trim({ onChange: () => form.rangeChanged(), onSeek: (seconds) => player.seek(seconds) });
const form = new ExportForm({ player, trim, people, onChange: () => remember(), onShowQueue: () => tabs.choose("queue") });
const controls = new Controls({ viewer, player, trim, isShown: () => tabs.chosen === "edit" });
const jobs = new Jobs({ onCompare: compare });
const camera = new Camera();
const files = new Files({ onOpen: (id) => openFile(id, { takesFocus: true }), onDrop: () => tabs.choose("edit") });
const tabs = new Tabs({ onChoose: followTab });
const remember = settled(store, 200);

function followTab(name) {
  if (name !== "camera") camera.stop();
  if (name !== "edit") player.pause();
  remember();
}

function store() {
  const { file } = player;
  memory.store({
    tab: tabs.chosen,
    choices: form.choices,
    openFile: file?.id,
    file: file && { at: player.at, start: trim.start, end: trim.end, people: people.choices },
  });
}

// Opens a file where it was left, or shows the export `job` as its picture after.
async function openFile(id, { job = null, takesFocus = false } = {}) {
  const number = ++opened;
  if (player.file) store();
  files.mark(id);
  showMessage("Opening the file...", { stays: true });
  try {
    const file = await get(`/api/files/${id}`);
    if (number === opened) await show(file, memory.file(id), job, takesFocus);
  } catch (error) {
    if (number !== opened) return;
    closeFile();
    showError(error.message);
  }
}

function closeFile() {
  player.close();
  files.mark(null);
  people.open(null);
  trim.close();
  byId("comparing").hidden = true;
  byId("thumbnails").replaceChildren();
  controls.follow(null);
  form.follow(null);
}

async function show(file, left, job, takesFocus) {
  showMessage("Preparing the picture...", { stays: true });
  byId("comparing").hidden = !job;
  if (job) byId("comparing-text").textContent = `Left: the source. Right: ${job.output}`;
  byId("thumbnails").replaceChildren(...(file.kind === "image" ? [] : Array.from({ length: THUMBNAILS }, (_, index) =>
    element("img", { alt: "", src: `/api/files/${file.id}/thumbnail?at=${(file.duration * (index + 0.5) / THUMBNAILS).toFixed(3)}` }))));
  const found = people.open(file, left.people ?? {});
  viewer.clear();
  const picture = player.open(file, { job: job?.id ?? "", at: job?.start ?? left.at ?? 0 });
  controls.follow(file);
  form.follow(file);
  trim.open(file, left.start, left.end);
  if (takesFocus) byId("viewer").focus({ preventScroll: true }); // Otherwise Space would open the file again.
  if (await picture) showMessage("");
  await found;
}

// Shows the result of an export as the picture after. Its source may have been moved meanwhile.
async function compare(job) {
  tabs.choose("edit");
  await openFile(job.source_file, { job });
}

// Follows the events of the studio. A browser connects again by itself while the server is away, but not after an
// answer with an error: a studio that was started anew does not know this page's cookie.
function listenToEvents() {
  const events = new EventSource("/api/events");
  let wasLost = false;
  events.addEventListener("jobs", (event) => jobs.show(JSON.parse(event.data)));
  events.addEventListener("people", (event) => people.progress(JSON.parse(event.data)));
  events.addEventListener("files", () => files.reload());
  events.addEventListener("problem", (event) => showError(JSON.parse(event.data).error));
  events.addEventListener("error", () => {
    wasLost = true;
    if (events.readyState === EventSource.CLOSED) {
      showError("The studio was started again. Open the address that it printed in the terminal.");
      setTimeout(listenToEvents, RECONNECT_MILLISECONDS);
    } else showError("The studio does not answer. The page connects again as soon as it runs.");
  });
  events.addEventListener("open", () => {
    if (!wasLost) return;
    wasLost = false;
    showMessage("The page is connected to the studio again.");
    files.reload();
    people.reload();
  });
  window.addEventListener("pagehide", () => events.close());
}

async function start() {
  byId("compare-end").addEventListener("click", () => openFile(player.file.id));
  window.addEventListener("pagehide", store);
  const { tab, choices, openFile: last } = memory;
  try {
    people.open(null);
    await form.load(choices);
    listenToEvents();
    if (tab) tabs.choose(tab);
    await Promise.all([camera.listDevices(), files.load()]);
    if (files.has(last)) await openFile(last);
    else if (files.files.length === 1) await openFile(files.files[0].id);
  } catch (error) { showError(error.message); }
}

start();
