// Choosing a folder inside the one with which the studio was started.

import { attempt, get } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Path of the chosen folder relative to the user's; null if none was chosen. */
export function chooseFolder() {
  return new Promise((resolve) => {
    const list = h("div", { class: "folders" }), about = h("p", { class: "quiet" }), path = h("code", {});
    let here = "", chosen = null;
    const open = h("button", { type: "button", class: "primary", onclick: () => (chosen = here, dialog.close()) }, t("open.here"));
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, t("cancel"));
    const inside = h("div", { class: "inside" }, h("h2", {}, t("folder.choose")), path, list, about, h("div", { class: "row end" }, cancel, open));
    const dialog = h("dialog", { "aria-label": t("folder.choose"), onclose: () => (dialog.remove(), resolve(chosen)) }, inside);
    async function show(next) {
      const found = await attempt(() => get(`/api/folders?path=${encodeURIComponent(next)}`));
      if (!found) return;
      here = found.path;
      path.textContent = here || found.name;
      about.textContent = t("folder.pictures", { n: found.pictures });
      const up = here ? [h("button", { type: "button", onclick: () => show(here.split("/").slice(0, -1).join("/")) }, `↑ ${t("up")}`)] : [];
      list.replaceChildren(...up, ...found.folders.map((name) => h("button", { type: "button", onclick: () => show(here ? `${here}/${name}` : name) }, name)));
    }
    document.body.append(dialog);
    dialog.showModal();
    show("");
  });
}
