// Train: check a folder of data, train a bundle, and watch it learn.

import { attempt, get } from "./api.js";
import { curve, field, h } from "./dom.js";
import { chooseFolder } from "./folders.js";
import { t } from "./i18n.js";

export function trainView(shared) {
  const train = new Train(shared);
  return { element: train.element, shown: () => train.shown() };
}

class Train {
  constructor(shared) {
    Object.assign(this, { shared, data: "", checkJob: null });
    this.#build();
    shared.jobs.listen((jobs) => this.#follow(jobs));
  }

  shown() {
    this.#follow(this.shared.jobs.known);
  }

  #build() {
    this.found = h("section", { class: "block", hidden: true, "aria-live": "polite" });
    this.watched = h("div", {});
    const wide = h("section", { class: "wide", "aria-label": t("train") }, this.found, this.watched);
    this.element = h("div", { class: "columns" }, wide, h("aside", { class: "side right" }, this.#dataForm(), this.#trainForm()));
  }

  #dataForm() {
    this.folder = h("code", { class: "grow" }, t("folder.root"));
    const choose = h("button", { type: "button", onclick: () => this.#choose() }, t("choose.folder"));
    const check = h("button", { type: "button", onclick: () => this.#check() }, t("check"));
    return h("section", {}, h("h2", {}, t("data")), h("div", { class: "field" }, h("span", {}, t("data.folder")), h("span", { class: "row" }, this.folder, choose)), h("div", { class: "row end" }, check));
  }

  #trainForm() {
    this.name = h("input", { type: "text", value: "my-part", maxlength: "60", class: "grow", spellcheck: "false" });
    this.minutes = h("input", { type: "number", min: "1", max: "10080", value: "60", class: "grow" });
    this.everything = h("input", { type: "checkbox" });
    this.trainings = h("ul", { class: "jobs" });
    const start = h("button", { type: "button", class: "primary", onclick: () => this.#start() }, t("start"));
    return h("section", {}, h("h2", {}, t("training")), field(t("name"), this.name), field(t("minutes"), this.minutes),
      h("label", { class: "check" }, this.everything, t("everything")), h("p", { class: "quiet" }, t("everything.hint")), h("p", { class: "quiet" }, t("train.hint")),
      h("div", { class: "row end" }, start), this.trainings);
  }

  async #choose() {
    const path = await chooseFolder();
    if (path === null) return;
    this.data = path;
    this.folder.textContent = path || t("folder.root");
  }

  async #check() {
    this.found.hidden = false;
    this.found.replaceChildren(h("h3", {}, t("data")), h("p", { class: "quiet" }, t("checking")), h("progress", { "aria-label": t("checking") }));
    this.checkJob = (await this.shared.jobs.start("/api/check", { path: this.data }))?.id ?? null;
    if (!this.checkJob) this.found.hidden = true;
    else this.#follow(this.shared.jobs.known);
  }

  #start() {
    const wish = { data: this.data, name: this.name.value.trim(), minutes: Math.max(1, Number(this.minutes.value) || 60), everything: this.everything.checked };
    return this.shared.jobs.start("/api/train", wish);
  }

  async #follow(jobs) {
    const trainings = jobs.filter((one) => one.kind === "train");
    this.trainings.replaceChildren(...trainings.slice(0, 5).map((one) => this.shared.jobs.card(one)));
    const check = jobs.find((one) => one.id === this.checkJob);
    if (check && check.state !== "running") await this.#showCheck(check);
    if (this.shared.view === "train") await this.#watch(trainings[0]);
  }

  async #showCheck(job) {
    this.checkJob = null;
    const answer = await attempt(() => get(`/api/jobs/${job.id}/check`));
    if (answer?.check) return this.found.replaceChildren(...this.#checked(answer.check));
    const detail = await attempt(() => get(`/api/jobs/${job.id}`));
    this.found.replaceChildren(h("h3", {}, t("data")), h("pre", {}, detail?.log ?? ""));
  }

  #checked(check) {
    const head = ["split", "type"].map((name) => h("th", {}, t(name)));
    head.push(h("th", { class: "number" }, t("photographs")), h("th", {}, t("sizes")), h("th", {}, t("area")));
    const rows = check.rows.map((row) => {
      const sizes = row.sizes.slice(0, 3).map(([w, hh]) => `${w} × ${hh}`).join(", ") + (row.sizes.length > 3 ? ", …" : "");
      const area = (row.mask_percent ?? []).map((one) => one.toFixed(2)).join(" / ");
      return h("tr", {}, h("td", {}, row.split), h("td", {}, row.kind), h("td", { class: "number" }, `${row.count}`), h("td", {}, sizes), h("td", {}, area));
    });
    const said = (title, list) => (list.length ? [h("h3", {}, title), h("ul", { class: "said" }, ...list.slice(0, 200).map((one) => h("li", {}, h("b", {}, one.path), ` ${one.text}`)))] : []);
    const good = check.complaints.length ? h("p", { class: "state failed" }, t("check.problems", { n: check.complaints.length })) : h("p", { class: "state finished" }, `✓ ${t("check.fine")}`);
    return [h("h3", {}, check.root), h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows)), good, ...said(t("problems"), check.complaints), ...said(t("notes"), check.notes)];
  }

  /** Curves, samples and messages of the newest training. */
  async #watch(job) {
    if (!job) return this.watched.replaceChildren(h("p", { class: "blank" }, t("no.training")));
    const found = await get(`/api/jobs/${job.id}`).catch(() => null);
    if (!found) return;
    const curves = Object.entries(found.curves).filter(([, columns]) => Object.keys(columns).length);
    const blocks = curves.map(([stage, columns]) => this.#curves(stage, columns));
    if (found.sample) {
      const picture = h("img", { class: "grid-picture", src: `/api/jobs/${job.id}/sample.png?${encodeURIComponent(found.sample)}`, alt: t("samples") });
      blocks.push(h("section", { class: "block" }, h("h3", {}, `${t("samples")} · ${found.sample}`), picture));
    }
    if (found.log) blocks.push(h("section", { class: "block" }, h("h3", {}, t("log")), h("pre", { tabindex: "0" }, found.log)));
    this.watched.replaceChildren(h("div", { class: "head" }, h("h2", {}, job.title), h("span", { class: `state ${job.state}` }, t(`state.${job.state}`))), ...blocks);
  }

  #curves(stage, columns) {
    const names = Object.keys(columns).filter((name) => name !== "kimg" && columns[name].some(Number.isFinite));
    const kimg = columns.kimg?.at(-1) ?? 0;
    const figures = names.map((name) => {
      const last = columns[name].filter(Number.isFinite).at(-1);
      return h("figure", {}, h("figcaption", {}, name, h("span", { class: "number" }, last.toPrecision(3))), curve(columns[name]));
    });
    return h("section", { class: "block" }, h("h3", {}, `${t("curves")} · ${stage} · ${kimg} kimg`), h("div", { class: "curves" }, ...figures));
  }
}
