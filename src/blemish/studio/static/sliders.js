// A slider for each of several directions.

import { field, grow, h } from "./dom.js";
import { t } from "./i18n.js";

const MOST = 3; // deviations

export class Sliders {
  /** @param changed function that is called when a slider moves. */
  constructor(changed) {
    Object.assign(this, { changed, sliders: new Map() });
    this.element = h("div", { class: "sliders" });
  }

  /** Show sliders for these names; those that were there keep their values. */
  show(names) {
    const old = this.sliders;
    this.sliders = new Map(names.map((name) => [name, old.get(name) ?? this.#slider(name)]));
    this.element.replaceChildren(...[...this.sliders.values()].map((one) => one.element));
  }

  /** Moves of the sliders that are not in their middle; the first one if all are. */
  moves() {
    const all = [...this.sliders].map(([direction, { input }]) => ({ direction, distance: Number(input.value) }));
    return all.filter((one) => one.distance);
  }

  reset() {
    for (const { input, shown } of this.sliders.values()) {
      input.value = 0;
      shown.textContent = "0";
    }
  }

  #slider(name) {
    const shown = h("output", {}, "0");
    const input = h("input", { type: "range", min: `${-MOST}`, max: `${MOST}`, step: "0.25", value: "0", "data-direction": name, oninput: () => {
      shown.textContent = signed(Number(input.value));
      this.changed();
    } });
    const known = t(`direction.${name}`);
    return { input, shown, element: field(known.startsWith("direction.") ? name : known, grow(input), shown) };
  }
}

function signed(value) {
  return value > 0 ? `+${value}` : `${value}`.replace("-", "−");
}
