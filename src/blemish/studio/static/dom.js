// Elements, icons and messages.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  brush: "M14.5 3.5l6 6-9 9c-1.5 1.5-4 1.500-7.500 2.000.500-3.500.500-6 2.000-7.500zM11 7l6 6",
  line: "M4 20L20 4M4 20h.01M20 4h.01",
  polygon: "M5 8l8-4 7 6-3 9-10 1z",
  box: "M5 6h14v12H5z",
  erase: "M8 20h11M4.500 14.500l9-9 6 6-8.500 8.500H8z",
  undo: "M8 5L4 9l4 4M4 9h9a6 6 0 010 12H9",
  redo: "M16 5l4 4-4 4M20 9h-9a6 6 0 000 12h4",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  load: "M12 15V4M8 8l4-4 4 4M4 15v5h16v-5",
  save: "M12 4v11M8 11l4 4 4-4M4 15v5h16v-5",
  clear: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  dice: "M5 5h14v14H5zM9 9h.01M15 15h.01M15 9h.01M9 15h.01",
  add: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  folder: "M3 7h6l2 2h10v10H3z",
  theme: "M12 3.500a8.500 8.500 0 100 17 8.500 8.500 0 000-17zM12 3.500v17M15 5v14M18 7.500v9",
};

/** An element: attributes set, `on…` listeners added, children appended. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon only; its name is what a screen reader says and a pointer shows. */
export function iconButton(name, title, onclick, more = {}) {
  return h("button", { class: "icon", type: "button", title, "aria-label": title, onclick, ...more }, icon(name));
}

export function field(title, ...controls) {
  return h("label", { class: "field" }, h("span", {}, title), h("span", { class: "row" }, ...controls));
}

/** An element that takes the room that is left in its row. */
export function grow(element) {
  element.classList.add("grow");
  return element;
}

export function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => h("option", { value }, text)));
  if (entries.some(([value]) => value === chosen)) select.value = chosen;
  return select;
}

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

/** A message that goes away by itself. */
export function say(text, { detail = "", bad = false, action = null } = {}) {
  if (!toasts.isConnected) document.body.append(toasts);
  const content = h("span", {}, text, detail ? h("small", {}, detail) : "");
  const toast = h("div", { class: bad ? "toast bad" : "toast" }, content);
  if (action) toast.append(h("button", { type: "button", onclick: () => { toast.remove(); action.run(); } }, action.name));
  toasts.replaceChildren(toast);
  setTimeout(() => toast.remove(), bad ? 9000 : 5000);
}

export function curve(values, width = 200, height = 70) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const known = values.map((v, k) => [k, v]).filter(([, v]) => Number.isFinite(v));
  const low = Math.min(...known.map(([, v]) => v)), high = Math.max(...known.map(([, v]) => v));
  const x = (k) => (k / Math.max(1, values.length - 1)) * width;
  const y = (v) => height - 4 - ((v - low) / (high - low || 1)) * (height - 8);
  const base = document.createElementNS(SVG, "line");
  for (const [name, value] of [["x1", 0], ["x2", width], ["y1", height - 1], ["y2", height - 1]]) base.setAttribute(name, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", known.map(([k, v], n) => `${n ? "L" : "M"}${x(k).toFixed(1)} ${y(v).toFixed(1)}`).join(""));
  svg.append(base, path);
  return svg;
}
