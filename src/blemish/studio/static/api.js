// Requests to the studio's server. The token is in a cookie.

import { say } from "./dom.js";
import { t } from "./i18n.js";

export class Mistake extends Error {
  constructor(answer) {
    super(answer.got ? `${t("got")} ${answer.got}` : answer.refused ?? t("failed"));
    this.todo = answer.todo ?? "";
  }
}

async function answered(response) {
  if (response.status === 409) return null;
  if (!response.ok) {
    const answer = await response.json().catch(() => ({ refused: `${response.status}` }));
    throw new Mistake(answer);
  }
  return response.json();
}

export async function get(path) {
  return answered(await fetch(path));
}

/** The answer in JSON; null for a request that a later one has overtaken. */
export async function post(path, body, more = {}) {
  const headers = { "content-type": "application/json" };
  return answered(await fetch(path, { method: "POST", headers, body: JSON.stringify(body), ...more }));
}

export async function send(path, file) {
  const headers = { "content-type": "application/octet-stream" };
  return answered(await fetch(path, { method: "POST", headers, body: file }));
}

export async function bitmap(path) {
  const response = await fetch(path);
  if (response.status === 409) return null;
  if (!response.ok) throw new Mistake(await response.json());
  return createImageBitmap(await response.blob());
}

/** A picture from an answer in JSON. */
export function pngOf(base64) {
  return new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
}

/** Do something that may fail for a reason that the user should read. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return null;
    say(error.message, { detail: error.todo, bad: true });
    return null;
  }
}
