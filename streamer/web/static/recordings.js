// What the list and the page of a recording say of it alike.

import { el, formatDate } from "./api.js";

const ORIGINS = { microphone: "browser's microphone", live: "live captions", upload: "file" };

/** Return what a recording is called: its title, or when it was made. */
export function nameOf(recording) {
  return recording.title || `Recording of ${formatDate(recording.created)}`;
}

/** Return where a recording comes from, in words. */
export function originOf(recording) {
  return ORIGINS[recording.origin] ?? recording.origin;
}

/** Return the badges of a recording's state. */
export function badges({ state, reviewed }) {
  const found = [];
  if (state === "recording") found.push(el("span", { class: "badge", "data-kind": "active" }, "being recorded"));
  if (state === "interrupted") {
    found.push(el("span", { class: "badge", "data-kind": "warning" }, "broke off, saved up to there"));
  }
  if (reviewed) found.push(el("span", { class: "badge", "data-kind": "good" }, "✓ checked"));
  return found;
}
