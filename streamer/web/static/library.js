// The list of recordings, searched as the user types.

import { announce, ask, el, formatDate, formatTime, getJson, sendJson } from "./api.js";
import { badges, nameOf } from "./recordings.js";

const PAGE = 20;
const TYPING_MS = 250;

const $ = (id) => document.getElementById(id);
const list = $("recordings");

let next = null; // cursor of the next page
let going = null; // the request that is under way, given up when another starts
let timer = null;

async function load(before = null) {
  going?.abort();
  going = new AbortController();
  const query = new URLSearchParams({ limit: PAGE, q: $("query").value.trim() });
  if (before) query.set("before", before);
  try {
    const page = await getJson(`/api/recordings?${query}`, going.signal);
    if (!before) list.replaceChildren();
    list.append(...page.recordings.map(row));
    next = page.next;
    showState();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") announce(error.message, "error");
    return false;
  }
}

function showState() {
  const count = list.children.length;
  const searched = $("query").value.trim() !== "";
  $("more").hidden = !next;
  $("nothing").hidden = count > 0 || searched;
  $("no-match").hidden = count > 0 || !searched;
  const recordings = count === 1 ? "1 recording" : `${count} recordings`;
  $("found").textContent = count ? `${recordings}${next ? " and more" : ""}` : "";
}

function row(recording) {
  const name = nameOf(recording);
  const link = el("a", { href: `/library/${recording.id}`, dir: "auto" }, name);
  const about = el("p", { class: "about" }, ...(recording.title ? [formatDate(recording.created)] : []));
  about.append(el("span", {}, formatTime(recording.duration_s)), ...badges(recording));
  const remove = el("button", { type: "button", class: "danger", "aria-label": `Delete ${name}` }, "Delete");
  const item = el("li", { "data-id": recording.id }, el("h2", {}, link), about, textOf(recording), remove);
  remove.addEventListener("click", () => forget(recording, item));
  return item;
}

function textOf({ text, snippet }) {
  if (!snippet) return el("p", { class: "text", dir: "auto" }, text || "No words were understood.");
  const pieces = snippet.pieces.map((piece) => (piece.match ? el("mark", {}, piece.text) : piece.text));
  return el("p", { class: "text", dir: "auto" }, ...pieces);
}

async function forget(recording, item) {
  const name = nameOf(recording);
  const text = `“${name}” goes with its audio, its transcript and all corrections. This cannot be undone.`;
  if (!(await ask({ title: "Delete this recording?", text, yes: "Delete", danger: true }))) return;
  try {
    await sendJson("DELETE", `/api/recordings/${recording.id}`);
  } catch (error) {
    if (error.status !== 404) return announce(error.message, "error");
  }
  const neighbour = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  showState();
  announce(`“${name}” was deleted.`);
  return (neighbour?.querySelector("a") ?? $("query")).focus();
}

function searchSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const query = $("query").value.trim();
    history.replaceState(null, "", query ? `?q=${encodeURIComponent(query)}` : location.pathname);
    load();
  }, TYPING_MS);
}

$("query").value = new URLSearchParams(location.search).get("q") ?? "";
$("query").addEventListener("input", searchSoon);
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  searchSoon();
});
$("clear").addEventListener("click", () => {
  $("query").value = "";
  $("query").focus();
  searchSoon();
});
$("more").addEventListener("click", async () => {
  const last = list.lastElementChild;
  if (await load(next)) (last?.nextElementSibling?.querySelector("a") ?? $("query")).focus();
});
load();
