// Below the canvas: the pointer's place, the photograph's size, and the slider from before to after.

import { h } from "./dom.js";
import { t } from "./i18n.js";

export class StatusBar {
  constructor(stage) {
    this.stage = stage;
    this.where = h("span", { class: "numbers" });
    this.about = h("span", { class: "numbers" });
    this.compare = h("input", { type: "range", min: "0", max: "100", value: "0", "aria-label": t("compare"), title: t("compare"), oninput: () => this.split(this.compare.value / 100) });
    const compare = h("label", { class: "compare" }, t("before"), this.compare, t("after"));
    this.element = h("div", { class: "status" }, this.where, compare, this.about);
  }

  say(text) {
    this.about.textContent = text;
  }

  /** Show the photograph as it was up to a share of its width. */
  split(share) {
    this.stage.split = share;
    this.compare.value = 100 * share;
    this.stage.draw();
  }

  /** Before, or after. */
  toggle() {
    this.split(this.stage.split > 0.5 ? 0 : 1);
  }

  refresh() {
    const { photograph, pointer: at, scale } = this.stage;
    if (!photograph) return;
    const { width, height, bits, channels } = photograph;
    const inside = at && at.x >= 0 && at.y >= 0 && at.x < width && at.y < height;
    this.where.textContent = `${Math.round(100 * scale)}%   ${inside ? `${Math.floor(at.x)}, ${Math.floor(at.y)}` : ""}`;
    this.say(`${width} × ${height} · ${bits * channels} bit`);
  }
}
