"use strict";
// Two loops ask for what is new: the picture, before and after of the same frame in one answer, and
// the figures. Each asks again only when the last answer was shown, so nothing piles up.

const SHOWN = 120; // figures in a curve: two minutes, at one a second
const at = (id) => document.getElementById(id);
const canvas = at("picture"), slider = at("cut"), pair = at("pair");
const paper = canvas.getContext("2d", { alpha: false });
const history = [];
let halves = null, held = false, over = false, level = null;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function say(state, words, bad) {
  at("state").textContent = state;
  at("state").classList.toggle("bad", bad);
  at("words").textContent = words;
}

function status() {
  if (over) say("ended", "The stream has ended. This is its last picture.", true);
  else if (held) say("held", "The picture is held; the stream goes on. Space lets it go on here.", false);
  else if (halves === null) say("waiting", "No picture has come yet.", false);
  else if (level === null) say("live", "", false);
  else if (level === "full") say("live", "Full quality.", false);
  else say("reduced", "To keep up: " + level + ".", true);
}

function end() {
  over = true;
  pair.classList.add("over");
  status();
}

function draw() {
  pair.style.setProperty("--cut", slider.value + "%");
  if (halves === null) return;
  const [before, after] = halves;
  const width = before.width, height = before.height;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const cut = Math.round((width * slider.value) / 100);
  paper.drawImage(after, 0, 0);
  if (cut > 0) paper.drawImage(before, 0, 0, cut, height, 0, 0, cut, height);
}

// What is newer than `number`; null: nothing yet.
async function ask(what, number) {
  const answer = await fetch(`${what}?after=${number}`);
  if (answer.status === 410) end();
  if (answer.status === 503) {
    say("full", "Too many are watching already; this page tries again.", true);
    await pause(2000);
  }
  return answer.status === 200 ? answer : null;
}

async function watch(what, take) {
  let number = 0, failures = 0;
  while (!over) {
    if (document.hidden || (held && what === "picture")) {
      await pause(100);
      continue;
    }
    try {
      const answer = await ask(what, number);
      failures = 0;
      if (answer !== null) {
        number = Number(answer.headers.get("X-Number"));
        await take(answer);
      }
    } catch {
      failures += 1;
      if (failures >= 3) end(); // The program has gone without a word.
      await pause(200);
    }
  }
}

async function showPicture(answer) {
  const data = await answer.blob(), split = Number(answer.headers.get("X-Split"));
  const parts = [data.slice(0, split), data.slice(split)];
  const next = await Promise.all(parts.map((part) => createImageBitmap(part)));
  if (halves !== null) halves.forEach((half) => half.close());
  halves = next;
  draw();
  status();
}

const milliseconds = (value) => (value === undefined ? "–" : Math.round(value) + " ms");
const count = (value) => (value === undefined ? "–" : String(value));
const rate = (value) => (value === undefined ? "–" : value.toFixed(1));

async function showFigures(answer) {
  const told = await answer.json();
  const late = told.latency || {};
  const shown = {
    p50: milliseconds(late.p50_ms), p95: milliseconds(late.p95_ms), p99: milliseconds(late.p99_ms),
    in: rate(told.fps_in), out: rate(told.fps_out),
    dropped: count(told.dropped), faces: count(told.faces), steps: count(told.steps),
  };
  for (const place of document.querySelectorAll("[data-of]")) place.textContent = shown[place.dataset.of];
  history.push([late.p95_ms || 0, told.fps_in || 0, told.fps_out || 0]);
  if (history.length > SHOWN) history.shift();
  curve(["latency"], [0], "latency-high");
  curve(["rate-in", "rate-out"], [1, 2], "rate-high");
  stages(told.stages || {});
  level = told.level === undefined ? null : told.level;
  status();
}

function curve(names, columns, label) {
  const values = columns.flatMap((column) => history.map((moment) => moment[column]));
  const step = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((s) => s >= Math.max(...values) / 2);
  const high = Math.max(1, Math.ceil(Math.max(...values) / (step || 10000))) * (step || 10000);
  at(label).textContent = high;
  names.forEach((name, index) => {
    const points = history.map((moment, x) => {
      const right = 300 - (300 * (history.length - 1 - x)) / (SHOWN - 1);
      return `${right.toFixed(1)},${(84 - (84 * moment[columns[index]]) / high).toFixed(1)}`;
    });
    at(name).setAttribute("points", points.join(" "));
  });
}

function stages(times) {
  const most = Math.max(1, ...Object.values(times));
  at("stages").replaceChildren(
    ...Object.entries(times).flatMap(([name, ms]) => {
      const term = document.createElement("dt"), value = document.createElement("dd");
      const bar = document.createElement("span");
      term.textContent = name;
      value.textContent = ms.toFixed(1);
      bar.className = "bar";
      bar.style.width = (100 * ms) / most + "%";
      return [term, value, bar];
    }),
  );
}

slider.addEventListener("input", draw);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === " ") {
    held = !held && !over;
    status();
    event.preventDefault();
  } else if (document.activeElement !== slider) {
    const value = Number(slider.value);
    const moved = { ArrowLeft: value - 1, ArrowRight: value + 1, Home: 0, End: 100 }[event.key];
    if (moved === undefined) return;
    slider.value = moved;
    draw();
    event.preventDefault();
  }
});
draw();
watch("picture", showPicture);
watch("figures", showFigures);
