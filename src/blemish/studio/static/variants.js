// Several defects under one mask, side by side.

import { attempt, pngOf } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

const SIDE = 188;

export class Variants {
  /** @param ask function of a photograph and a draft that returns what the server shows; @param choose function of the seed. */
  constructor(strip, ask, choose) {
    Object.assign(this, { strip, ask, choose, turn: 0 });
  }

  clear() {
    if (this.keeping) return;
    this.turn++;
    this.strip.hidden = true;
    this.strip.replaceChildren();
  }

  /** Ask for one after the other, each with the next seed. */
  async show(photograph, preview, draft, count) {
    this.clear();
    const turn = this.turn;
    this.strip.hidden = false;
    for (let k = 0; k < count && turn === this.turn; k++) {
      const seed = draft.seed + k, canvas = h("canvas", { width: SIDE, height: SIDE });
      const button = h("button", { type: "button", class: "variant", "aria-pressed": `${k === 0}`, onclick: () => this.#chosen(button, seed) }, canvas, h("span", { class: "number" }, t("seed_n", { n: seed })));
      this.strip.append(button);
      const found = await attempt(() => this.ask(photograph, { ...draft, seed }));
      if (found?.crop && turn === this.turn) await draw(canvas, photograph, preview, found);
    }
  }

  #chosen(button, seed) {
    for (const one of this.strip.children) one.setAttribute("aria-pressed", `${one === button}`);
    this.keeping = true; // the strip stays while one of it is chosen
    this.choose(seed);
    this.keeping = false;
  }
}

/** The surroundings of the defect. */
async function draw(canvas, { width, height }, preview, { box, crop }) {
  const picture = await createImageBitmap(pngOf(crop));
  const [x, y, w, h] = box, side = Math.min(Math.max(1.6 * Math.max(w, h), 48), width, height);
  const left = Math.min(Math.max(0, x + w / 2 - side / 2), width - side), top = Math.min(Math.max(0, y + h / 2 - side / 2), height - side);
  const c = canvas.getContext("2d"), scale = SIDE / side;
  c.imageSmoothingQuality = "high";
  c.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  c.drawImage(preview, 0, 0, width, height);
  c.drawImage(picture, x, y);
}
