// How a defect is drawn: bundle, method, strength, seed, and the number of variants.

import { attempt, get } from "./api.js";
import { field, grow, h, iconButton, options } from "./dom.js";
import { t } from "./i18n.js";

export class LookPanel {
  /**
   * @param events object with `changed(pause)`; `able()`, called when it is known what the bundle can draw; `bundle()`,
   *   called when the user has chosen another one; and `variants()`.
   */
  constructor(events) {
    Object.assign(this, { events, able: null });
    this.element = this.#build();
  }

  /** Kinds of masks that the bundle can draw, the best first. */
  get kinds() {
    const { masks } = this.able;
    return masks.includes("learned") ? ["learned", ...masks.filter((one) => one !== "learned")] : masks;
  }

  get types() {
    return this.able?.methods[this.method.value] ?? [];
  }

  get count() {
    return Math.min(24, Math.max(2, Number(this.howMany.value) || 6));
  }

  showBundles(names, chosen = this.bundle.value) {
    options(this.bundle, names.map((name) => [name, name.split("/").pop()]), chosen);
  }

  /** Ask what the chosen bundle can draw. */
  async refresh() {
    const found = await attempt(() => get(`/api/bundle?name=${encodeURIComponent(this.bundle.value)}`));
    if (!found) return;
    this.able = found;
    options(this.method, Object.keys(found.methods).map((name) => [name, t(`method.${name}`)]), this.method.value);
    this.events.able();
  }

  /** Take the options of a draft, as far as they are there. */
  async restore({ bundle, method, seed, strength }) {
    if (has(this.bundle, bundle) && bundle !== this.bundle.value) {
      this.bundle.value = bundle;
      await this.refresh();
    }
    if (has(this.method, method)) this.method.value = method;
    this.seed.value = seed;
    this.strength.value = Math.round(100 * strength);
  }

  setSeed(seed) {
    this.seed.value = seed;
    this.#changed();
  }

  anotherSeed() {
    this.setSeed(Math.floor(Math.random() * 1e6));
  }

  values(seed = Number(this.seed.value) || 0) {
    return { bundle: this.bundle.value, method: this.method.value, strength: this.strength.value / 100, seed };
  }

  #build() {
    this.bundle = h("select", { "aria-label": t("bundle"), onchange: () => this.refresh().then(() => this.events.bundle()) });
    this.method = h("select", { "aria-label": t("method"), onchange: () => this.#changed() });
    this.strength = h("input", { type: "range", min: "10", max: "100", value: "100", step: "5", class: "grow", oninput: () => this.#changed(150) });
    this.strengthShown = h("output", {}, "100%");
    this.seed = h("input", { type: "number", min: "0", max: "2147483647", value: "0", class: "grow", oninput: () => this.#changed(150) });
    this.howMany = h("input", { type: "number", min: "2", max: "24", value: "6", "aria-label": t("variants.number"), class: "grow" });
    const variants = h("button", { type: "button", onclick: () => this.events.variants() }, t("variants.show"));
    return h("section", {}, h("h2", {}, t("how")), field(t("bundle"), grow(this.bundle)), field(t("method"), grow(this.method)),
      field(t("strength"), this.strength, this.strengthShown),
      field(t("seed"), this.seed, iconButton("dice", t("dice"), () => this.anotherSeed())),
      field(t("variants"), this.howMany, variants));
  }

  #changed(pause = 0) {
    this.showStrength();
    this.events.changed(pause);
  }

  showStrength() {
    this.strengthShown.textContent = `${this.strength.value}%`;
  }
}

function has(select, value) {
  return [...select.options].some((one) => one.value === value);
}
