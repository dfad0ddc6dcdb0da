// The photographs that are open: their list, other folders, and files that are dragged onto the page.

import { attempt, get, post, send } from "./api.js";
import { h, say } from "./dom.js";
import { chooseFolder } from "./folders.js";
import { t } from "./i18n.js";

export class PhotoList {
  /** @param open function that opens a photograph by its id; @param dropped element onto which files are dragged. */
  constructor(open, dropped) {
    Object.assign(this, { open, dropped, known: [], current: null });
    this.list = h("div", { class: "photos", role: "list", "aria-label": t("photographs") });
    this.empty = h("div", { class: "empty" }, h("p", {}, t("drop.hint")));
    const folder = h("button", { type: "button", onclick: () => this.#openFolder() }, t("open.folder"));
    this.element = h("aside", { class: "side left" }, h("div", { class: "photos-head" }, h("h2", {}, t("photographs")), folder), this.list);
    dropped.append(this.empty);
    this.#listenForFiles();
  }

  /** Ask the server which photographs are open. */
  async refresh() {
    this.#show((await attempt(() => get("/api/photographs"))) ?? this.known);
  }

  name(id) {
    return this.known.find((one) => one.id === id)?.name;
  }

  /** The photograph of the last visit, or the first one. */
  first() {
    const last = sessionStorage.getItem("photograph");
    return this.known.find((one) => one.id === last) ?? this.known[0];
  }

  mark(id) {
    this.current = id;
    for (const one of this.list.children) one.setAttribute("aria-current", `${one.dataset.id === id}`);
    [...this.list.children].find((one) => one.dataset.id === id)?.scrollIntoView({ block: "nearest" });
  }

  /** Open the next photograph, or the one before. */
  step(by, from) {
    const next = this.known[this.known.findIndex((one) => one.id === from) + by];
    if (next) this.open(next.id);
  }

  #show(photographs) {
    if (`${photographs.map((one) => one.id)}` === `${this.known.map((one) => one.id)}`) return; // thumbnails stay
    this.known = photographs;
    this.empty.hidden = photographs.length > 0;
    this.list.replaceChildren(...photographs.map((one) => {
      const picture = h("img", { src: `/api/photographs/${one.id}/thumbnail`, alt: "", loading: "lazy", width: 44, height: 44 });
      return h("button", { type: "button", class: "photo", role: "listitem", "data-id": one.id, title: `${one.folder}/${one.name}`, onclick: () => this.open(one.id) }, picture, h("span", {}, one.name));
    }));
    if (this.current) this.mark(this.current);
  }

  async #openFolder() {
    const path = await chooseFolder();
    if (path === null) return;
    const found = await attempt(() => post("/api/folders", { path }));
    if (!found) return;
    this.#show(found);
    if (!this.current && found.length) this.open(found[0].id);
  }

  #listenForFiles() {
    const over = (on) => (event) => {
      event.preventDefault();
      this.dropped.classList.toggle("dropping", on);
    };
    this.dropped.addEventListener("dragover", over(true));
    this.dropped.addEventListener("dragleave", over(false));
    this.dropped.addEventListener("drop", (event) => {
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
      if (!found) continue;
      last = found;
      say(t("upload.done", { name: found.name }));
    }
    if (!last) return;
    await this.refresh();
    this.open(last.id);
  }
}
