// The queue of exports. Cards are changed in place, so that buttons keep the focus while progress arrives.

import { post, remove } from "./api.js";
import { byId, bytesText, durationText, element, showError } from "./page.js";

const STATES = { waiting: "Waiting", running: "Running", paused: "Paused", done: "Done", failed: "Failed", cancelled: "Cancelled" };
const OPEN = ["waiting", "running", "paused"];

export class Jobs {
  constructor({ onCompare }) {
    this.onCompare = onCompare;
    this.cards = new Map();
  }

  show(jobs) {
    byId("queue-empty").hidden = jobs.length > 0;
    const open = jobs.filter((job) => OPEN.includes(job.state)).length;
    byId("queue-count").textContent = open ? `(${open})` : "";
    const running = jobs.find((job) => job.state === "running");
    document.title = `${running ? `${Math.round(100 * running.progress)} % - ` : ""}crsr-video studio`;
    for (const [id, card] of this.cards) {
      if (!jobs.some((job) => job.id === id)) { card.item.remove(); this.cards.delete(id); }
    }
    for (const job of jobs) {
      if (!this.cards.has(job.id)) {
        this.cards.set(job.id, this.#card(job));
        byId("jobs").prepend(this.cards.get(job.id).item);
      }
      this.#update(this.cards.get(job.id), job);
    }
  }

  #card(job) {
    const bar = element("progress", { max: 1, ariaLabel: `Progress of ${job.source_name}` });
    const status = element("p");
    const error = element("p", { className: "error", hidden: true });
    const buttons = element("div");
    const item = element("li", { className: "job" },
      element("p", {}, element("strong", { textContent: job.source_name }), ` to ${job.output}`), bar, status, error, buttons);
    item.dataset.job = job.id;
    return { item, bar, status, error, buttons };
  }

  #update({ item, bar, status, error, buttons }, job) {
    bar.value = job.progress;
    status.textContent = this.#status(job);
    error.textContent = job.error;
    error.hidden = !job.error;
    if (item.dataset.state === job.state) return;
    item.dataset.state = job.state;
    const hadFocus = buttons.contains(document.activeElement);
    buttons.replaceChildren(...this.#buttons(job));
    if (hadFocus) buttons.firstElementChild?.focus();
  }

  #buttons(job) {
    const button = (text, action) => {
      const made = element("button", { textContent: text });
      made.addEventListener("click", async () => {
        made.disabled = true;
        try { await action(); } catch (error) { showError(error.message); }
        made.disabled = false;
      });
      return made;
    };
    const act = (name) => () => post(`/api/jobs/${job.id}/${name}`);
    const made = [];
    if (["running", "waiting"].includes(job.state)) made.push(button("Pause", act("pause")));
    if (job.state === "paused") made.push(button("Resume", act("resume")));
    if (OPEN.includes(job.state)) made.push(button("Cancel", act("cancel")));
    if (["failed", "cancelled"].includes(job.state)) made.push(button("Retry", act("retry")));
    if (job.state === "done") {
      made.push(button("Play beside the source", () => this.onCompare(job)), button("Open the folder", act("reveal")));
      made.push(element("a", { href: `/api/files/${job.result_file}/content`, download: "", textContent: "Download" }));
      if (job.has_report) {
        made.push(element("a", { href: `/api/jobs/${job.id}/report`, target: "_blank", textContent: "Report" }));
      }
    }
    if (!OPEN.includes(job.state)) made.push(button("Remove from list", () => remove(`/api/jobs/${job.id}`)));
    return made;
  }

  #status(job) {
    const parts = [STATES[job.state]];
    if (job.state === "running" || job.state === "paused") parts.push(`${Math.round(100 * job.progress)} %`);
    if (job.state === "running") {
      if (job.fps) parts.push(`${job.fps.toFixed(1)} frames per second`);
      if (job.seconds_left != null) parts.push(`about ${durationText(job.seconds_left)} left`);
    }
    if (job.state === "done" && job.bytes) parts.push(bytesText(job.bytes));
    return parts.join(", ");
  }
}
