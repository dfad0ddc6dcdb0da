// Place: paint a mask on a photograph, and the defect appears.

import { attempt, bitmap, get, pngOf, post } from "./api.js";
import { DefectList } from "./defects.js";
import { field, grow, h, iconButton, options, say } from "./dom.js";
import { t } from "./i18n.js";
import { listenForKeys } from "./keys.js";
import { Latest } from "./latest.js";
import { LookPanel } from "./look.js";
import { PhotoList } from "./photos.js";
import { ResultPanel } from "./result.js";
import { Stage } from "./stage.js";
import { StatusBar } from "./status.js";
import { MaskTools } from "./tools.js";
import { Variants } from "./variants.js";

export function placeView(shared) {
  const place = new Place(shared);
  return { element: place.element, shown: () => place.shown() };
}

class Place {
  constructor(shared) {
    Object.assign(this, { shared, current: null, draftTimer: 0, latest: new Latest(), maskSeed: 0 });
    this.canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": t("canvas") });
    this.stage = new Stage(this.canvas, {
      stroked: (mask, before) => this.#stroked(mask, before),
      moved: () => this.status.refresh(),
    });
    this.status = new StatusBar(this.stage);
    this.tools = new MaskTools(this.stage, {
      layer: () => this.defects.layer,
      changed: () => this.#masksChanged(),
      type: () => this.defects.layer.type,
      save: () => this.#saveMask(),
    });
    this.look = new LookPanel({
      changed: (pause) => this.#changed(pause),
      able: () => options(this.kind, this.look.kinds.map((name) => [name, t(`kind.${name}`)]), this.kind.value),
      bundle: () => this.#masksChanged(),
      variants: () => this.#showVariants(),
    });
    this.defects = new DefectList(this.stage, {
      types: () => this.look.types,
      changed: () => this.#changed(),
      removed: (mask) => this.tools.history.forget(mask),
    });
    this.#build();
    this.variants = new Variants(this.strip, (photograph, draft) => post(`/api/photographs/${photograph.id}/place?variant`, draft), (seed) => this.look.setSeed(seed));
    listenForKeys(() => this.shared.view === "place", this.stage, this.tools, () => this.#keys());
    addEventListener("pagehide", () => this.#saveDraft({ keepalive: true }));
    this.#load();
  }

  async shown() {
    this.stage.draw();
    this.photos.refresh();
    const about = await get("/api/about").catch(() => null);
    if (about) this.look.showBundles(about.bundles);
  }

  // Building

  #build() {
    const view = h("div", { class: "view" }, this.canvas);
    this.photos = new PhotoList((id) => this.#open(id), view);
    this.strip = h("div", { class: "variants", hidden: true });
    const middle = h("section", { class: "stage", "aria-label": t("place") }, this.tools.element, view, this.strip, this.status.element);
    this.element = h("div", { class: "place" }, this.photos.element, middle, this.#panel());
  }

  #panel() {
    this.kind = h("select", { "aria-label": t("mask.kind") });
    const draw = h("button", { type: "button", onclick: () => this.#drawMask() }, t("draw"));
    const add = iconButton("add", t("add.defect"), () => this.current && this.defects.add(), { class: "icon plain" });
    this.result = new ResultPanel((shown) => this.#outlines(shown));
    this.keep = h("button", { type: "button", class: "primary", title: t("keep.name"), disabled: true, onclick: () => this.#keep() }, t("keep"));
    return h("aside", { class: "side right" },
      h("section", {}, h("div", { class: "row" }, h("h2", {}, t("defects")), add), this.defects.element,
        field(t("draw.mask"), h("span", { class: "grow row" }, grow(this.kind), draw))),
      this.look.element, this.result.element, h("div", { class: "keepbar" }, this.keep));
  }

  // Photographs

  async #load() {
    const { about } = this.shared;
    this.look.showBundles(about.bundles, about.bundle);
    await this.look.refresh();
    await this.photos.refresh();
    const first = this.photos.first();
    if (first) await this.#open(first.id);
  }

  async #open(id) {
    if (this.current?.id === id) return;
    await this.#saveDraft();
    this.opening = id;
    this.status.say(t("loading"));
    const found = await attempt(() => get(`/api/photographs/${id}`));
    const preview = found && (await attempt(() => bitmap(`/api/photographs/${id}/preview`)));
    if (!preview || this.opening !== id) return;
    sessionStorage.setItem("photograph", id);
    this.current = { ...found, id };
    this.variants.clear();
    this.photos.mark(id);
    this.stage.open(this.current, preview);
    this.tools.open(this.current);
    await this.#restore(found.draft);
    this.#warmUp();
  }

  /** Show what was painted on this photograph before. */
  async #restore(draft) {
    if (draft) await this.look.restore(draft);
    this.defects.open(this.current, draft?.defects ?? []);
    this.#showResult(null);
    this.defects.show();
    if (this.defects.marked().length) this.#changed();
  }

  /** Let the server compute what the first defect would wait for. */
  #warmUp() {
    if (this.current && this.look.types.length) post(`/api/photographs/${this.current.id}/warm-up`, this.#draft(0)).catch(() => null);
  }

  // Masks

  #stroked(mask, before) {
    this.tools.stroked(mask, before);
    this.defects.refresh();
    this.#changed();
  }

  #masksChanged() {
    this.defects.show();
    this.#changed();
  }

  async #drawMask() {
    if (!this.current) return;
    const { layer } = this.defects;
    const wish = { bundle: this.look.bundle.value, kind: this.kind.value, type: layer.type, seed: this.maskSeed++ };
    const runs = await attempt(() => post(`/api/photographs/${this.current.id}/mask`, wish));
    if (runs && this.defects.layers.includes(layer)) this.tools.replace(layer.mask, runs); // else another photograph was opened
  }

  async #saveMask() {
    if (!this.defects.layer?.mask.area) return;
    await this.#saveDraft();
    const which = this.defects.marked().indexOf(this.defects.layer), { id } = this.current;
    const name = this.photos.name(id)?.replace(/\.[^.]*$/, "") ?? "mask";
    h("a", { href: `/api/photographs/${id}/mask.png?defect=${which}`, download: `${name}_mask.png` }).click();
  }

  #draft(seed) {
    const defects = this.defects.marked().map(({ type, mask }) => ({ type, mask: mask.runs() }));
    return { ...this.look.values(seed), defects };
  }

  // The defect appears

  /** Show the defect anew; `pause` is a time in which more changes may come. */
  #changed(pause = 0) {
    this.touched = performance.now();
    this.look.showStrength();
    this.variants.clear();
    clearTimeout(this.draftTimer);
    this.draftTimer = setTimeout(() => this.#placed(), pause);
  }

  async #placed() {
    if (!this.current) return;
    if (this.defects.layers.some((one) => !this.look.types.includes(one.type))) this.defects.show();
    const began = this.touched, { id } = this.current, draft = this.#draft();
    const turn = this.latest.drop() + 1;
    if (!draft.defects.length) {
      this.#showResult(null);
      return void attempt(() => post(`/api/photographs/${id}/draft`, draft));
    }
    this.result.time(t("working"));
    const found = await this.latest.post(`/api/photographs/${id}/place`, draft);
    if (found === undefined || this.current?.id !== id) return;
    if (!found) return this.#showResult(null);
    const picture = found.crop ? await createImageBitmap(pngOf(found.crop)) : null;
    if (turn !== this.latest.turn) return;
    this.#showResult({ ...found, picture });
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    this.result.time(t("took", { s: seconds }));
    Object.assign(this.element.dataset, { shown: turn, seconds }); // for tests and benchmarks
  }

  #showResult(found) {
    this.stage.result = found;
    this.keep.disabled = !found?.picture;
    this.stage.draw();
    this.result.show(found);
  }

  async #showVariants() {
    const draft = this.#draft();
    if (!this.current || !draft.defects.length) return;
    await this.variants.show(this.current, this.stage.preview, draft, this.look.count);
  }

  async #saveDraft(more = {}) {
    if (!this.current) return;
    const { id } = this.current, draft = this.#draft();
    await post(`/api/photographs/${id}/draft`, draft, more).catch(() => null);
  }

  async #keep() {
    if (this.keep.disabled) return;
    this.keep.disabled = true;
    this.keep.textContent = t("keeping");
    const kept = await attempt(() => post(`/api/photographs/${this.current.id}/keep`, this.#draft()));
    this.keep.textContent = t("keep");
    this.keep.disabled = !this.stage.result?.picture;
    if (kept) say(`${t("kept")}: ${kept.name}`, { detail: (kept.files.image && `kept/${kept.files.image}`) || "" });
  }

  #outlines(shown) {
    this.stage.showOutline = shown;
    this.stage.draw();
  }

  #keys() {
    const step = (by) => () => this.photos.step(by, this.opening ?? this.current?.id);
    return {
      ...this.tools.keys(),
      arrowleft: step(-1),
      arrowup: step(-1),
      arrowright: step(1),
      arrowdown: step(1),
      b: () => this.status.toggle(),
      k: () => this.#keep(),
      r: () => this.look.anotherSeed(),
    };
  }
}
