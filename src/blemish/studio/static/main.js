// The page: its head, and a view for each part of the job.

import { get, attempt } from "./api.js";
import { collectView } from "./collect.js";
import { editView } from "./edit.js";
import { h, iconButton } from "./dom.js";
import { switchLanguage, t } from "./i18n.js";
import { Jobs } from "./jobs.js";
import { placeView } from "./place.js";
import { trainView } from "./train.js";

// A view is a function of what all share; it returns its element, and what to do when it is shown.
// A further part of the job is a line here and a file of its own.
const VIEWS = [
  ["place", placeView],
  ["edit", editView],
  ["collect", collectView],
  ["train", trainView],
];

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

function usualTheme() {
  return localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function activity(jobs) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("activity") });
  const text = h("span", { class: "number" });
  const shown = h("div", { class: "activity", hidden: true }, text, bar);
  jobs.listen((known) => {
    const busy = known.find((one) => one.state === "running");
    shown.hidden = !busy;
    if (!busy) return;
    text.textContent = busy.title;
    if (busy.total) bar.value = busy.done / busy.total;
    else bar.removeAttribute("value");
  });
  return shown;
}

async function start() {
  chooseTheme(usualTheme());
  const about = await attempt(() => get("/api/about"));
  if (!about) return;
  const jobs = new Jobs(), shared = { about, jobs };
  const main = h("main", { role: "tabpanel" }), tabs = h("nav", { role: "tablist" });
  const views = new Map(VIEWS.map(([name, make]) => [name, make(shared)]));
  function show(name) {
    for (const tab of tabs.children) tab.setAttribute("aria-selected", `${tab.dataset.view === name}`);
    main.replaceChildren(views.get(name).element);
    shared.view = name;
    sessionStorage.setItem("view", name);
    views.get(name).shown();
  }
  for (const [name] of VIEWS) {
    tabs.append(h("button", { type: "button", role: "tab", "data-view": name, onclick: () => show(name) }, t(name)));
  }
  const title = h("h1", {}, h("img", { src: "/static/icon.svg", alt: "" }), "Blemish Studio");
  const language = h("button", { type: "button", class: "plain", "aria-label": t("language.name"), onclick: switchLanguage }, t("language"));
  const theme = iconButton("theme", t("theme"), () => chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"), { class: "icon plain" });
  document.body.prepend(h("header", { class: "bar" }, title, tabs, activity(jobs), language, theme), main);
  const last = sessionStorage.getItem("view");
  show(views.has(last) ? last : "place");
  jobs.refresh();
}

start();
