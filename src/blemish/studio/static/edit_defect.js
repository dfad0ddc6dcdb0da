// Edit, defects: the look of a real defect, changed and laid where the mask is painted.

import { attempt, pngOf, post } from "./api.js";
import { field, grow, h, iconButton, options, say } from "./dom.js";
import { t } from "./i18n.js";
import { Latest } from "./latest.js";
import { Sliders } from "./sliders.js";

export class DefectMode {
  /** @param desk the view: its photograph, mask, bundle, and what the bundle is able to do. */
  constructor(desk) {
    Object.assign(this, { desk, latest: new Latest(), like: 0 });
    this.sliders = new Sliders(() => this.changed(60));
    this.panel = this.#panel();
    this.save = h("button", { type: "button", class: "primary", disabled: true, onclick: () => this.#save() }, t("save"));
    this.bar = [this.save];
  }

  bundleChanged() {
    const types = Object.keys(this.desk.able.looks);
    options(this.type, types.map((name) => [name, name]), this.type.value);
    for (const one of this.panel) one.hidden = types.length === 0;
    this.missing.hidden = types.length > 0;
    if (types.length) this.#typeChanged();
  }

  photographsChanged() {}

  opened() {
    this.changed();
  }

  changed(pause = 0) {
    clearTimeout(this.timer);
    this.sizeShown.textContent = `${Math.round(100 * this.#factor())}%`;
    this.timeShown.textContent = `${Math.round(100 * this.time.value)}%`;
    this.mixture.hidden = this.to.value === "";
    this.timer = setTimeout(() => this.#laid(), pause);
  }

  #panel() {
    this.type = h("select", { onchange: () => this.#typeChanged() });
    this.pictures = h("div", { class: "likes", role: "group", "aria-label": t("like.which") });
    this.to = h("select", { onchange: () => this.changed() });
    this.time = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "0.5", oninput: () => this.changed(60) });
    this.timeShown = h("output", {});
    this.size = h("input", { type: "range", min: "-1", max: "1", step: "0.05", value: "0", oninput: () => this.changed(60) });
    this.sizeShown = h("output", {});
    this.seed = h("input", { type: "number", min: "0", max: "2147483647", value: "0", oninput: () => this.changed(150) });
    const dice = iconButton("dice", t("dice"), () => ((this.seed.value = Math.floor(Math.random() * 1e6)), this.changed()));
    const reset = h("button", { type: "button", class: "plain tiny", onclick: () => ((this.size.value = 0), this.sliders.reset(), this.changed()) }, t("reset"));
    this.mixture = field(t("like.time"), grow(this.time), this.timeShown);
    this.missing = h("section", { hidden: true }, h("p", { class: "quiet" }, t("looks.need")));
    return [
      h("section", {}, h("h2", {}, t("like.which")), field(t("type"), grow(this.type)), this.pictures, field(t("like.to"), grow(this.to)), this.mixture),
      h("section", {}, h("div", { class: "row" }, h("h2", {}, t("change")), reset), field(t("size"), grow(this.size), this.sizeShown), this.sliders.element,
        field(t("seed"), grow(this.seed), dice)),
    ];
  }

  #typeChanged() {
    const type = this.type.value, { like, directions } = this.desk.able.looks[type];
    const bundle = encodeURIComponent(this.desk.bundle.value);
    this.like = Math.min(this.like, like.length - 1);
    this.sliders.show(directions);
    options(this.to, [["", t("none")], ...like.map((name, k) => [`${k}`, name])], "");
    this.pictures.replaceChildren(...like.map((name, k) => {
      const picture = h("img", { src: `/api/editing/look.jpg?bundle=${bundle}&type=${encodeURIComponent(type)}&number=${k}`, alt: name, loading: "lazy", width: 58, height: 58 });
      return h("button", { type: "button", title: name, "aria-pressed": `${k === this.like}`, onclick: () => this.#choose(k) }, picture);
    }));
    this.changed();
  }

  #choose(k) {
    this.like = k;
    [...this.pictures.children].forEach((one, n) => one.setAttribute("aria-pressed", `${n === k}`));
    this.changed();
  }

  #factor() {
    return Math.round(100 * 2 ** Number(this.size.value)) / 100;
  }

  #wish() {
    const to = this.to.value === "" ? {} : { to: Number(this.to.value), time: Number(this.time.value) };
    const { desk } = this;
    return { bundle: desk.bundle.value, type: this.type.value, mask: desk.mask.runs(), like: this.like, ...to, moves: this.sliders.moves(), size: this.#factor(), seed: Number(this.seed.value) || 0 };
  }

  async #laid() {
    const { desk } = this;
    if (desk.mode !== this || !desk.current || !this.type.value) return;
    this.save.disabled = true;
    if (!desk.mask.area) return desk.show(null, (this.latest.drop(), t("looks.paint")));
    const wish = this.#wish(), { id } = desk.current;
    desk.working();
    const found = await this.latest.post(`/api/photographs/${id}/look`, wish);
    if (found === undefined) return;
    if (!found) return desk.show(null, "");
    const picture = found.crop ? await createImageBitmap(pngOf(found.crop)) : null;
    Object.assign(this, { wish, id });
    this.save.disabled = !picture;
    desk.show({ ...found, picture });
  }

  async #save() {
    const found = await attempt(() => post(`/api/photographs/${this.id}/look/save`, this.wish));
    if (found) say(t("saved"), { detail: found.folder });
  }
}
