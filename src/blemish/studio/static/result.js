// What is known of the defect that is shown: reasons against the item, and its scores.

import { h } from "./dom.js";
import { reason, t } from "./i18n.js";

const SCORES = ["iou_requested", "drift", "verdict", "distance", "likeness", "contrast", "on_part"];

export class ResultPanel {
  /** @param outline function that shows or hides the outline of the label. */
  constructor(outline) {
    this.said = h("ul", { class: "said", "aria-live": "polite" });
    this.scores = h("dl", { class: "scores" });
    this.took = h("span", { class: "quiet number" });
    const box = h("input", { type: "checkbox", checked: true, onchange: () => outline(box.checked) });
    this.element = h("section", {}, h("div", { class: "row" }, h("h2", {}, t("result")), this.took), this.said, this.scores,
      h("label", { class: "check" }, box, t("outline")));
  }

  time(text) {
    this.took.textContent = text;
  }

  /** @param found answer of the server; null if there is nothing to show. */
  show(found) {
    this.time("");
    const said = [];
    if (!found) said.push(h("p", { class: "quiet" }, t("nothing")));
    else if (found.out_of_domain) said.push(h("li", { class: "bad" }, t("foreign")));
    for (const one of found?.reasons ?? []) said.push(h("li", {}, reason(one)));
    const judged = found?.defects.every(({ scores }) => "verdict" in scores);
    if (found && !said.length) said.push(judged ? h("li", { class: "fine" }, `✓ ${t("fine")}`) : h("li", { class: "plain" }, t("unjudged")));
    this.said.replaceChildren(...said);
    this.scores.replaceChildren(...(found ? scoreRows(found) : []));
  }
}

function scoreRows(found) {
  const rows = [[t("label.area"), t("mask.px", { n: found.area.toLocaleString() })]];
  const single = found.defects.length === 1;
  for (const { type, scores } of found.defects) {
    for (const name of SCORES) {
      if (name in scores && (single || name === "iou_requested" || name === "verdict")) rows.push([single ? t(`score.${name}`) : `${type} · ${t(`score.${name}`)}`, scores[name].toFixed(2)]);
    }
  }
  return rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}
