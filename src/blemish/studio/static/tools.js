// The tools that paint a mask: brush, line, polygon, box and eraser, undo, and masks from files.

import { attempt, send } from "./api.js";
import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { EMPTY, History } from "./mask.js";

const TOOLS = ["brush", "line", "polygon", "box"];

export class MaskTools {
  /**
   * @param stage canvas that is painted on.
   * @param owner object with `layer()`, whose mask is painted; `changed()`, called after a change of a mask by other
   *   means than a stroke; `type()`, the defect type in the name of a mask's file; and `save()`, null where masks are not saved.
   */
  constructor(stage, owner) {
    Object.assign(this, { stage, owner, history: new History() });
    this.element = this.#build();
  }

  #build() {
    this.tools = Object.fromEntries(TOOLS.map((name) => [name, iconButton(name, t(name), () => this.#choose(name), { "aria-pressed": `${name === "brush"}` })]));
    this.eraser = iconButton("erase", t("erase"), () => this.#erase(), { "aria-pressed": "false" });
    this.sizer = h("input", { type: "range", min: "1", max: "100", value: "35", "aria-label": t("size.name"), oninput: () => this.#size(fromSlider(this.sizer.value, this.#most())) });
    this.sized = h("output", { class: "number" });
    const file = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.#load(file) });
    const gap = () => h("span", { class: "gap" });
    return h("div", { class: "tools", role: "toolbar", "aria-label": t("mask.tools") },
      ...Object.values(this.tools), this.eraser, gap(), h("label", {}, t("size"), this.sizer, this.sized), gap(),
      iconButton("undo", `${t("undo")} (Ctrl+Z)`, () => this.undo()), iconButton("redo", `${t("redo")} (Ctrl+Shift+Z)`, () => this.redo()),
      iconButton("clear", t("clear"), () => this.#clear()), h("span", { class: "grow" }),
      iconButton("load", t("load.mask"), () => file.click()), this.owner.save ? iconButton("save", t("save.mask"), () => this.owner.save()) : null, gap(),
      iconButton("fit", t("fit"), () => this.stage.fit()), file);
  }

  /** Start with a photograph: nothing to undo, and a brush that suits its size. */
  open({ width, height }) {
    this.history = new History();
    this.#size(Math.max(4, Math.round(Math.min(width, height) / 24)));
  }

  stroked(mask, before) {
    this.history.push(mask, before);
  }

  undo() {
    if (this.history.undo()) this.owner.changed();
  }

  redo() {
    if (this.history.redo()) this.owner.changed();
  }

  /** Replace all of a mask; a step that can be undone. */
  replace(mask, runs) {
    this.history.replace(mask, runs);
    this.owner.changed();
  }

  /** What single keys do. */
  keys() {
    return {
      x: () => this.#erase(),
      "[": () => this.#size(this.stage.size / 1.2),
      "]": () => this.#size(Math.max(this.stage.size * 1.2, this.stage.size + 1)),
      0: () => this.stage.fit(),
      "+": () => this.stage.zoom(1.25),
      "-": () => this.stage.zoom(0.8),
      escape: () => this.stage.cancelPolygon(),
      ...(this.stage.corners.length ? { enter: () => this.stage.closePolygon() } : {}),
      ...Object.fromEntries(TOOLS.map((name, k) => [k + 1, () => this.#choose(name)])),
    };
  }

  #choose(name) {
    this.stage.tool = name;
    this.stage.cancelPolygon();
    for (const [one, button] of Object.entries(this.tools)) button.setAttribute("aria-pressed", `${one === name}`);
  }

  #erase() {
    this.stage.erasing = !this.stage.erasing;
    this.eraser.setAttribute("aria-pressed", `${this.stage.erasing}`);
    this.stage.draw();
  }

  #most() {
    const { photograph } = this.stage;
    return photograph ? Math.max(photograph.width, photograph.height) / 3 : 400;
  }

  #size(pixels) {
    this.stage.size = Math.min(this.#most(), Math.max(1, pixels));
    this.sizer.value = toSlider(this.stage.size, this.#most());
    this.sized.textContent = `${Math.round(this.stage.size)} px`;
    this.stage.draw();
  }

  #clear() {
    const layer = this.owner.layer();
    if (layer?.mask.area) this.replace(layer.mask, EMPTY);
  }

  async #load(input) {
    const [file] = input.files, layer = this.owner.layer(), { photograph } = this.stage;
    input.value = "";
    if (!file || !layer) return;
    const type = encodeURIComponent(this.owner.type());
    const runs = await attempt(() => send(`/api/photographs/${photograph.id}/mask-file?type=${type}`, file));
    if (runs && this.stage.photograph === photograph) this.replace(layer.mask, runs);
  }
}

/** Sizes grow by the same factor along the slider. */
function fromSlider(value, most) {
  return most ** ((value - 1) / 99);
}

function toSlider(size, most) {
  return 1 + (99 * Math.log(size)) / Math.log(most);
}
