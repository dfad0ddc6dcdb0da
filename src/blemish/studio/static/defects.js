// The defects on a photograph, each with a mask, a type and a colour.

import { h, iconButton, options } from "./dom.js";
import { t } from "./i18n.js";
import { Mask } from "./mask.js";
import { COLOURS } from "./stage.js";

const MOST_DEFECTS = 16;

export class DefectList {
  /** @param stage canvas; @param events object with `types()`, `changed()` and `removed(mask)`. */
  constructor(stage, events) {
    Object.assign(this, { stage, events, layers: [], active: 0 });
    this.element = h("div", { class: "defects" });
  }

  /** Start with a photograph and what was painted on it before. */
  open(photograph, defects) {
    Object.assign(this, { photograph, layers: [], active: 0 });
    for (const one of defects) this.#append(one.type).mask.setRuns(one.mask);
    if (!this.layers.length) this.#append(this.events.types()[0]);
  }

  get layer() {
    return this.layers[this.active];
  }

  /** Those with a mask. */
  marked() {
    return this.layers.filter((one) => one.mask.area);
  }

  add() {
    if (!this.photograph || this.layers.length >= MOST_DEFECTS) return;
    const types = this.events.types();
    this.#append(types[this.layers.length % types.length]);
    this.#activate(this.layers.length - 1);
  }

  show() {
    this.refresh();
    this.stage.setLayers(this.layers, this.active);
  }

  /** Show the list alone; the stage has painted a stroke already. */
  refresh() {
    const types = this.events.types();
    this.element.replaceChildren(...this.layers.map((layer, k) => {
      if (!types.includes(layer.type)) layer.type = types[0];
      const n = k + 1, select = h("select", { "aria-label": t("type.of", { n }), onfocus: () => this.active !== k && this.#activate(k) });
      options(select, types.map((type) => [type, type]), layer.type);
      select.addEventListener("change", () => {
        layer.type = select.value;
        this.events.changed();
      });
      const swatch = h("button", { type: "button", class: "swatch", "aria-label": t("select.defect", { n }), title: t("select.defect", { n }), onclick: () => this.#activate(k) });
      swatch.style.background = layer.colour;
      const remove = iconButton("close", t("remove.defect"), () => this.#remove(k));
      const size = h("span", { class: "size" }, layer.mask.area ? t("mask.px", { n: layer.mask.area.toLocaleString() }) : t("mask.empty"));
      return h("div", { class: k === this.active ? "defect active" : "defect" }, swatch, select, size, remove);
    }));
  }

  #append(type) {
    const used = new Set(this.layers.map((one) => one.colour)), { width, height } = this.photograph;
    const layer = { type, mask: new Mask(width, height), colour: COLOURS.find((one) => !used.has(one)) ?? COLOURS[0] };
    this.layers.push(layer);
    return layer;
  }

  #activate(index) {
    this.active = index;
    this.show();
  }

  #remove(index) {
    const [gone] = this.layers.splice(index, 1);
    this.events.removed(gone.mask);
    if (!this.layers.length) this.#append(gone.type);
    this.active = Math.min(this.active, this.layers.length - 1);
    this.show();
    this.events.changed();
  }
}
