// Words of the page in the user's language.

import { en } from "./words/en.js";
import { ko } from "./words/ko.js";

const LANGUAGES = { en, ko };
const stored = localStorage.getItem("language");
export const language = stored in LANGUAGES ? stored : navigator.language.startsWith("ko") ? "ko" : "en";
document.documentElement.lang = language;

/** A text by its key; `{name}` is replaced by a value. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A reason of curation, which the server writes as "what: figures". */
export function reason(text) {
  const [what, ...figures] = text.split(": ");
  const known = LANGUAGES[language][`reason.${what}`];
  return known ? [known, ...figures].join(": ") : text;
}

export function switchLanguage() {
  localStorage.setItem("language", language === "en" ? "ko" : "en");
  location.reload();
}
