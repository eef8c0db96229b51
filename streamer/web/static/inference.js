// Test clips: what was said, what the model reads, and each error between them.

import { announce, el, formatTime, getJson } from "./api.js";
import { Player } from "./player.js";

const NAMES = { greedy: "By the network alone", language_model: "As captions are read, with the language model" };
const SPOKEN = { substitution: "read as", deletion: "left out", insertion: "added" };

const $ = (id) => document.getElementById(id);
const choice = $("clip");
const player = new Player($("audio"), document.querySelectorAll(".picture"), () => {});

let clips = [];
let going = null; // the request that is under way, given up when another clip is chosen

async function begin() {
  try {
    ({ clips } = await getJson("/api/inference"));
  } catch (error) {
    announce(error.message, "error");
    return;
  }
  $("nothing").hidden = clips.length > 0;
  $("choice").hidden = $("shown").hidden = clips.length === 0;
  if (!clips.length) return;
  choice.append(...clips.map((clip) => el("option", { value: clip.id }, nameOf(clip))));
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (clips.some((clip) => clip.id === wanted)) choice.value = wanted;
  show();
}

function nameOf(clip) {
  return `${clip.id} (${clip.corpus || "unnamed"}, ${formatTime(clip.duration_s)})`;
}

async function show() {
  const clip = clips[choice.selectedIndex];
  const address = `/api/inference/${clip.id}`;
  history.replaceState(null, "", `#${clip.id}`);
  $("previous").disabled = choice.selectedIndex === 0;
  $("next").disabled = choice.selectedIndex === clips.length - 1;
  $("credit").textContent = clip.credit ? `From ${clip.credit}.` : "";
  $("truth").textContent = "";
  $("readings").replaceChildren();
  $("waiting").hidden = false;
  $("audio").pause();
  $("audio").currentTime = 0;
  player.duration_s = 0;
  player.load(address, clip.duration_s);
  going?.abort();
  const mine = (going = new AbortController());
  try {
    const read = await getJson(address, mine.signal);
    $("truth").textContent = read.truth;
    $("readings").replaceChildren(...read.readings.map((one) => card(one, read.model)));
  } catch (error) {
    if (error.name === "AbortError") return;
    announce(error.message, "error");
  }
  if (going === mine) $("waiting").hidden = true;
}

function card(reading, model) {
  const counts = [
    [reading.substitutions, "replaced"],
    [reading.deletions, "left out"],
    [reading.insertions, "added"],
  ];
  const told = counts.map(([count, what]) => `${count} ${what}`).join(", ");
  const rates = `${percent(reading.wer)} of words wrong (${told}; ${reading.words} were said), ${percent(reading.cer)} of letters`;
  const heading = el("h2", {}, NAMES[reading.decoder]);
  const about = el("p", { class: "small muted numbers" }, `Model ${model}: ${rates}`);
  const words = reading.alignment.map((pair) => el("li", {}, word(pair)));
  const line = el("ol", { class: "alignment", "aria-label": "Words as they were said, and below them as they were read" }, ...words);
  return el("section", { class: "card", "data-decoder": reading.decoder }, heading, about, line);
}

function word({ kind, truth, prediction }) {
  if (kind === "same") return el("span", { class: "pair", "data-kind": kind }, el("span", {}, truth), el("span", { "aria-hidden": "true" }, prediction));
  const said = truth ? el("del", {}, truth) : el("del", { "aria-hidden": "true" }, "+");
  const read = prediction ? el("ins", {}, prediction) : el("ins", { "aria-hidden": "true" }, "−");
  const spoken = el("span", { class: "visually-hidden" }, ` ${SPOKEN[kind]} `);
  return el("span", { class: "pair", "data-kind": kind, title: SPOKEN[kind] }, said, spoken, read);
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function go(step) {
  choice.selectedIndex = Math.min(Math.max(0, choice.selectedIndex + step), clips.length - 1);
  show();
}

choice.addEventListener("change", show);
$("previous").addEventListener("click", () => go(-1));
$("next").addEventListener("click", () => go(1));
begin();
