// Long work: what runs, how far it is, and how it is stopped and resumed.

import { attempt, get, post } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

const EVERY = 1000;

export class Jobs {
  constructor() {
    Object.assign(this, { known: [], listeners: [] });
  }

  listen(listener) {
    this.listeners.push(listener);
    listener(this.known);
  }

  /** Ask the server, and again each second while something runs. */
  async refresh() {
    clearTimeout(this.timer);
    const found = await get("/api/jobs").catch(() => null);
    if (found) this.known = found;
    for (const listener of this.listeners) listener(this.known);
    if (this.known.some((one) => one.state === "running")) this.timer = setTimeout(() => this.refresh(), EVERY);
  }

  /** Start a job by a request. */
  async start(path, body) {
    const job = await attempt(() => post(path, body));
    await this.refresh();
    return job;
  }

  /** A card that shows a job. */
  card(job) {
    const bar = h("progress", { max: 1, "aria-label": job.title });
    if (job.total || job.state !== "running") bar.value = job.total ? job.done / job.total : job.state === "finished" ? 1 : 0;
    const counted = job.kind === "run" ? ` · ${job.done} / ${job.total}` : "";
    const state = h("span", { class: `state number ${job.state}` }, t(`state.${job.state}`) + counted);
    const act = (name, path) => h("button", { type: "button", class: "tiny", onclick: (event) => (event.target.disabled = true, this.start(path, {})) }, t(name));
    const buttons = [
      job.state === "running" ? act("stop", `/api/jobs/${job.id}/stop`) : null,
      job.resumable ? act("resume", `/api/jobs/${job.id}/resume`) : null,
    ];
    const where = job.folder && job.kind !== "report" ? h("code", {}, job.folder) : null;
    const why = job.message ? h("pre", {}, job.message) : null;
    const report = job.kind === "report" && job.state === "finished" ? reportLink(job.title) : null;
    return h("li", { class: "job" }, h("div", { class: "row" }, h("b", { title: job.title }, job.title), state, ...buttons), bar, where, report, why);
  }
}

export function reportLink(name) {
  return h("a", { href: `/reports/${encodeURIComponent(name)}`, target: "_blank", rel: "noopener" }, t("report.open", { name }));
}
