// Edit, repair: a hole is filled, or a defect replaced, with good material in several ways.

import { attempt, pngOf, post } from "./api.js";
import { field, grow, h, iconButton, options, say } from "./dom.js";
import { reason, t } from "./i18n.js";
import { Latest } from "./latest.js";
import { Variants } from "./variants.js";

export class RepairMode {
  /** @param desk the view: its photograph, mask and bundle. */
  constructor(desk) {
    Object.assign(this, { desk, latest: new Latest() });
    this.panel = this.#panel();
    this.save = h("button", { type: "button", disabled: true, onclick: () => this.#save() }, t("save.variants"));
    this.keep = h("button", { type: "button", class: "primary", disabled: true, title: t("keep.photograph.name"), onclick: () => this.#keep() }, t("keep.photograph"));
    this.bar = [this.save, this.keep];
    this.variants = new Variants(desk.strip, (photograph, wish) => post(`/api/photographs/${photograph.id}/fill?variant`, wish), (seed) => this.#setSeed(seed));
  }

  bundleChanged() {
    const { windows } = this.desk.able;
    for (const one of this.panel) one.hidden = !windows;
    if (windows) this.changed();
  }

  photographsChanged() {}

  opened() {
    this.changed();
  }

  changed(pause = 0) {
    this.variants.clear();
    const repairs = this.verb.value === "repair";
    this.margin.hidden = this.finder.hidden = !repairs;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#filled(), pause);
  }

  #panel() {
    this.verb = options(h("select", { onchange: () => this.changed() }), [["repair", t("verb.repair")], ["fill", t("verb.fill")]], "repair");
    this.width = h("input", { type: "number", min: "0", max: "1000", placeholder: t("auto"), oninput: () => this.changed(150) });
    this.seed = h("input", { type: "number", min: "0", max: "2147483647", value: "0", oninput: () => this.changed(150) });
    this.count = h("input", { type: "number", min: "1", max: "24", value: "4", "aria-label": t("variants.number") });
    const find = h("button", { type: "button", class: "grow", onclick: () => this.#find() }, t("find"));
    const show = h("button", { type: "button", onclick: () => this.#showVariants() }, t("variants.show"));
    const dice = iconButton("dice", t("dice"), () => this.#setSeed(Math.floor(Math.random() * 1e6)));
    this.finder = h("div", { class: "row" }, find);
    this.margin = field(t("margin"), grow(this.width));
    this.said = h("ul", { class: "said", "aria-live": "polite" });
    this.scores = h("dl", { class: "scores" });
    return [
      h("section", {}, h("h2", {}, t("mode.repair")), field(t("edit"), grow(this.verb)), this.finder, this.margin,
        field(t("seed"), grow(this.seed), dice), field(t("variants"), grow(this.count), show)),
      h("section", {}, h("h2", {}, t("result")), this.said, this.scores),
    ];
  }

  #setSeed(seed) {
    this.seed.value = seed;
    this.changed();
  }

  #wish() {
    const margin = this.width.value === "" ? {} : { margin: Math.max(0, Math.round(Number(this.width.value))) };
    return { bundle: this.desk.bundle.value, verb: this.verb.value, mask: this.desk.mask.runs(), ...margin, seed: Number(this.seed.value) || 0 };
  }

  #number() {
    return Math.min(24, Math.max(1, Math.round(Number(this.count.value) || 4)));
  }

  async #find() {
    const { desk } = this, { current } = desk;
    if (!current) return;
    desk.working();
    const runs = await attempt(() => post(`/api/photographs/${current.id}/find`, { bundle: desk.bundle.value }));
    if (runs && desk.current === current) desk.setMask(runs);
    else desk.show(null, "");
  }

  async #filled() {
    const { desk } = this;
    if (desk.mode !== this || !desk.current) return;
    this.save.disabled = this.keep.disabled = true;
    if (!desk.mask.area) return this.#show(null, (this.latest.drop(), t(`paint.${this.verb.value}`)));
    const wish = this.#wish(), { id } = desk.current;
    desk.working();
    const found = await this.latest.post(`/api/photographs/${id}/fill`, wish);
    if (found === undefined) return;
    if (!found) return this.#show(null, "");
    const picture = await createImageBitmap(pngOf(found.crop));
    Object.assign(this, { wish, id });
    this.save.disabled = this.keep.disabled = false;
    this.#show({ ...found, picture });
  }

  #show(found, hint) {
    this.desk.show(found, hint);
    const said = (found?.reasons ?? []).map((one) => h("li", {}, reason(one)));
    if (found && !said.length) said.push(h("li", { class: "fine" }, `✓ ${t("fine")}`));
    this.said.replaceChildren(...said);
    const scores = Object.entries(found?.scores ?? {});
    this.scores.replaceChildren(...scores.flatMap(([name, value]) => [h("dt", {}, t(`score.${name}`)), h("dd", {}, value.toFixed(2))]));
  }

  async #showVariants() {
    const { desk } = this;
    if (desk.current && desk.mask.area) await this.variants.show(desk.current, desk.stage.preview, this.#wish(), this.#number());
  }

  async #save() {
    const found = await attempt(() => post(`/api/photographs/${this.id}/fill/save`, { ...this.wish, count: this.#number() }));
    if (found) say(t("saved"), { detail: found.folder });
  }

  async #keep() {
    const found = await attempt(() => post(`/api/photographs/${this.id}/fill/keep`, this.wish));
    if (!found) return;
    say(t("upload.done", { name: found.name }), { detail: `${found.folder}/${found.name}` });
    this.desk.photos.refresh();
  }
}
