// The queue of exports.

import { post, remove } from "./api.js";
import { byId, bytesText, durationText, element, showError } from "./page.js";

const STATES = { waiting: "Waiting", running: "Running", paused: "Paused", done: "Done", failed: "Failed", cancelled: "Cancelled" };

export class Jobs {
  constructor({ onPlay }) {
    this.onPlay = onPlay;
    this.cards = new Map();
  }

  show(jobs) {
    byId("queue-empty").hidden = jobs.length > 0;
    const open = jobs.filter((job) => ["waiting", "running", "paused"].includes(job.state)).length;
    byId("queue-count").textContent = open ? `(${open})` : "";
    byId("jobs").replaceChildren(...jobs.map((job) => this.#card(job)).reverse());
  }

  #card(job) {
    const card = element("li", { className: "job" },
      element("p", {}, element("strong", { textContent: job.source_name }), ` to ${job.output}`),
      element("progress", { max: 1, value: job.progress, ariaLabel: `Progress of ${job.source_name}` }),
      element("p", { textContent: this.#status(job) }));
    if (job.error) card.append(element("p", { className: "error", textContent: job.error }));
    const buttons = element("div");
    const add = (text, action) => {
      const button = element("button", { textContent: text });
      button.addEventListener("click", async () => {
        try { await action(); } catch (error) { showError(error.message); }
      });
      buttons.append(button);
    };
    const act = (name) => () => post(`/api/jobs/${job.id}/${name}`);
    if (job.state === "running") add("Pause", act("pause"));
    if (job.state === "paused") add("Resume", act("resume"));
    if (["running", "waiting", "paused"].includes(job.state)) add("Cancel", act("cancel"));
    if (["failed", "cancelled"].includes(job.state)) add("Retry", act("retry"));
    if (job.state === "done") {
      add("Play beside the source", () => this.onPlay(job));
      add("Open the folder", act("reveal"));
      if (job.has_report) {
        buttons.append(element("a", { href: `/api/jobs/${job.id}/report`, target: "_blank", textContent: "Report" }));
      }
    }
    if (["done", "failed", "cancelled"].includes(job.state)) add("Remove from list", () => remove(`/api/jobs/${job.id}`));
    card.append(buttons);
    card.dataset.job = job.id;
    card.dataset.state = job.state;
    return card;
  }

  #status(job) {
    const parts = [STATES[job.state]];
    if (job.state === "running") {
      parts.push(`${Math.round(100 * job.progress)} %`);
      if (job.fps) parts.push(`${job.fps.toFixed(1)} frames per second`);
      if (job.seconds_left != null) parts.push(`about ${durationText(job.seconds_left)} left`);
    }
    if (job.state === "done" && job.bytes) parts.push(bytesText(job.bytes));
    return parts.join(", ");
  }
}
