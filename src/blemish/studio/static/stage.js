// The canvas: the photograph, the defect on it, the masks, and the tools that paint them.

import { bitmap } from "./api.js";
import { union } from "./mask.js";

export const COLOURS = ["#e4572e", "#2e86de", "#f2b705", "#8e44ad", "#16a085", "#d35400", "#e84393", "#576574"];
const MOST_ZOOM = 32;
const opaque = (hex) => {
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  return new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0];
};

export class Stage {
  /** @param canvas element; @param events object with `stroked(mask, before)`, `moved()` and `sized(px)`. */
  constructor(canvas, events) {
    Object.assign(this, { canvas, events, context: canvas.getContext("2d"), tool: "brush", erasing: false, size: 24 });
    Object.assign(this, { photograph: null, layers: [], active: 0, result: null, split: 0, showOutline: true });
    Object.assign(this, { scale: 1, x: 0, y: 0, corners: [], stroke: null, pan: null, pointer: null, space: false, native: null });
    new ResizeObserver(() => this.#resized()).observe(canvas);
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave", "wheel", "dblclick", "contextmenu"]) {
      canvas.addEventListener(name, (event) => this[`_${name}`]?.(event), { passive: false });
    }
  }

  /** Show a photograph: its id, width and height, and a reduced picture of it. */
  open(photograph, preview) {
    Object.assign(this, { photograph, preview, result: null, native: null, corners: [], stroke: null, inked: null });
    this.overlay = new OffscreenCanvas(photograph.width, photograph.height);
    this.ink = this.overlay.getContext("2d");
    this.fit();
  }

  fit() {
    if (!this.photograph) return;
    const { width, height } = this.photograph, w = this.canvas.clientWidth, h = this.canvas.clientHeight;
    this.scale = Math.min((w - 32) / width, (h - 32) / height) || 1;
    this.x = (w - width * this.scale) / 2;
    this.y = (h - height * this.scale) / 2;
    this.#moved();
    this.fitted = true; // until the picture is moved, it follows the window's size
  }

  zoom(factor, at = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 }) {
    const next = Math.min(MOST_ZOOM, Math.max(0.02, this.scale * factor)), ratio = next / this.scale;
    this.x = at.x - (at.x - this.x) * ratio;
    this.y = at.y - (at.y - this.y) * ratio;
    this.scale = next;
    this.#moved();
  }

  setLayers(layers, active) {
    Object.assign(this, { layers, active });
    if (this.inked) this.ink.clearRect(...this.inked);
    this.inked = null;
    for (const { mask } of layers) {
      const box = mask.bounds();
      if (box) this.#paint(box);
    }
    this.draw();
  }

  /** Show masks again after a change within a box. */
  changed(box) {
    this.#paint(box);
    this.draw();
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.photograph) this.#draw();
    });
  }

  cancelPolygon() {
    this.corners = [];
    this.draw();
  }

  closePolygon() {
    const corners = this.corners;
    this.corners = [];
    if (corners.length > 2) {
      this.#begin();
      this.#add(this.mask.polygon(corners, this.#value()));
      this.#end();
    }
    this.draw();
  }

  get mask() {
    return this.layers[this.active]?.mask;
  }

  _pointerdown(event) {
    if (!this.photograph) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = this.#at(event);
    if (event.button !== 0 || this.space) {
      this.pan = { x: event.offsetX - this.x, y: event.offsetY - this.y };
      this.canvas.classList.add("panning");
    } else if (this.mask) this.#press(this.pointer);
    event.preventDefault();
    document.activeElement?.blur(); // so that keys reach the tools
  }

  _pointermove(event) {
    if (!this.photograph) return;
    const before = this.pointer;
    this.pointer = this.#at(event);
    if (this.pan) {
      this.x = event.offsetX - this.pan.x;
      this.y = event.offsetY - this.pan.y;
      return this.#moved();
    }
    if (this.stroke && this.tool === "brush") {
      let last = before ?? this.pointer;
      for (const one of event.getCoalescedEvents?.() ?? [event]) {
        const next = this.#at(one);
        this.#add(this.mask.capsule(last, next, this.size / 2, this.#value()));
        last = next;
      }
    }
    this.events.moved();
    this.draw();
  }

  _pointerup() {
    if (this.pan) {
      this.pan = null;
      return this.canvas.classList.remove("panning");
    }
    if (!this.stroke) return;
    const { from } = this.stroke;
    if (this.tool === "line") this.#add(this.mask.capsule(from, this.pointer, this.size / 2, this.#value()));
    if (this.tool === "box") this.#add(this.mask.rectangle(from, this.pointer, this.#value()));
    this.#end();
  }

  _pointercancel() {
    this._pointerup();
  }

  _pointerleave() {
    this.pointer = null;
    this.events.moved();
    this.draw();
  }

  _wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), { x: event.offsetX, y: event.offsetY });
  }

  _dblclick() {
    if (this.tool === "polygon") this.closePolygon();
  }

  _contextmenu(event) {
    event.preventDefault();
  }

  #press(at) {
    if (this.tool === "polygon") return void this.corners.push(at), this.draw();
    this.#begin(at);
    if (this.tool === "brush") this.#add(this.mask.capsule(at, at, this.size / 2, this.#value()));
  }

  #begin(from = null) {
    this.stroke = { from, before: this.mask.pixels.slice(), box: null };
  }

  #add(box) {
    if (!box[2] || !box[3]) return;
    this.stroke.box = union(this.stroke.box, box);
    this.changed(box);
  }

  #end() {
    const { before, box } = this.stroke;
    this.stroke = null;
    if (box) this.events.stroked(this.mask, this.mask.copy(box, before));
    this.draw();
  }

  #value() {
    return this.erasing ? 0 : 1;
  }

  #at(event) {
    return { x: (event.offsetX - this.x) / this.scale, y: (event.offsetY - this.y) / this.scale };
  }

  #paint([x, y, w, h]) {
    const image = new ImageData(w, h), colours = new Uint32Array(image.data.buffer), width = this.photograph.width;
    for (const { mask, colour } of this.layers) {
      const value = opaque(colour);
      for (let row = 0; row < h; row++) {
        const start = (y + row) * width + x;
        for (let column = 0; column < w; column++) {
          if (mask.pixels[start + column]) colours[row * w + column] = value;
        }
      }
    }
    this.ink.putImageData(image, x, y);
    this.inked = union(this.inked, [x, y, w, h]); // all that need be drawn of the overlay
  }

  #resized() {
    const ratio = devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return; // another view is shown
    this.canvas.width = clientWidth * ratio;
    this.canvas.height = clientHeight * ratio;
    if (this.photograph) this.fitted ? this.fit() : this.#moved();
  }

  #moved() {
    this.fitted = false;
    this.events.moved();
    this.draw();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.#sharpen(), 160);
  }

  /** Fetch the visible part at the photograph's own pixels where the reduced picture is too coarse. */
  async #sharpen() {
    if (!this.photograph || this.scale <= (1.05 * this.preview.width) / this.photograph.width) return;
    const { id, width, height } = this.photograph;
    const left = Math.max(0, Math.floor(-this.x / this.scale)), top = Math.max(0, Math.floor(-this.y / this.scale));
    const w = Math.min(width - left, Math.ceil(this.canvas.clientWidth / this.scale) + 2);
    const h = Math.min(height - top, Math.ceil(this.canvas.clientHeight / this.scale) + 2);
    if (w < 1 || h < 1 || w > 2048 || h > 2048) return;
    const known = this.native;
    if (known && known.x <= left && known.y <= top && known.x + known.picture.width >= left + w && known.y + known.picture.height >= top + h) return;
    const picture = await bitmap(`/api/photographs/${id}/cut?x=${left}&y=${top}&w=${w}&h=${h}`).catch(() => null);
    if (picture && this.photograph?.id === id) this.native = { x: left, y: top, picture };
    this.draw();
  }

  #draw() {
    const c = this.context, ratio = devicePixelRatio || 1, { width, height } = this.photograph;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, this.canvas.width, this.canvas.height);
    c.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    c.imageSmoothingEnabled = this.scale < 3;
    c.imageSmoothingQuality = "medium";
    c.drawImage(this.preview, 0, 0, width, height);
    if (this.native) c.drawImage(this.native.picture, this.native.x, this.native.y);
    const cut = this.split * width;
    c.save();
    c.beginPath();
    c.rect(cut, 0, width - cut, height);
    c.clip();
    if (this.result?.picture) c.drawImage(this.result.picture, this.result.box[0], this.result.box[1]);
    if (this.result && this.showOutline) this.#outline();
    c.restore();
    if (this.inked && (!this.result || this.stroke)) {
      const [x, y, w, h] = this.inked;
      c.globalAlpha = 0.5;
      c.drawImage(this.overlay, x, y, w, h, x, y, w, h);
      c.globalAlpha = 1;
    }
    if (this.split > 0 && this.split < 1) this.#line([{ x: cut, y: 0 }, { x: cut, y: height }], 1.5, "#ffffff");
    this.#tool();
  }

  #outline() {
    for (const points of this.result.outlines) {
      const path = points.map(([x, y]) => ({ x: x + 0.5, y: y + 0.5 }));
      this.#line([...path, path[0]], 2.6, "rgb(0 0 0 / .45)");
      this.#line([...path, path[0]], 1.2, "#ffffff");
    }
  }

  #line(points, width, colour) {
    const c = this.context;
    c.beginPath();
    points.forEach((p, k) => (k ? c.lineTo(p.x, p.y) : c.moveTo(p.x, p.y)));
    c.lineWidth = width / this.scale;
    c.lineJoin = "round";
    c.strokeStyle = colour;
    c.stroke();
  }

  #tool() {
    const at = this.pointer, c = this.context;
    if (this.corners.length) this.#line([...this.corners, ...(at ? [at] : [])], 1.5, COLOURS[this.active % COLOURS.length]);
    if (!at || this.pan) return;
    if (this.stroke?.from && this.tool === "line") this.#line([this.stroke.from, at], this.size * this.scale, "rgb(255 255 255 / .5)");
    if (this.stroke?.from && this.tool === "box") {
      const { from } = this.stroke;
      this.#line([from, { x: at.x, y: from.y }, at, { x: from.x, y: at.y }, from], 1.5, "#ffffff");
    }
    if (this.tool !== "brush" && this.tool !== "line") return;
    for (const [width, colour] of [[2.4, "rgb(0 0 0 / .5)"], [1.1, this.erasing ? "#ffb3a7" : "#ffffff"]]) {
      c.beginPath();
      c.arc(at.x, at.y, this.size / 2, 0, 2 * Math.PI);
      c.lineWidth = width / this.scale;
      c.strokeStyle = colour;
      c.stroke();
    }
  }
}
