// A mask at the photograph's own pixels, drawn without soft edges; each stroke can be undone.

export class Mask {
  constructor(width, height) {
    Object.assign(this, { width, height, pixels: new Uint8Array(width * height), area: 0 });
  }

  /** Pixels within a radius of a segment. */
  capsule(a, b, radius, value) {
    const box = this.#box(Math.min(a.x, b.x) - radius, Math.min(a.y, b.y) - radius, Math.max(a.x, b.x) + radius, Math.max(a.y, b.y) + radius);
    const dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy || 1, reach = radius * radius;
    return this.#fill(box, value, (x, y) => {
      const along = Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / length));
      const ex = x - a.x - along * dx, ey = y - a.y - along * dy;
      return ex * ex + ey * ey <= reach;
    });
  }

  rectangle(a, b, value) {
    const box = this.#box(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y));
    return this.#fill(box, value, () => true);
  }

  polygon(points, value) {
    const xs = points.map((p) => p.x), ys = points.map((p) => p.y);
    const box = this.#box(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
    return this.#fill(box, value, (x, y) => {
      let inside = false;
      for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
        const p = points[i], q = points[j];
        if (p.y > y !== q.y > y && x < ((q.x - p.x) * (y - p.y)) / (q.y - p.y) + p.x) inside = !inside;
      }
      return inside;
    });
  }

  /** A box of pixels, now or as `pixels` once was, to be put back by `paste`. */
  copy(box, pixels = this.pixels) {
    const [x, y, w, h] = box, data = new Uint8Array(w * h);
    for (let row = 0; row < h; row++) data.set(pixels.subarray((y + row) * this.width + x, (y + row) * this.width + x + w), row * w);
    return { box, data };
  }

  paste({ box, data }) {
    const [x, y, w, h] = box;
    for (let row = 0; row < h; row++) {
      for (let k = 0; k < w; k++) {
        const at = (y + row) * this.width + x + k;
        this.area += data[row * w + k] - this.pixels[at];
        this.pixels[at] = data[row * w + k];
      }
    }
    return box;
  }

  /** Smallest box of what is marked; null for an empty mask. */
  bounds() {
    if (!this.area) return null;
    let top = 0, low = this.height - 1;
    const marked = (row) => this.pixels.subarray(row * this.width, (row + 1) * this.width).indexOf(1) >= 0;
    while (!marked(top)) top++;
    while (!marked(low)) low--;
    let left = this.width, right = 0;
    for (let row = top; row <= low; row++) {
      const line = this.pixels.subarray(row * this.width, (row + 1) * this.width), first = line.indexOf(1);
      if (first < 0) continue;
      left = Math.min(left, first);
      right = Math.max(right, line.lastIndexOf(1));
    }
    return [left, top, right - left + 1, low - top + 1];
  }

  /** Lengths of runs in its box, as the server reads them. */
  runs() {
    const box = this.bounds() ?? [0, 0, 1, 1], [x, y, w, h] = box, runs = [];
    let value = 0, length = 0;
    for (let row = y; row < y + h; row++) {
      for (let at = row * this.width + x, end = at + w; at < end; at++) {
        if (this.pixels[at] !== value) {
          runs.push(length);
          value = 1 - value;
          length = 0;
        }
        length++;
      }
    }
    return { box, runs: [...runs, length] };
  }

  setRuns({ box, runs }) {
    const [x, y, w] = box;
    this.pixels.fill(0);
    this.area = 0;
    let at = 0;
    runs.forEach((length, k) => {
      if (k % 2) {
        this.area += length;
        for (let n = at; n < at + length; n++) this.pixels[(y + Math.floor(n / w)) * this.width + x + (n % w)] = 1;
      }
      at += length;
    });
  }

  #box(left, top, right, low) {
    const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
    const w = Math.min(this.width, Math.ceil(right) + 1) - x, h = Math.min(this.height, Math.ceil(low) + 1) - y;
    return [x, y, Math.max(0, w), Math.max(0, h)];
  }

  #fill(box, value, inside) {
    const [x, y, w, h] = box;
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) {
        const at = row * this.width + column;
        if (this.pixels[at] !== value && inside(column + 0.5, row + 0.5)) {
          this.pixels[at] = value;
          this.area += value ? 1 : -1;
        }
      }
    }
    return box;
  }
}

export const EMPTY = { box: [0, 0, 1, 1], runs: [1] };

/** Smallest box around two; the first may be null. */
export function union(a, b) {
  if (!a) return b;
  const x = Math.min(a[0], b[0]), y = Math.min(a[1], b[1]);
  return [x, y, Math.max(a[0] + a[2], b[0] + b[2]) - x, Math.max(a[1] + a[3], b[1] + b[3]) - y];
}

/** Strokes that can be undone, over all masks of a photograph. */
export class History {
  constructor() {
    this.done = [];
    this.undone = [];
  }

  /** Replace all of a mask. */
  replace(mask, runs) {
    const before = mask.copy(union(mask.bounds(), runs.box));
    mask.setRuns(runs);
    this.push(mask, before);
  }

  push(mask, before) {
    this.done.push({ mask, before });
    if (this.done.length > 100) this.done.shift();
    this.undone = [];
  }

  undo() {
    return this.#step(this.done, this.undone);
  }

  redo() {
    return this.#step(this.undone, this.done);
  }

  forget(mask) {
    this.done = this.done.filter((one) => one.mask !== mask);
    this.undone = this.undone.filter((one) => one.mask !== mask);
  }

  #step(from, to) {
    const one = from.pop();
    if (!one) return false;
    to.push({ mask: one.mask, before: one.mask.copy(one.before.box) });
    one.mask.paste(one.before);
    return true;
  }
}
