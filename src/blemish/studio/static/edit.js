// Edit: parts changed by their codes, looks of real defects, and repair.

import { attempt, bitmap, get } from "./api.js";
import { field, grow, h, options } from "./dom.js";
import { DefectMode } from "./edit_defect.js";
import { PartMode } from "./edit_part.js";
import { RepairMode } from "./edit_repair.js";
import { t } from "./i18n.js";
import { listenForKeys } from "./keys.js";
import { EMPTY, Mask } from "./mask.js";
import { PhotoList } from "./photos.js";
import { COLOURS, Stage } from "./stage.js";
import { StatusBar } from "./status.js";
import { MaskTools } from "./tools.js";

const MODES = { part: PartMode, defect: DefectMode, repair: RepairMode };

export function editView(shared) {
  const edit = new Edit(shared);
  return { element: edit.element, shown: () => edit.shown() };
}

class Edit {
  constructor(shared) {
    Object.assign(this, { shared, current: null, able: null, mask: null, masks: new Map(), turn: 0 });
    this.canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": t("canvas") });
    this.stage = new Stage(this.canvas, { stroked: (mask, before) => this.#stroked(mask, before), moved: () => this.status.refresh() });
    this.status = new StatusBar(this.stage);
    this.tools = new MaskTools(this.stage, {
      layer: () => this.stage.layers[0],
      changed: () => this.#masked(),
      type: () => "",
      save: null,
    });
    this.#build();
    listenForKeys(() => this.shared.view === "edit" && this.mode !== this.modes.part, this.stage, this.tools, () => this.#keys());
  }

  /** Load what the view needs when it is shown for the first time. */
  async shown() {
    this.stage.draw();
    const about = (await get("/api/about").catch(() => null)) ?? this.shared.about;
    options(this.bundle, about.bundles.map((name) => [name, name.split("/").pop()]), this.bundle.value || about.bundle);
    await this.photos.refresh();
    for (const mode of Object.values(this.modes)) mode.photographsChanged(this.photos.known);
    if (!this.able) await this.#bundleChanged();
    const first = this.photos.first();
    if (first && !this.current) await this.#open(first.id);
  }

  /** Show a defect or a repair on the canvas, or nothing and why. */
  show(found, hint = "") {
    this.stage.result = found;
    this.stage.draw();
    this.foreign.hidden = !found?.out_of_domain;
    this.hint.textContent = hint;
    if (found) this.done();
  }

  working() {
    this.hint.textContent = t("working");
  }

  /** Note for tests that a result is shown. */
  done() {
    this.element.dataset.shown = ++this.turn;
  }

  setMask(runs) {
    this.tools.replace(this.mask, runs);
  }

  #build() {
    const view = h("div", { class: "view" }, this.canvas);
    this.photos = new PhotoList((id) => this.#open(id), view);
    this.strip = h("div", { class: "variants", hidden: true });
    this.modes = Object.fromEntries(Object.entries(MODES).map(([name, Mode]) => [name, new Mode(this)]));
    this.painting = [this.tools.element, view, this.strip, this.status.element];
    const middle = h("section", { class: "stage", "aria-label": t("edit") }, ...this.painting);
    middle.append(this.modes.part.middle);
    this.element = h("div", { class: "place" }, this.photos.element, middle, this.#panel());
    this.#choose(sessionStorage.getItem("mode") ?? "part");
  }

  #panel() {
    this.bundle = h("select", { onchange: () => this.#bundleChanged() });
    this.tabs = Object.keys(MODES).map((name) => h("button", { type: "button", "data-mode": name, "aria-pressed": "false", onclick: () => this.#choose(name) }, t(`mode.${name}`)));
    this.hint = h("p", { class: "quiet", "aria-live": "polite" });
    this.foreign = h("ul", { class: "said", hidden: true }, h("li", { class: "bad" }, t("foreign")));
    this.panels = h("div", {});
    this.bar = h("div", { class: "keepbar" });
    return h("aside", { class: "side right" },
      h("section", {}, h("div", { class: "modes", role: "group", "aria-label": t("edit") }, ...this.tabs), field(t("bundle"), grow(this.bundle)), this.foreign, this.hint),
      this.panels, this.bar);
  }

  #choose(name) {
    this.mode = this.modes[name] ?? this.modes.part;
    sessionStorage.setItem("mode", name);
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", `${this.modes[tab.dataset.mode] === this.mode}`);
    const isPart = this.mode === this.modes.part;
    for (const one of this.painting) one.hidden = isPart || one === this.strip;
    this.modes.part.middle.hidden = !isPart;
    this.hint.textContent = "";
    this.foreign.hidden = true;
    this.panels.replaceChildren(...this.mode.panel, ...(this.mode.missing ? [this.mode.missing] : []));
    this.bar.replaceChildren(...this.mode.bar);
    this.stage.result = null;
    if (this.current && this.able) this.mode.opened();
  }

  async #bundleChanged() {
    const found = await attempt(() => get(`/api/editing?bundle=${encodeURIComponent(this.bundle.value)}`));
    if (!found) return;
    this.able = found;
    for (const mode of Object.values(this.modes)) mode.bundleChanged();
    if (this.current) this.mode.opened();
  }

  async #open(id) {
    if (this.current?.id === id) return;
    this.opening = id;
    const found = await attempt(() => get(`/api/photographs/${id}`));
    const preview = found && (await attempt(() => bitmap(`/api/photographs/${id}/preview`)));
    if (!preview || this.opening !== id) return;
    sessionStorage.setItem("photograph", id);
    if (this.current) this.masks.set(this.current.id, this.mask.runs());
    this.current = { ...found, id };
    this.photos.mark(id);
    this.mask = new Mask(found.width, found.height);
    this.mask.setRuns(this.masks.get(id) ?? EMPTY);
    this.stage.open(this.current, preview);
    this.tools.open(this.current);
    this.stage.setLayers([{ mask: this.mask, colour: COLOURS[0] }], 0);
    if (this.able) this.mode.opened();
  }

  #stroked(mask, before) {
    this.tools.stroked(mask, before);
    this.mode.changed();
  }

  #masked() {
    this.stage.result = null;
    this.stage.setLayers(this.stage.layers, 0);
    this.mode.changed();
  }

  #keys() {
    const step = (by) => () => this.photos.step(by, this.opening ?? this.current?.id);
    return { ...this.tools.keys(), arrowleft: step(-1), arrowup: step(-1), arrowright: step(1), arrowdown: step(1), b: () => this.status.toggle() };
  }
}
