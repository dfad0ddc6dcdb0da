// Place: paint a mask on a photograph, and the defect appears.

import { attempt, bitmap, get, post, send } from "./api.js";
import { field, h, iconButton, options, say } from "./dom.js";
import { chooseFolder } from "./folders.js";
import { reason, t } from "./i18n.js";
import { EMPTY, History, Mask } from "./mask.js";
import { COLOURS, Stage } from "./stage.js";
import { Variants } from "./variants.js";

const TOOLS = ["brush", "line", "polygon", "box"];
const SCORES = ["iou_requested", "drift", "verdict", "distance", "likeness", "contrast", "on_part"];
const MOST_DEFECTS = 16;

export function placeView(shared) {
  const place = new Place(shared);
  return { element: place.element, shown: () => place.shown() };
}

class Place {
  constructor(shared) {
    Object.assign(this, { shared, photographs: [], current: null, layers: [], active: 0, history: new History(), able: null });
    Object.assign(this, { draftTimer: 0, waiting: 0, result: null, maskSeed: 0, drafting: Promise.resolve() });
    this.#build();
    this.stage = new Stage(this.canvas, {
      stroked: (mask, before) => this.#stroked(mask, before),
      moved: () => this.#showNumbers(),
    });
    this.variants = new Variants(this.strip, (seed) => this.#setSeed(seed));
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keyup", (event) => event.code === "Space" && (this.stage.space = false));
    addEventListener("pagehide", () => this.#saveDraft({ keepalive: true }));
    this.#listenForFiles();
    this.#load();
  }

  async shown() {
    this.stage.draw();
    const about = await get("/api/about").catch(() => null);
    if (about) this.#showBundles(about.bundles, this.bundle.value);
  }

  #showBundles(names, chosen) {
    options(this.bundle, names.map((name) => [name, name.split("/").pop()]), chosen);
  }

  // Building

  #build() {
    this.list = h("div", { class: "photos", role: "list", "aria-label": t("photographs") });
    const folder = h("button", { type: "button", onclick: () => this.#openFolder() }, t("open.folder"));
    const left = h("aside", { class: "side left" }, h("div", { class: "photos-head" }, h("h2", {}, t("photographs")), folder), this.list);
    this.canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": t("canvas") });
    this.empty = h("div", { class: "empty" }, h("p", {}, t("drop.hint")));
    this.view = h("div", { class: "view" }, this.canvas, this.empty);
    this.strip = h("div", { class: "variants", hidden: true });
    const middle = h("section", { class: "stage", "aria-label": t("place") }, this.#toolbar(), this.view, this.strip, this.#statusbar());
    this.element = h("div", { class: "place" }, left, middle, this.#panel());
  }

  #toolbar() {
    this.tools = Object.fromEntries(TOOLS.map((name) => [name, iconButton(name, t(name), () => this.#tool(name), { "aria-pressed": `${name === "brush"}` })]));
    this.eraser = iconButton("erase", t("erase"), () => this.#erase(), { "aria-pressed": "false" });
    this.sizer = h("input", { type: "range", min: "1", max: "100", value: "35", "aria-label": t("size.name"), oninput: () => this.#size(fromSlider(this.sizer.value, this.#most())) });
    this.sized = h("output", { class: "number" });
    const file = h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.#loadMask(file) });
    const gap = () => h("span", { class: "gap" });
    return h("div", { class: "tools", role: "toolbar", "aria-label": t("mask.tools") },
      ...Object.values(this.tools), this.eraser, gap(), h("label", {}, t("size"), this.sizer, this.sized), gap(),
      iconButton("undo", `${t("undo")} (Ctrl+Z)`, () => this.#undo()), iconButton("redo", `${t("redo")} (Ctrl+Shift+Z)`, () => this.#redo()),
      iconButton("clear", t("clear"), () => this.#clear()), h("span", { class: "grow" }),
      iconButton("load", t("load.mask"), () => file.click()), iconButton("save", t("save.mask"), () => this.#saveMask()), gap(),
      iconButton("fit", t("fit"), () => this.stage.fit()), file);
  }

  #statusbar() {
    this.where = h("span", { class: "numbers" });
    this.about = h("span", { class: "numbers" });
    this.compare = h("input", { type: "range", min: "0", max: "100", value: "0", "aria-label": t("compare"), title: t("compare"), oninput: () => this.#split(this.compare.value / 100) });
    const compare = h("label", { class: "compare" }, t("before"), this.compare, t("after"));
    return h("div", { class: "status" }, this.where, compare, this.about);
  }

  #panel() {
    this.defects = h("div", { class: "defects" });
    this.kind = h("select", { "aria-label": t("mask.kind") });
    const draw = h("button", { type: "button", onclick: () => this.#drawMask() }, t("draw"));
    this.bundle = h("select", { "aria-label": t("bundle"), onchange: () => this.#chooseBundle() });
    this.method = h("select", { "aria-label": t("method"), onchange: () => this.#changed() });
    this.strength = h("input", { type: "range", min: "10", max: "100", value: "100", step: "5", class: "grow", oninput: () => this.#changed(150) });
    this.strengthShown = h("output", {}, "100%");
    this.seed = h("input", { type: "number", min: "0", max: "2147483647", value: "0", class: "grow", oninput: () => this.#changed(150) });
    this.howMany = h("input", { type: "number", min: "2", max: "24", value: "6", "aria-label": t("variants.number"), class: "grow" });
    const variants = h("button", { type: "button", onclick: () => this.#showVariants() }, t("variants.show"));
    this.outline = h("input", { type: "checkbox", checked: true, onchange: () => this.#outlines() });
    this.said = h("ul", { class: "said", "aria-live": "polite" });
    this.scores = h("dl", { class: "scores" });
    this.took = h("span", { class: "quiet number" });
    this.keep = h("button", { type: "button", class: "primary", title: t("keep.name"), disabled: true, onclick: () => this.#keep() }, t("keep"));
    const add = iconButton("add", t("add.defect"), () => this.#addDefect(), { class: "icon plain" });
    return h("aside", { class: "side right" },
      h("section", {}, h("div", { class: "row" }, h("h2", {}, t("defects")), add), this.defects,
        field(t("draw.mask"), h("span", { class: "grow row" }, grow(this.kind), draw))),
      h("section", {}, h("h2", {}, t("how")), field(t("bundle"), grow(this.bundle)), field(t("method"), grow(this.method)),
        field(t("strength"), this.strength, this.strengthShown),
        field(t("seed"), this.seed, iconButton("dice", t("dice"), () => this.#setSeed(Math.floor(Math.random() * 1e6)))),
        field(t("variants"), this.howMany, variants)),
      h("section", {}, h("div", { class: "row" }, h("h2", {}, t("result")), this.took), this.said, this.scores,
        h("label", { class: "check" }, this.outline, t("outline"))),
      h("div", { class: "keepbar" }, this.keep));
  }

  // Photographs

  async #load() {
    const { about } = this.shared;
    this.#showBundles(about.bundles, about.bundle);
    await this.#showAbility();
    this.#list((await attempt(() => get("/api/photographs"))) ?? []);
    const last = sessionStorage.getItem("photograph");
    const first = this.photographs.find((one) => one.id === last) ?? this.photographs[0];
    if (first) await this.#open(first.id);
  }

  #list(photographs) {
    this.photographs = photographs;
    this.empty.hidden = photographs.length > 0;
    this.list.replaceChildren(...photographs.map((one) => {
      const picture = h("img", { src: `/api/photographs/${one.id}/thumbnail`, alt: "", loading: "lazy", width: 44, height: 44 });
      return h("button", { type: "button", class: "photo", role: "listitem", "data-id": one.id, title: `${one.folder}/${one.name}`, onclick: () => this.#open(one.id) }, picture, h("span", {}, one.name));
    }));
  }

  async #open(id) {
    if (this.current?.id === id) return;
    await this.#saveDraft();
    this.opening = id;
    this.about.textContent = t("loading");
    const found = await attempt(() => get(`/api/photographs/${id}`));
    const preview = found && (await attempt(() => bitmap(`/api/photographs/${id}/preview`)));
    if (!preview || this.opening !== id) return;
    sessionStorage.setItem("photograph", id);
    this.current = { ...found, id };
    this.history = new History();
    this.variants.clear();
    this.#mark(id);
    this.stage.open(this.current, preview);
    this.#size(Math.max(4, Math.round(Math.min(found.width, found.height) / 24)));
    await this.#restore(found.draft);
    this.#warmUp();
  }

  #mark(id) {
    for (const one of this.list.children) one.setAttribute("aria-current", `${one.dataset.id === id}`);
    [...this.list.children].find((one) => one.dataset.id === id)?.scrollIntoView({ block: "nearest" });
  }

  /** Show what was painted on this photograph before. */
  async #restore(draft) {
    this.layers = [];
    if (draft && [...this.bundle.options].some((one) => one.value === draft.bundle) && draft.bundle !== this.bundle.value) {
      this.bundle.value = draft.bundle;
      await this.#showAbility();
    }
    if (draft && [...this.method.options].some((one) => one.value === draft.method)) this.method.value = draft.method;
    for (const one of draft?.defects ?? []) this.#addLayer(one.type).mask.setRuns(one.mask);
    if (!this.layers.length) this.#addLayer(this.#types()[0]);
    if (draft) {
      this.seed.value = draft.seed;
      this.strength.value = Math.round(100 * draft.strength);
    }
    this.active = 0;
    this.#showResult(null);
    this.#showDefects();
    if (this.#marked().length) this.#changed();
  }

  /** Let the server compute what the first defect would wait for. */
  #warmUp() {
    if (this.current && this.#types().length) post(`/api/photographs/${this.current.id}/warm-up`, this.#draft(0)).catch(() => null);
  }

  #step(by) {
    const at = this.photographs.findIndex((one) => one.id === (this.opening ?? this.current?.id));
    const next = this.photographs[at + by];
    if (next) this.#open(next.id);
  }

  async #openFolder() {
    const path = await chooseFolder();
    if (path === null) return;
    const found = await attempt(() => post("/api/folders", { path }));
    if (!found) return;
    this.#list(found);
    if (!this.current && found.length) this.#open(found[0].id);
    else if (this.current) this.#mark(this.current.id);
  }

  #listenForFiles() {
    const over = (on) => (event) => {
      event.preventDefault();
      this.view.classList.toggle("dropping", on);
    };
    this.view.addEventListener("dragover", over(true));
    this.view.addEventListener("dragleave", over(false));
    this.view.addEventListener("drop", (event) => {
      over(false)(event);
      this.#take([...event.dataTransfer.files]);
    });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => event.preventDefault());
  }

  async #take(files) {
    let last = null;
    for (const file of files) {
      const found = await attempt(() => send(`/api/photographs?name=${encodeURIComponent(file.name)}`, file));
      if (found) {
        last = found;
        say(t("upload.done", { name: found.name }));
      }
    }
    if (!last) return;
    this.#list((await attempt(() => get("/api/photographs"))) ?? this.photographs);
    this.#open(last.id);
  }

  // Defects and their masks

  #addLayer(type) {
    const used = new Set(this.layers.map((one) => one.colour)), { width, height } = this.current;
    const layer = { type, mask: new Mask(width, height), colour: COLOURS.find((one) => !used.has(one)) ?? COLOURS[0] };
    this.layers.push(layer);
    return layer;
  }

  #addDefect() {
    if (!this.current || this.layers.length >= MOST_DEFECTS) return;
    const types = this.#types();
    this.#addLayer(types[this.layers.length % types.length]);
    this.active = this.layers.length - 1;
    this.#showDefects();
  }

  #removeDefect(index) {
    const [gone] = this.layers.splice(index, 1);
    this.history.forget(gone.mask);
    if (!this.layers.length) this.#addLayer(gone.type);
    this.active = Math.min(this.active, this.layers.length - 1);
    this.#showDefects();
    this.#changed();
  }

  #activate(index) {
    this.active = index;
    this.#showDefects();
  }

  #showDefects() {
    this.#listDefects();
    this.stage.setLayers(this.layers, this.active);
  }

  #listDefects() {
    const types = this.#types();
    this.defects.replaceChildren(...this.layers.map((layer, k) => {
      if (!types.includes(layer.type)) layer.type = types[0];
      const n = k + 1, select = h("select", { "aria-label": t("type.of", { n }), onfocus: () => this.active !== k && this.#activate(k) });
      options(select, types.map((type) => [type, type]), layer.type);
      select.addEventListener("change", () => {
        layer.type = select.value;
        this.#changed();
      });
      const swatch = h("button", { type: "button", class: "swatch", "aria-label": t("select.defect", { n }), title: t("select.defect", { n }), onclick: () => this.#activate(k) });
      swatch.style.background = layer.colour;
      const remove = iconButton("close", t("remove.defect"), () => this.#removeDefect(k));
      const size = h("span", { class: "size" }, layer.mask.area ? t("mask.px", { n: layer.mask.area.toLocaleString() }) : t("mask.empty"));
      return h("div", { class: k === this.active ? "defect active" : "defect" }, swatch, select, size, remove);
    }));
  }

  #stroked(mask, before) {
    this.history.push(mask, before);
    this.#listDefects(); // the stage has painted the stroke already
    this.#changed();
  }

  #masksChanged() {
    this.#showDefects();
    this.#changed();
  }

  #undo() {
    if (this.history.undo()) this.#masksChanged();
  }

  #redo() {
    if (this.history.redo()) this.#masksChanged();
  }

  #replaceMask(layer, runs) {
    if (!this.layers.includes(layer)) return; // another photograph was opened meanwhile
    this.history.replace(layer.mask, runs);
    this.#masksChanged();
  }

  #clear() {
    const layer = this.layers[this.active];
    if (layer?.mask.area) this.#replaceMask(layer, EMPTY);
  }

  async #drawMask() {
    if (!this.current) return;
    const layer = this.layers[this.active];
    const wish = { bundle: this.bundle.value, kind: this.kind.value, type: layer.type, seed: this.maskSeed++ };
    const runs = await attempt(() => post(`/api/photographs/${this.current.id}/mask`, wish));
    if (runs) this.#replaceMask(layer, runs);
  }

  async #loadMask(input) {
    const [file] = input.files;
    input.value = "";
    if (!file || !this.current) return;
    const layer = this.layers[this.active], type = encodeURIComponent(layer.type);
    const runs = await attempt(() => send(`/api/photographs/${this.current.id}/mask-file?type=${type}`, file));
    if (runs) this.#replaceMask(layer, runs);
  }

  async #saveMask() {
    if (!this.layers[this.active]?.mask.area) return;
    await this.#saveDraft();
    const which = this.#marked().indexOf(this.layers[this.active]), id = this.current.id;
    const name = this.photographs.find((one) => one.id === id)?.name.replace(/\.[^.]*$/, "") ?? "mask";
    h("a", { href: `/api/photographs/${id}/mask.png?defect=${which}`, download: `${name}_mask.png` }).click();
  }

  // The bundle and the look

  async #showAbility() {
    const found = await attempt(() => get(`/api/bundle?name=${encodeURIComponent(this.bundle.value)}`));
    if (!found) return;
    this.able = found;
    options(this.method, Object.keys(found.methods).map((name) => [name, t(`method.${name}`)]), this.method.value);
    const kinds = found.masks.includes("learned") ? ["learned", ...found.masks.filter((one) => one !== "learned")] : found.masks;
    options(this.kind, kinds.map((name) => [name, t(`kind.${name}`)]), this.kind.value);
  }

  async #chooseBundle() {
    await this.#showAbility();
    this.#showDefects();
    this.#changed();
  }

  #types() {
    return this.able?.methods[this.method.value] ?? [];
  }

  #setSeed(seed) {
    this.seed.value = seed;
    this.#changed();
  }

  #marked() {
    return this.layers.filter((one) => one.mask.area);
  }

  #draft(seed = Number(this.seed.value) || 0) {
    const defects = this.#marked().map(({ type, mask }) => ({ type, mask: mask.runs() }));
    return { bundle: this.bundle.value, method: this.method.value, defects, strength: this.strength.value / 100, seed };
  }

  // The defect appears

  /** Show the defect anew; `pause` is a time in which more changes may come. */
  #changed(pause = 0) {
    this.touched = performance.now();
    this.strengthShown.textContent = `${this.strength.value}%`;
    this.variants.clear();
    clearTimeout(this.draftTimer);
    this.draftTimer = setTimeout(() => this.#placed(), pause);
  }

  async #placed() {
    if (!this.current) return;
    if (this.layers.some((one) => !this.#types().includes(one.type))) this.#showDefects();
    const began = this.touched, id = this.current.id, draft = this.#draft();
    const turn = ++this.waiting;
    this.requested?.abort();
    this.requested = new AbortController();
    if (!draft.defects.length) {
      this.#showResult(null);
      return void attempt(() => post(`/api/photographs/${id}/draft`, draft));
    }
    this.took.textContent = t("working");
    const found = await attempt(() => post(`/api/photographs/${id}/place`, draft, { signal: this.requested.signal }));
    if (turn !== this.waiting || this.current?.id !== id) return;
    if (!found) return this.#showResult(null);
    const picture = found.crop ? await createImageBitmap(pngOf(found.crop)) : null;
    if (turn !== this.waiting) return;
    this.#showResult({ ...found, picture });
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    this.took.textContent = t("took", { s: seconds });
    Object.assign(this.element.dataset, { shown: turn, seconds }); // for tests and benchmarks
  }

  #showResult(found) {
    this.result = this.stage.result = found;
    this.keep.disabled = !found?.picture;
    this.took.textContent = "";
    this.stage.draw();
    const said = [];
    if (!found) said.push(h("p", { class: "quiet" }, t("nothing")));
    else if (found.out_of_domain) said.push(h("li", { class: "bad" }, t("foreign")));
    for (const one of found?.reasons ?? []) said.push(h("li", {}, reason(one)));
    const judged = found?.defects.every(({ scores }) => "verdict" in scores);
    if (found && !said.length) said.push(judged ? h("li", { class: "fine" }, `✓ ${t("fine")}`) : h("li", { class: "plain" }, t("unjudged")));
    this.said.replaceChildren(...said);
    this.scores.replaceChildren(...(found ? this.#scoreRows(found) : []));
  }

  #scoreRows(found) {
    const rows = [[t("label.area"), t("mask.px", { n: found.area.toLocaleString() })]];
    const single = found.defects.length === 1;
    for (const { type, scores } of found.defects) {
      for (const name of SCORES) {
        if (name in scores && (single || name === "iou_requested" || name === "verdict")) rows.push([single ? t(`score.${name}`) : `${type} · ${t(`score.${name}`)}`, scores[name].toFixed(2)]);
      }
    }
    return rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  }

  async #showVariants() {
    const draft = this.#draft();
    if (!this.current || !draft.defects.length) return;
    const count = Math.min(24, Math.max(2, Number(this.howMany.value) || 6));
    await this.variants.show(this.current, this.stage.preview, draft, count);
  }

  async #saveDraft(more = {}) {
    if (!this.current) return;
    const id = this.current.id, draft = this.#draft();
    await post(`/api/photographs/${id}/draft`, draft, more).catch(() => null);
  }

  async #keep() {
    if (this.keep.disabled) return;
    this.keep.disabled = true;
    this.keep.textContent = t("keeping");
    const kept = await attempt(() => post(`/api/photographs/${this.current.id}/keep`, this.#draft()));
    this.keep.textContent = t("keep");
    this.keep.disabled = !this.result?.picture;
    if (kept) say(`${t("kept")}: ${kept.name}`, { detail: (kept.files.image && `kept/${kept.files.image}`) || "" });
  }

  // The tools

  #tool(name) {
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
    return this.current ? Math.max(this.current.width, this.current.height) / 3 : 400;
  }

  #size(pixels) {
    this.stage.size = Math.min(this.#most(), Math.max(1, pixels));
    this.sizer.value = toSlider(this.stage.size, this.#most());
    this.sized.textContent = `${Math.round(this.stage.size)} px`;
    this.stage.draw();
  }

  #split(share) {
    this.stage.split = share;
    this.compare.value = 100 * share;
    this.stage.draw();
  }

  #outlines() {
    this.stage.showOutline = this.outline.checked;
    this.stage.draw();
  }

  #showNumbers() {
    if (!this.current) return;
    const { width, height, bits, channels } = this.current, at = this.stage.pointer;
    const inside = at && at.x >= 0 && at.y >= 0 && at.x < width && at.y < height;
    const place = inside ? `${Math.floor(at.x)}, ${Math.floor(at.y)}` : "";
    this.where.textContent = `${Math.round(100 * this.stage.scale)}%   ${place}`;
    this.about.textContent = `${width} × ${height} · ${bits * channels} bit`;
  }

  #key(event) {
    if (this.shared.view !== "place" || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input[type='number'], input[type='text'], select");
    const ranging = event.target.matches("input[type='range']") && event.key.startsWith("Arrow");
    if (typing || ranging) return;
    const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (command && key === "z") event.shiftKey ? this.#redo() : this.#undo();
    else if (command || event.altKey) return;
    else if (event.code === "Space" && event.target.matches("button")) return;
    else if (event.code === "Space") this.stage.space = true;
    else if (!this.#keys(key)) return;
    event.preventDefault();
  }

  /** What a single key does; false for one that does nothing. */
  #keys(key) {
    const acts = {
      x: () => this.#erase(),
      "[": () => this.#size(this.stage.size / 1.2),
      "]": () => this.#size(Math.max(this.stage.size * 1.2, this.stage.size + 1)),
      arrowleft: () => this.#step(-1),
      arrowup: () => this.#step(-1),
      arrowright: () => this.#step(1),
      arrowdown: () => this.#step(1),
      b: () => this.#split(this.stage.split > 0.5 ? 0 : 1),
      k: () => this.#keep(),
      r: () => this.#setSeed(Math.floor(Math.random() * 1e6)),
      0: () => this.stage.fit(),
      "+": () => this.stage.zoom(1.25),
      "-": () => this.stage.zoom(0.8),
      escape: () => this.stage.cancelPolygon(),
      enter: () => this.stage.closePolygon(),
      ...Object.fromEntries(TOOLS.map((name, k) => [k + 1, () => this.#tool(name)])),
    };
    if (key === "enter" && !this.stage.corners.length) return false;
    acts[key]?.();
    return key in acts;
  }
}

function grow(element) {
  element.classList.add("grow");
  return element;
}

function pngOf(base64) {
  return new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
}

/** Sizes grow by the same factor along the slider. */
function fromSlider(value, most) {
  return most ** ((value - 1) / 99);
}

function toSlider(size, most) {
  return 1 + (99 * Math.log(size)) / Math.log(most);
}
