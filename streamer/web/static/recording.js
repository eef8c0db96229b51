// A recording: to hear, to read, to correct, to download, to delete.

import { announce, ask, copyText, el, formatDate, formatTime, getJson, sendJson, typing } from "./api.js";
import { Player } from "./player.js";
import { badges, nameOf, originOf } from "./recordings.js";
import { Transcript } from "./transcript.js";

const POLL_MS = 2000; // while it is being recorded
const PATIENT_POLL_MS = 10000; // while the server does not answer

const $ = (id) => document.getElementById(id);
const page = $("recording");
const address = `/api/recordings/${page.dataset.id}`;

let recording = null; // the newest revision
let old = null; // an older one, while the user looks at it
let saving = false;
let row = null; // the segment that is being spoken

const player = new Player($("audio"), document.querySelectorAll(".picture"), (word) => follow(word));
const transcript = new Transcript(
  $("segments"),
  {
    play,
    changed,
    save,
    chosen: (word) => ($("chosen").textContent = word),
    words: (words) => player.setWords(words),
  },
  Number(page.dataset.lowConfidence),
);

function play(start_s) {
  player.seek(start_s);
  if (player.audio.paused) player.toggle();
}

function follow(word) {
  const next = word?.closest(".segment") ?? null;
  if (next === row) return;
  row?.classList.remove("current");
  next?.classList.add("current");
  if (next && !player.audio.paused) next.scrollIntoView({ block: "nearest" });
  row = next;
}

async function load() {
  try {
    show(await getJson(address));
    if (recording.state === "recording") setTimeout(load, POLL_MS);
  } catch (error) {
    if (recording && error.status !== 404) return tryAgain(error);
    player.audio.pause();
    page.hidden = true;
    $("loading").hidden = false;
    $("loading").textContent = error.message;
  }
}

/** What is shown stays: the server may only be away for a moment. */
function tryAgain(error) {
  announce(error.message, "warning");
  if (recording.state === "recording") setTimeout(load, PATIENT_POLL_MS);
}

function show(newest) {
  recording = newest;
  old = null;
  document.title = `${nameOf(recording)} - Live Captioner`;
  $("title").textContent = nameOf(recording);
  const origin = `from ${originOf(recording)}`;
  const facts = [formatDate(recording.created), formatTime(recording.duration_s), origin, `model ${recording.model}`];
  $("about").replaceChildren(...facts.map((fact) => el("span", {}, fact)), ...badges(recording));
  // While it grows, what is there is not loaded anew: that would stop the playing.
  if (recording.state !== "recording" || !player.duration_s) player.load(address, recording.duration_s);
  showTranscript();
  page.hidden = false;
  $("loading").hidden = true;
  if ($("history").open) showHistory();
}

function showTranscript() {
  const shown = old ?? recording;
  const editable = !old && recording.state !== "recording";
  transcript.show(shown.segments, editable);
  $("no-words").hidden = shown.segments.length > 0;
  $("segments").hidden = shown.segments.length === 0;
  $("old").hidden = !old;
  if (old) $("old-text").textContent = `You look at revision ${old.revision}; the newest is ${recording.revision}.`;
  $("confirm").hidden = !editable || recording.reviewed || !recording.segments.length;
  showDownloads(shown);
}

function showDownloads({ revision }) {
  const at = old ? `&revision=${revision}` : "";
  const links = ["srt", "vtt", "txt", "json"].map((format) =>
    el("a", { class: "button", href: `${address}/transcript?format=${format}${at}`, download: true }, format.toUpperCase()),
  );
  const sound = el("a", { class: "button", href: `${address}/audio`, download: `${nameOf(recording)}.wav` }, "Audio");
  $("downloads").replaceChildren(...links, sound);
}

function changed(count) {
  $("savebar").hidden = count === 0;
  $("unsaved").textContent = count === 1 ? "1 segment changed, not saved yet" : `${count} segments changed, not saved yet`;
  $("confirm").disabled = count > 0;
}

async function save() {
  if (saving) return;
  saving = true;
  $("save").disabled = true;
  try {
    const body = { base: recording.revision, segments: transcript.texts() };
    const saved = await sendJson("POST", `${address}/corrections`, body);
    transcript.drafts.clear();
    show(saved);
    announce("Saved: this transcript counts as corrected.");
    $("segments").focus();
  } catch (error) {
    if (error.status === 409) await conflict(error);
    else announce(error.message, "error");
  } finally {
    saving = false;
    $("save").disabled = false;
  }
}

async function conflict(error) {
  const text = `${error.message} What you typed is not lost: it stays, unsaved, over what the other one wrote.`;
  const title = "Somebody else corrected this meanwhile";
  if (!(await ask({ title, text, yes: "Look at it" }))) return;
  await load();
  $("history").open = true;
}

async function showHistory() {
  try {
    const { revisions } = await getJson(`${address}/revisions`);
    $("revisions").replaceChildren(...revisions.map(revisionRow));
  } catch (error) {
    announce(error.message, "error");
  }
}

function revisionRow({ number, created, kind, restored }) {
  const kinds = { model: "by the model", correction: "corrected", restore: `revision ${restored} restored` };
  const text = `${number}: ${kinds[kind] ?? kind}, ${formatDate(created)}`;
  const item = el("li", { "data-revision": number }, el("span", {}, text));
  if (number === recording.revision) {
    item.append(el("span", { class: "badge", "data-kind": "good" }, "newest"));
    return item;
  }
  const look = el("button", { type: "button", class: "quiet", "aria-label": `Look at revision ${number}` }, "Look");
  const back = el("button", { type: "button", class: "quiet", "aria-label": `Restore revision ${number}` }, "Restore");
  look.addEventListener("click", () => lookAt(number));
  back.addEventListener("click", () => restore(number));
  item.append(el("span", { class: "row" }, look, back));
  return item;
}

async function lookAt(number) {
  if (transcript.drafts.size) return announce("Save your changes first, or undo them.", "warning");
  try {
    old = await getJson(`${address}?revision=${number}`);
    showTranscript();
    $("old").scrollIntoView({ block: "nearest" });
    return $("old-leave").focus();
  } catch (error) {
    return announce(error.message, "error");
  }
}

async function restore(number) {
  if (transcript.drafts.size) return announce("Save your changes first, or undo them.", "warning");
  try {
    show(await sendJson("POST", `${address}/revisions/${number}/restore`));
    return announce(`Revision ${number} is the newest again.`);
  } catch (error) {
    return announce(error.message, "error");
  }
}

async function rename(event) {
  event.preventDefault();
  try {
    const { title } = await sendJson("PATCH", address, { title: $("new-title").value });
    recording.title = title;
    document.title = `${nameOf(recording)} - Live Captioner`;
    $("title").textContent = nameOf(recording);
    showDownloads(recording);
    renaming(false);
  } catch (error) {
    announce(error.message, "error");
  }
}

function renaming(yes) {
  $("rename-form").hidden = !yes;
  $("rename").hidden = yes;
  if (yes) {
    $("new-title").value = recording.title;
    $("new-title").select();
  } else {
    $("rename").focus();
  }
}

async function forget() {
  const text = `“${nameOf(recording)}” goes with its audio, its transcript and all corrections. This cannot be undone.`;
  if (!(await ask({ title: "Delete this recording?", text, yes: "Delete", danger: true }))) return;
  try {
    await sendJson("DELETE", address);
  } catch (error) {
    if (error.status !== 404) return announce(error.message, "error");
  }
  transcript.drafts.clear();
  return location.replace("/library"); // The page of what is gone is no place to come back to.
}

function pressed(event) {
  if (typing(event)) {
    if (event.key === "Enter" && event.ctrlKey && transcript.drafts.size) save();
    return;
  }
  const onControl = event.target.closest?.("button, a, summary, audio");
  const actions = {
    " ": onControl ? null : () => player.toggle(),
    k: () => player.toggle(),
    j: () => player.step(-1),
    l: () => player.step(1),
    e: () => transcript.editCurrent(),
  };
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : ""];
  if (!action) return;
  event.preventDefault();
  action();
}

document.addEventListener("keydown", pressed);
addEventListener("beforeunload", (event) => {
  if (transcript.drafts.size) event.preventDefault();
});
$("save").addEventListener("click", save);
$("undo").addEventListener("click", () => transcript.undo());
$("confirm").addEventListener("click", save);
$("copy").addEventListener("click", () => copyText(transcript.texts().filter(Boolean).join("\n")));
$("history").addEventListener("toggle", () => $("history").open && showHistory());
$("old-leave").addEventListener("click", () => {
  show(recording);
  $("segments").focus();
});
$("old-restore").addEventListener("click", () => restore(old.revision));
$("rename").addEventListener("click", () => renaming(true));
$("rename-cancel").addEventListener("click", () => renaming(false));
$("rename-form").addEventListener("submit", rename);
$("delete").addEventListener("click", forget);
load();
