// Edit, parts: a photograph or a drawn part moved along directions, mixed with another, or changed into it.

import { attempt, get, pngOf, post } from "./api.js";
import { field, grow, h, options, say } from "./dom.js";
import { reason, t } from "./i18n.js";
import { Latest } from "./latest.js";
import { Sliders } from "./sliders.js";

const VERBS = ["move", "mix", "interpolate", "transplant"];
const DRAWN = "drawn";

export class PartMode {
  /** @param desk the view: its photograph, bundle, and what the bundle is able to do. */
  constructor(desk) {
    Object.assign(this, { desk, latest: new Latest(), known: new Set(), searches: new Map(), shown: [], chosen: 0, box: [0.3, 0.3, 0.4, 0.4] });
    this.sliders = new Sliders(() => this.changed(60));
    this.more = new Sliders(() => this.changed(60));
    this.panel = this.#panel();
    this.save = h("button", { type: "button", class: "primary", disabled: true, onclick: () => this.#save() }, t("save"));
    this.bar = [this.save];
    this.figures = ["part.a", "part.b", "result"].map((name) => h("figure", { hidden: true }, h("canvas", { role: "img", "aria-label": t(name) }), h("figcaption", {}, t(name))));
    chooseBox(this.figures[0].querySelector("canvas"), (box) => this.#setBox(box));
    this.waiting = h("p", { class: "waiting", hidden: true }, h("span", {}), h("progress", { max: 1, value: 0, "aria-label": t("inverting") }));
    this.strip = h("div", { class: "variants", hidden: true });
    this.middle = h("div", { class: "editing" }, h("div", { class: "parts" }, ...this.figures), this.waiting, this.strip);
  }

  /** A bundle was chosen. */
  bundleChanged() {
    const { directions, scales, detail, transplant } = this.desk.able;
    const own = directions.filter((one) => one.name === one.attribute), other = directions.filter((one) => one.name !== one.attribute);
    this.sliders.show(own.map((one) => one.name));
    this.more.show(other.map((one) => one.name));
    this.others.hidden = !other.length;
    this.nothing.hidden = directions.length > 0;
    this.scales = scales.map((name) => [name, h("input", { type: "checkbox", checked: name === scales.at(-1), onchange: () => this.changed() })]);
    this.rows.replaceChildren(...this.scales.map(([name, box]) => h("label", { class: "check" }, box, t(`scale.${name}`))));
    const [last] = [...this.verb.options].slice(-1);
    last.disabled = !transplant;
    this.detail.disabled = !detail;
    if (!detail) this.detail.checked = false;
  }

  photographsChanged(known) {
    const names = known.map((one) => [one.id, one.name]);
    options(this.second, [[DRAWN, t("part.drawn")], ...names], this.second.value || DRAWN);
  }

  opened() {
    this.changed();
  }

  /** Show the edit anew; `pause` is a time in which more changes may come. */
  changed(pause = 0) {
    this.#fit();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#edited(), pause);
  }

  #panel() {
    const changed = () => this.changed();
    this.first = options(h("select", { "aria-label": t("part.a"), onchange: changed }), [["photograph", t("part.photograph")], [DRAWN, t("part.drawn")]], "photograph");
    this.firstSeed = this.#seed(1, t("part.a.seed"));
    this.second = h("select", { "aria-label": t("part.b"), onchange: changed });
    this.secondSeed = this.#seed(2, t("part.b.seed"));
    this.verb = options(h("select", { onchange: changed }), VERBS.map((name) => [name, t(`verb.${name}`)]), "move");
    this.detail = h("input", { type: "checkbox", onchange: changed });
    this.rows = h("div", { class: "row wrap" });
    this.steps = h("input", { type: "number", min: "2", max: "24", value: "7", onchange: changed });
    this.nothing = h("p", { class: "quiet" }, t("no.directions"));
    this.others = h("details", {}, h("summary", {}, t("more.directions")), this.more.element);
    const reset = h("button", { type: "button", class: "plain tiny", onclick: () => (this.sliders.reset(), this.more.reset(), this.changed()) }, t("reset"));
    this.panels = {
      move: h("section", {}, h("div", { class: "row" }, h("h2", {}, t("directions")), reset), this.nothing, this.sliders.element, this.others),
      mix: h("section", {}, h("h2", {}, t("verb.mix")), h("p", { class: "quiet" }, t("mix.hint")), this.rows),
      transplant: h("section", {}, h("h2", {}, t("verb.transplant")), h("p", { class: "quiet" }, t("transplant.hint"))),
      interpolate: h("section", {}, h("h2", {}, t("verb.interpolate")), field(t("steps"), grow(this.steps))),
    };
    this.pair = field(t("part.b"), grow(this.second), this.secondSeed);
    this.said = h("ul", { class: "said", "aria-live": "polite" });
    return [
      h("section", {}, h("h2", {}, t("part")), field(t("part.a"), grow(this.first), this.firstSeed), field(t("edit"), grow(this.verb)), this.pair,
        h("label", { class: "check" }, this.detail, t("detail"))),
      ...Object.values(this.panels),
      h("section", {}, h("h2", {}, t("result")), this.said),
    ];
  }

  #seed(value, name) {
    return h("input", { type: "number", class: "short", min: "0", max: "2147483647", value: `${value}`, "aria-label": name, oninput: () => this.changed(200) });
  }

  /** Show the controls that the chosen edit has. */
  #fit() {
    const verb = this.verb.value;
    for (const [name, panel] of Object.entries(this.panels)) panel.hidden = name !== verb;
    this.pair.hidden = verb === "move";
    this.firstSeed.hidden = this.first.value !== DRAWN;
    this.secondSeed.hidden = this.second.value !== DRAWN;
  }

  #wish() {
    const drawn = (input) => `seed:${Math.max(0, Math.round(Number(input.value) || 0))}`;
    const a = this.first.value === DRAWN ? drawn(this.firstSeed) : this.desk.current?.id;
    const b = this.second.value === DRAWN ? drawn(this.secondSeed) : this.second.value;
    const wish = { bundle: this.desk.bundle.value, verb: this.verb.value, a, detail: this.detail.checked };
    const moves = [...this.sliders.moves(), ...this.more.moves()], still = this.desk.able.directions.slice(0, 1);
    if (wish.verb === "move") return { ...wish, moves: moves.length ? moves : still.map(({ name }) => ({ direction: name, distance: 0 })) };
    if (wish.verb === "transplant") return { ...wish, b, box: this.box.join(",") };
    if (wish.verb === "interpolate") return { ...wish, b, steps: Math.min(24, Math.max(2, Math.round(Number(this.steps.value) || 7))) };
    return { ...wish, b, rows: this.scales.filter(([, box]) => box.checked).map(([name]) => name).join(",") };
  }

  async #edited() {
    const wish = this.desk.able && this.#wish();
    if (!wish?.a || this.desk.mode !== this || wish.rows === "") return;
    const turn = this.latest.drop();
    for (const part of wish.verb === "move" ? [wish.a] : [wish.a, wish.b]) {
      if (!(await this.#inverted(part, turn))) return;
    }
    const stop = wish.verb === "transplant" ? this.#follow() : () => {};
    const found = await this.latest.post("/api/editing/part", wish);
    stop();
    if (found === null) this.waiting.hidden = true;
    if (!found) return;
    this.wish = wish;
    await this.#show(found);
    this.desk.done();
  }

  /** Wait until a photograph's codes are known; false if something else is wanted by then. */
  async #inverted(part, turn) {
    const bundle = this.desk.bundle.value, key = `${bundle}/${part}`;
    if (part.startsWith("seed:") || this.known.has(key)) return true;
    const stop = this.#follow();
    this.#preview(part);
    const search = this.searches.get(key) ?? attempt(() => post(`/api/photographs/${part}/invert`, { bundle }));
    this.searches.set(key, search); // a slider that moves meanwhile waits for the same answer
    const found = await search;
    stop();
    this.searches.delete(key);
    if (found) this.known.add(key);
    if (turn !== this.latest.turn) return false;
    this.waiting.hidden = true;
    return Boolean(found);
  }

  /** Show how far the search is; returns what ends this. */
  #follow() {
    this.#wait(0);
    const asking = setInterval(async () => {
      const found = await get("/api/editing/progress").catch(() => null);
      if (found && !this.waiting.hidden) this.#wait(found.share);
    }, 700);
    return () => clearInterval(asking);
  }

  /** Show the photograph alone while its code is searched for. */
  #preview(part) {
    const [a, b, result] = this.figures, { preview } = this.desk.stage;
    if (part !== this.desk.current?.id) return;
    const canvas = a.querySelector("canvas");
    Object.assign(canvas, { width: 512, height: 512 });
    canvas.getContext("2d").drawImage(preview, 0, 0, 512, 512);
    a.hidden = false;
    b.hidden = result.hidden = true;
    this.strip.hidden = true;
  }

  #setBox(box) {
    if (this.verb.value !== "transplant") return;
    this.box = box;
    this.#drawBox();
    this.changed();
  }

  /** The region on the first part. */
  async #drawBox() {
    await draw(this.figures[0], this.first64);
    if (this.verb.value !== "transplant") return;
    const canvas = this.figures[0].querySelector("canvas"), c = canvas.getContext("2d"), side = canvas.width;
    const [x, y, wide, high] = this.box.map((at) => at * side);
    for (const [width, colour] of [[3, "rgb(0 0 0 / .5)"], [1.4, "#ffffff"]]) {
      Object.assign(c, { lineWidth: (width * side) / 400, strokeStyle: colour });
      c.strokeRect(x, y, wide, high);
    }
  }

  #wait(share) {
    const [text, bar] = this.waiting.children;
    this.waiting.hidden = false;
    this.save.disabled = true;
    text.textContent = t("inverting");
    bar.value = share;
  }

  async #show({ parts, pictures, percentiles, reasons }) {
    const [a, b, result] = this.figures;
    b.hidden = parts.length < 2;
    this.first64 = parts[0];
    await Promise.all([this.#drawBox(), ...parts.slice(1).map((one) => draw(b, one))]);
    this.shown = pictures;
    this.chosen = Math.min(this.chosen, pictures.length - 1);
    await draw(result, pictures[this.chosen]);
    a.hidden = result.hidden = this.waiting.hidden = false;
    this.waiting.hidden = true;
    await this.#showStrip(pictures);
    const said = reasons.map((one) => h("li", {}, reason(one)));
    if (percentiles) said.push(h("li", { class: "plain" }, t("percentile", { p: percentiles.map((one) => one.toFixed(0)).join(", ") })));
    this.said.replaceChildren(...said);
    this.save.disabled = false;
  }

  async #showStrip(pictures) {
    this.strip.hidden = pictures.length < 2;
    const buttons = pictures.map((one, k) => h("button", { type: "button", class: "variant", "aria-pressed": `${k === this.chosen}`, onclick: () => this.#choose(k) }, h("canvas", { role: "img", "aria-label": `${k + 1}` }), h("span", { class: "number" }, `${k + 1} / ${pictures.length}`)));
    this.strip.replaceChildren(...(this.strip.hidden ? [] : buttons));
    if (!this.strip.hidden) await Promise.all(buttons.map((one, k) => draw(one, pictures[k])));
  }

  async #choose(k) {
    this.chosen = k;
    [...this.strip.children].forEach((one, n) => one.setAttribute("aria-pressed", `${n === k}`));
    await draw(this.figures[2], this.shown[k]);
  }

  async #save() {
    const found = await attempt(() => post("/api/editing/part/save", this.wish));
    if (found) say(t("saved"), { detail: found.folder });
  }
}

/** Let a box (x, y, width, height) be drawn on a canvas with the mouse, in shares of its side. */
function chooseBox(canvas, chosen) {
  let from = null;
  const at = (event) => [event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight].map((one) => Math.min(1, Math.max(0, one)));
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = at(event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [x, y] = from, [u, v] = at(event);
    from = null;
    if (Math.abs(u - x) > 0.03 && Math.abs(v - y) > 0.03) chosen([Math.min(x, u), Math.min(y, v), Math.abs(u - x), Math.abs(v - y)].map((one) => Math.floor(one * 1000) / 1000));
  });
}

/** A picture on the canvas inside an element. */
async function draw(element, base64) {
  const picture = await createImageBitmap(pngOf(base64)), canvas = element.querySelector("canvas");
  Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d").drawImage(picture, 0, 0);
}
