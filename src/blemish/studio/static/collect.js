// Collect: items that were kept, many like them, exports and reports.

import { attempt, get, post } from "./api.js";
import { field, h, options, say } from "./dom.js";
import { reason, t } from "./i18n.js";
import { reportLink } from "./jobs.js";

const FORMATS = [["mvtec", "MVTec AD"], ["coco", "COCO"], ["yolo", "YOLO"], ["hf-imagefolder", "Hugging Face"]];
const KINDS = ["painted", "learned", "scratch", "blob", "spots", "real"];
const PAGE = 60;

export function collectView(shared) {
  const collect = new Collect(shared);
  return { element: collect.element, shown: () => collect.refresh() };
}

class Collect {
  constructor(shared) {
    Object.assign(this, { shared, set: "kept", items: [] });
    this.#build();
    shared.jobs.listen((jobs) => this.#showJobs(jobs));
  }

  async refresh() {
    const sets = await attempt(() => get("/api/sets"));
    if (!sets) return;
    options(this.sets, sets.map(({ name, items }) => [name, `${setName(name)} (${items})`]), this.set);
    this.set = this.sets.value;
    const { items = 0, kept = 0 } = sets.find((one) => one.name === this.set) ?? {};
    this.total = items;
    this.outcome.textContent = items ? t("set.outcome", { kept, doubtful: items - kept }) : "";
    this.items = [];
    await this.#more();
  }

  #build() {
    this.sets = h("select", { "aria-label": t("set"), onchange: () => (this.set = this.sets.value, this.refresh()) });
    this.cards = h("div", { class: "cards" });
    this.moreButton = h("button", { type: "button", hidden: true, onclick: () => this.#more() }, t("more"));
    this.outcome = h("span", { class: "quiet number" });
    const head = h("div", { class: "head" }, this.sets, this.outcome);
    const wide = h("section", { class: "wide", "aria-label": t("collect") }, head, this.cards, h("p", {}, this.moreButton));
    this.element = h("div", { class: "columns" }, wide, h("aside", { class: "side right" }, this.#like(), this.#export(), this.#report()));
  }

  #like() {
    this.count = h("input", { type: "number", min: "1", max: "100000", value: "500", class: "grow" });
    this.masks = options(h("select", { class: "grow" }), KINDS.filter((one) => one !== "real" || this.shared.about.real).map((one) => [one, one === "painted" ? t("masks.painted") : t(`kind.${one}`)]), "painted");
    this.everywhere = h("input", { type: "checkbox" });
    const all = h("label", { class: "check" }, this.everywhere, t("everywhere"));
    const allow = () => (this.everywhere.disabled = this.masks.value === "painted");
    this.masks.addEventListener("change", allow);
    allow();
    const recipe = h("button", { type: "button", onclick: () => this.#showRecipe() }, t("show.recipe"));
    const run = h("button", { type: "button", class: "primary", onclick: () => this.#run() }, t("run"));
    this.runs = h("ul", { class: "jobs" });
    return h("section", {}, h("h2", {}, t("like")), field(t("count"), this.count), field(t("masks.from"), this.masks), all, h("div", { class: "row end" }, recipe, run), this.runs);
  }

  #export() {
    this.format = options(h("select", { class: "grow" }), FORMATS, "mvtec");
    this.pairs = h("input", { type: "checkbox" });
    this.holdOut = options(h("select", { class: "grow" }), [["0", "0 %"], ["0.1", "10 %"], ["0.2", "20 %"], ["0.3", "30 %"]], "0");
    const go = h("button", { type: "button", class: "primary", onclick: () => this.#exported() }, t("export.go"));
    this.exports = h("ul", { class: "jobs" });
    return h("section", {}, h("h2", {}, t("export")), field(t("format"), this.format), field(t("hold.out"), this.holdOut),
      h("label", { class: "check" }, this.pairs, t("pairs")), h("div", { class: "row end" }, go), this.exports);
  }

  #report() {
    const { real, reports } = this.shared.about;
    const go = h("button", { type: "button", disabled: !real, onclick: () => this.shared.jobs.start("/api/report", { set: this.set }) }, t("report.go"));
    this.reports = h("ul", { class: "jobs" });
    const older = reports.map((name) => h("li", {}, reportLink(name)));
    const hint = real ? null : h("p", { class: "quiet" }, t("report.needs"));
    return h("section", {}, h("div", { class: "row" }, h("h2", {}, t("report")), go), hint, this.reports, h("ul", {}, ...older));
  }

  async #more() {
    const first = this.items.length;
    const found = await attempt(() => get(`/api/items?set=${encodeURIComponent(this.set)}&first=${first}`));
    this.items = [...this.items, ...(found ?? [])];
    this.cards.replaceChildren(...this.items.map((item) => this.#card(item)));
    if (!this.items.length) this.cards.replaceChildren(h("p", { class: "blank" }, t("set.empty")));
    this.moreButton.hidden = this.items.length >= this.total || (found ?? []).length < PAGE;
  }

  #card(item) {
    const picture = item.shown ? h("img", { src: this.#picture(item, "closeup"), alt: "", loading: "lazy" }) : h("span", { class: "quiet" }, t("refused"));
    const show = h("button", { type: "button", "aria-label": t("show", { name: item.name }), disabled: !item.shown, onclick: () => this.#show(item) }, picture);
    const discard = this.set === "kept" ? h("button", { type: "button", class: "tiny plain", onclick: () => this.#discard(item) }, t("discard")) : null;
    const doubts = (item.reasons ?? []).map(reason).join("; ");
    return h("article", { class: "card" }, show, h("div", { class: "about" },
      h("div", { class: "row" }, h("b", { class: "line" }, item.type), discard),
      h("span", { class: "quiet line", title: item.photograph }, item.photograph),
      doubts ? h("span", { class: "doubt", title: doubts }, `△ ${doubts}`) : h("span", { class: "quiet" }, `${t("seed_n", { n: item.seed })}`)));
  }

  #picture(item, kind) {
    return `/api/items/${kind}.jpg?set=${encodeURIComponent(this.set)}&item=${encodeURIComponent(item.name)}`;
  }

  #show(item) {
    const figure = (kind) => h("figure", {}, h("img", { src: this.#picture(item, kind), alt: t(kind) }), h("figcaption", {}, t(kind)));
    const command = item.command ? quoted(item.command) : "";
    const close = h("button", { type: "button", onclick: () => dialog.close() }, t("close"));
    const copy = h("button", { type: "button", onclick: () => navigator.clipboard.writeText(command).then(() => say(t("copied"))) }, t("copy.command"));
    const inside = h("div", { class: "inside" }, h("h2", {}, `${item.type} · ${item.name}`), h("div", { class: "pair" }, figure("image"), figure("twin")),
      command ? h("pre", {}, command) : null, h("div", { class: "row end" }, command ? copy : null, close));
    const dialog = h("dialog", { "aria-label": item.name, onclose: () => dialog.remove() }, inside);
    document.body.append(dialog);
    dialog.showModal();
  }

  async #discard(item) {
    if (!(await attempt(() => post("/api/discard", { item: item.name })))) return;
    const restore = async () => {
      if (await attempt(() => post("/api/restore", { item: item.name }))) say(t("restored"));
      this.refresh();
    };
    say(t("discarded"), { detail: item.name, action: { name: t("undo"), run: restore } });
    this.refresh();
  }

  #wish() {
    const everywhere = this.everywhere.checked && this.masks.value !== "painted";
    return { count: Math.max(1, Number(this.count.value) || 1), masks: this.masks.value, everywhere };
  }

  async #showRecipe() {
    const found = await attempt(() => post("/api/recipe", this.#wish()));
    if (!found) return;
    const close = h("button", { type: "button", onclick: () => dialog.close() }, t("close"));
    const inside = h("div", { class: "inside" }, h("h2", {}, t("recipe")), h("pre", {}, found.recipe), h("div", { class: "row end" }, close));
    const dialog = h("dialog", { "aria-label": t("recipe"), onclose: () => dialog.remove() }, inside);
    document.body.append(dialog);
    dialog.showModal();
  }

  #run() {
    return this.shared.jobs.start("/api/run", this.#wish());
  }

  #exported() {
    const wish = { set: this.set, format: this.format.value, pairs: this.pairs.checked, hold_out: Number(this.holdOut.value) };
    return this.shared.jobs.start("/api/export", wish);
  }

  #showJobs(jobs) {
    for (const [list, kind] of [[this.runs, "run"], [this.exports, "export"], [this.reports, "report"]]) {
      list.replaceChildren(...jobs.filter((one) => one.kind === kind).slice(0, 4).map((one) => this.shared.jobs.card(one)));
    }
    const finished = jobs.filter((one) => one.kind === "run" && one.state !== "running").length;
    if (this.finished !== undefined && finished !== this.finished && this.shared.view === "collect") this.refresh();
    this.finished = finished;
  }
}

function setName(name) {
  return name === "kept" ? t("kept.set") : t("run.set", { name: name.replace(/^runs\//, "") });
}

/** A command as a shell takes it. */
function quoted(words) {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}
