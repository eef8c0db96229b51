// Learning from corrections: what there is, the training as it goes, and the models it made.

import { announce, ask, el, formatDate, getJson, sendJson } from "./api.js";
import { chart } from "./chart.js";

const EVERY_MS = 1000; // between two looks while a training runs
const IDLE_MS = 10000;

const STATES = {
  running: ["running", "active"],
  stopped: ["stopped", "warning"],
  interrupted: ["interrupted", "warning"],
  failed: ["failed", "warning"],
  void: ["thrown away", "warning"],
  no_better: ["nothing better found", "warning"],
  finished: ["finished", "good"],
};

const PHASES = {
  preparing: "cut clips",
  extracting: "compute features",
  compiling: "build the network",
  training: "train",
  exporting: "write the model",
  judging: "judge",
};

const DOING = {
  preparing: "Cutting clips out of the recordings",
  extracting: "Computing the features of the clips",
  compiling: "Building the network and reading the held-out recordings as before; this may take a minute or two",
  training: "Training",
  exporting: "Mixing the trained weights with those of before, and writing them as a model",
  judging: "Judging the model before and after, on held-out and test recordings",
};

const SIDES = { train: "learned from", held_out: "held out", left_out: "nothing usable" };
const GROUPS = { held_out: "Your held-out recordings", test: "Test recordings of other people" };
const DECODERS = { greedy: "network alone", language_model: "with language model" };

const $ = (id) => document.getElementById(id);
const shown = new Map(); // what each part of the page was drawn of, as JSON

let timer = null;
let asked = false; // whether the minutes were filled in

async function look() {
  clearTimeout(timer);
  let running = false;
  try {
    const state = await getJson("/api/learning");
    draw(state);
    running = state.job?.state === "running";
  } catch (error) {
    announce(error.message, "error");
  }
  timer = setTimeout(look, running ? EVERY_MS : IDLE_MS);
}

function draw(state) {
  const { job, models, ...speech } = state;
  part("speech", speech, drawSpeech);
  part("start", [job?.state, job?.resumable, state.lacking, state.minutes], () => drawStart(state));
  part("job", job, drawJob);
  part("models", models, drawModels);
}

/** Draw a part of the page anew where what it shows has changed. */
function part(name, value, drawn) {
  const text = JSON.stringify(value);
  if (shown.get(name) === text) return;
  shown.set(name, text);
  drawn(value);
}

function drawSpeech({ corrected, train, held_out, left_out, recordings }) {
  const rows = [["To learn from", train], ["Held out, to judge by", held_out], ["All", corrected]];
  $("amounts").tBodies[0].replaceChildren(
    ...rows.map(([name, amount]) =>
      el("tr", {}, el("th", { scope: "row" }, name), ...[amount.recordings, amount.clips, amount.minutes.toFixed(1), amount.words].map(number)),
    ),
  );
  const reasons = left_out.map(({ text, segments }) => `${segments} ${text}`).join("; ");
  $("left-out").textContent = reasons ? `Segments left out: ${reasons}.` : "";
  $("left-out").hidden = !reasons;
  $("export").hidden = corrected.clips === 0;
  $("recordings").hidden = recordings.length === 0;
  $("recordings").querySelector("ul").replaceChildren(...recordings.map(recordingRow));
}

function recordingRow({ id, title, side, words }) {
  const link = el("a", { href: `/library/${id}` }, title || "Untitled recording");
  const kind = side === "held_out" ? "warning" : side === "train" ? "good" : null;
  return el("li", {}, link, el("span", { class: "badge", "data-kind": kind }, SIDES[side]), el("span", { class: "muted numbers" }, `${words} words`));
}

function drawStart({ job, lacking, minutes }) {
  const busy = job?.state === "running" || Boolean(job?.resumable);
  $("lacking").textContent = lacking;
  $("lacking").hidden = !lacking || busy;
  $("train").hidden = Boolean(lacking) || busy;
  $("minutes").max = minutes.most;
  if (!asked) $("minutes").value = minutes.usual;
  asked = true;
}

function drawJob(job) {
  $("job").hidden = !job;
  if (!job) return;
  const running = job.state === "running";
  const [state, kind] = STATES[job.state];
  $("job-name").textContent = job.name;
  set($("job-state"), running && job.stopping ? "stopping" : state);
  $("job-state").dataset.kind = kind;
  set($("job-about"), `begun ${formatDate(job.started)}, from the model ${job.base}`);
  set($("job-message"), job.message);
  $("job-message").hidden = !job.message;
  $("job-message").dataset.level = kind === "warning" ? "warning" : "info";
  drawPhases(job, running);
  drawProgress(job, running);
  drawFigures(job);
  const curves = JSON.stringify([job.losses, job.wers]);
  if (shown.get("curves") !== curves) {
    shown.set("curves", curves);
    $("chart").hidden = job.losses.length + job.wers.length < 2;
    $("chart").querySelector(".scroller").replaceChildren(chart(job.losses, job.wers));
  }
  $("stop").hidden = !running;
  set($("stop"), ["extracting", "compiling", "training"].includes(job.phase) && !job.stopping ? "Stop and judge what it has learned" : "Stop");
  $("resume").hidden = !job.resumable;
  $("discard").hidden = running;
  $("discard").classList.toggle("danger", job.resumable);
  set($("discard"), job.resumable ? "Throw away" : "Dismiss");
}

function drawPhases(job, running) {
  const names = Object.keys(PHASES);
  const now = job.state === "finished" ? names.length : names.indexOf(job.phase);
  $("phases").hidden = !running && job.state !== "finished" && !job.resumable;
  $("phases").replaceChildren(
    ...names.map((name, place) =>
      el("li", { "data-done": place < now ? "true" : null, "aria-current": running && place === now ? "step" : null }, PHASES[name]),
    ),
  );
}

function drawProgress(job, running) {
  set($("doing"), running ? DOING[job.phase] : "");
  const training = job.phase === "training";
  const total = training ? job.minutes.asked : job.total;
  const done = training ? job.minutes.trained : job.done;
  $("progress").hidden = !running;
  if (total) {
    $("progress").max = total;
    $("progress").value = Math.min(done, total);
  } else {
    $("progress").removeAttribute("value");
  }
}

function drawFigures(job) {
  const facts = [];
  if (job.step) {
    facts.push(`${job.minutes.trained.toFixed(1)} of at most ${job.minutes.asked} minutes`);
    facts.push(`${job.step} steps, ${job.passes} passes`, `${job.speech_hours.toFixed(2)} h of speech heard`);
  }
  if (job.loss !== null) facts.push(`loss ${job.loss.toFixed(3)}`);
  if (job.wer !== null) facts.push(`${percent(job.wer)} of the held-out words wrong`);
  $("figures").replaceChildren(...facts.map((fact) => el("span", {}, fact)));
}

function drawModels({ in_use, previous, learned, shipped }) {
  const own = model({ name: "shipped", title: "The program's own model", in_use: shipped.in_use, offered: true });
  $("models").replaceChildren(...learned.map(learnedModel), own);
  $("rollback").hidden = !previous;
  set($("rollback"), `Roll back to ${previous === "shipped" ? "the program's own model" : previous}`);
  if (!in_use) $("models").prepend(el("p", { class: "muted" }, "The model in use was named when the program was started."));
}

function learnedModel(one) {
  const about = `Made ${formatDate(one.created)} from ${one.base}: ${one.minutes.toFixed(1)} minutes, ${one.steps} steps, ${count(one.recordings, "recording")}${mixed(one)}`;
  const card = model({ ...one, title: one.name, about });
  for (const group of ["held_out", "test"]) if (one[group]) card.append(figures(group, one[group]));
  const remarks = one.remarks.map(({ level, text }) => el("li", { class: level === "warning" ? "warning" : "" }, level === "warning" ? `Mind: ${text}` : text));
  if (one.forgotten) {
    remarks.push(el("li", { class: "warning" }, `Mind: ${count(one.forgotten, "recording")} that it learned from ${one.forgotten === 1 ? "was" : "were"} deleted since. What it learned cannot be taken out of it; delete the model too if nothing of it shall stay.`));
  }
  card.append(el("ul", { class: "remarks small" }, ...remarks));
  return card;
}

/** Tell how much of a model is new. */
function mixed({ share, base }) {
  return share < 1 ? `; ${Math.round(100 * share)} % of the trained weights, ${Math.round(100 * (1 - share))} % of those of ${base}` : "";
}

function model({ name, title, about, in_use, offered }) {
  const heading = el("h3", {}, title);
  const badge = in_use ? el("span", { class: "badge", "data-kind": "good" }, "in use") : "";
  const buttons = el("div", { class: "row" });
  if (!in_use && offered) buttons.append(button("Use it", "primary", `Use ${title}`, () => use(name, title)));
  if (!in_use && name !== "shipped") buttons.append(button("Delete", "danger", `Delete ${title}`, () => remove(name)));
  const head = el("div", { class: "row spread" }, el("div", { class: "row" }, heading, badge), buttons);
  const card = el("article", { class: "model", "data-name": name, "data-used": String(in_use) }, head);
  if (about) card.append(el("p", { class: "small muted numbers" }, about));
  return card;
}

function figures(group, { clips, words, readings }) {
  const caption = el("caption", { class: "small" }, el("b", {}, GROUPS[group]), ` (${count(clips, "clip")}, ${count(words, "word")})`);
  const head = ["Words wrong", "Before", "After", "Change"].map((name, place) => el("th", { scope: "col", class: place ? "number" : null }, name));
  const rows = readings.map(({ decoder, before, after, change }) =>
    el("tr", {}, el("th", { scope: "row" }, DECODERS[decoder]), rate(before.wer, before), rate(after.wer, after), rate(change.wer, change, true)),
  );
  return el("div", { class: "scroller" }, el("table", {}, caption, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}

function rate(share, { low, high }, signed = false) {
  const text = signed ? signedPercent : percent;
  const range = low === null ? "" : el("span", { class: "range" }, `${text(low)} to ${text(high)}`);
  return el("td", { class: "number" }, text(share), range);
}

function number(value) {
  return el("td", { class: "number" }, String(value));
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function signedPercent(share) {
  return `${share > 0 ? "+" : share < 0 ? "−" : "±"}${percent(Math.abs(share))}`;
}

function count(number, name) {
  return `${number} ${name}${number === 1 ? "" : "s"}`;
}

function button(text, kind, label, action) {
  const element = el("button", { type: "button", class: kind, "aria-label": label }, text);
  element.addEventListener("click", action);
  return element;
}

/** Write a text only where it changes, so that nothing is read out twice. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Ask the server for something, tell what it says against it, and look again. */
async function act(method, path, body, done) {
  try {
    await sendJson(method, path, body);
    if (done) announce(done);
  } catch (error) {
    announce(error.message, "error");
  }
  await look();
}

async function use(name, title) {
  await act("POST", `/api/learning/models/${name}/use`, undefined, `Captions are made by ${title} from now on.`);
}

async function remove(name) {
  const text = "Its weights and figures are deleted. Your recordings and corrections stay.";
  if (await ask({ title: `Delete ${name}?`, text, yes: "Delete", danger: true })) {
    await act("DELETE", `/api/learning/models/${name}`, undefined, `${name} is gone.`);
  }
}

async function discard() {
  const text = "What this training has computed is deleted. Your recordings and corrections stay.";
  const finished = $("resume").hidden;
  if (finished || (await ask({ title: "Throw this training away?", text, yes: "Throw away", danger: true }))) {
    await act("DELETE", "/api/learning/job");
  }
}

$("train").addEventListener("submit", (event) => {
  event.preventDefault();
  act("POST", "/api/learning/train", { minutes: $("minutes").valueAsNumber });
});
$("stop").addEventListener("click", () => act("POST", "/api/learning/stop"));
$("resume").addEventListener("click", () => act("POST", "/api/learning/resume"));
$("discard").addEventListener("click", discard);
$("rollback").addEventListener("click", () => act("POST", "/api/learning/rollback", undefined, "Captions are made by the model of before again."));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
look();
