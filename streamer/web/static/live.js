// The live page: the captions of the machine's microphone, through lost connections.

import { announce, checkLetIn, copyText, formatTime, sendJson, socketUrl } from "./api.js";
import { CaptionView, largeType, showLevel } from "./captions.js";
import { Reconnecting } from "./reconnecting.js";

const view = new CaptionView(document.getElementById("captions"));
const connection = document.getElementById("connection");
const level = document.getElementById("level");
const keepButton = document.getElementById("keep");
const keepingText = document.getElementById("keeping");

// Kinds of notices after which the microphone is away.
const AWAY = new Set(["device_lost", "device_awaited"]);

let run = null; // names the life of the server's stream; the numbers below belong to it
let last = 0; // number of the newest event taken
let target = 0; // number of the newest event when the connection was made
let kept = null; // the newest recording that this page saw being kept
let keeping = false;
let listening = false; // whether the newest stream goes on

function address() {
  return socketUrl(run === null ? "/api/live" : `/api/live?run=${encodeURIComponent(run)}&after=${last}`);
}

function take(event) {
  switch (event.type) {
    case "hello":
      return hello(event);
    case "status":
      return showStatus(event);
    case "keeping":
      return showKeeping(event.keeping, event.recording);
    default:
      if (event.kind === "busy") return show("failed", event.text);
      return takeCaption(event);
  }
}

function takeCaption(event) {
  if (event.seq !== undefined && event.seq <= last) return; // had before
  if (event.seq !== undefined) last = event.seq;
  if (event.kind === "keeping_ended") kept = null; // deleted: there is nothing to open
  if (event.type === "start") started(event);
  if (event.type === "summary") ended();
  if (AWAY.has(event.kind)) show("waiting", "Waiting for the microphone");
  if (event.kind === "device_back") show("listening", "Listening");
  view.take(event);
  if (last >= target) view.catchingUp(false);
}

function ended() {
  listening = false;
  show("waiting", "Waiting for the microphone");
}

function started({ source }) {
  listening = true;
  showSource(source);
  show("listening", "Listening");
  if (!view.empty) view.mark(`Listening to ${source}`);
}

function hello(event) {
  feed.settled();
  if (run !== null && run !== event.run) view.mark("The captioner was started anew");
  else if (run !== null && event.missed) view.mark("Some captions from here are missing");
  if (run !== event.run) [last, listening] = [0, false];
  run = event.run;
  target = event.seq;
  view.catchingUp(last < target);
  showKeeping(event.keeping, event.recording);
  showSource(event.source);
  if (listening && event.source) show("listening", "Listening");
  else show("waiting", event.source ? "Waiting for the microphone" : "No microphone");
}

function showSource(source) {
  keepButton.disabled = !source && !keeping;
  document.getElementById("source").textContent = source
    ? `Of ${source}`
    : "This machine listens to no microphone; the page Record uses the one of your browser.";
}

function show(state, text) {
  if (connection.textContent === text) return;
  connection.dataset.state = state;
  connection.textContent = text;
}

function showStatus({ audio_s, level_db, lag_s, lost_s, speaking }) {
  showLevel(level, level_db);
  level.setAttribute("aria-valuetext", `${Math.round(level_db)} dB, ${speaking ? "speech" : "no speech"}`);
  document.getElementById("heard").textContent = `${formatTime(audio_s)} ${speaking ? "speech" : "quiet"}`;
  document.getElementById("lag").textContent = lag_s >= 0.3 ? `${lag_s.toFixed(1)} s behind` : "";
  document.getElementById("lost").textContent = lost_s > 0 ? `${lost_s.toFixed(1)} s lost` : "";
}

function showKeeping(state, recording) {
  keeping = state;
  keepButton.textContent = state ? "Stop keeping" : "Keep from now on";
  keepButton.setAttribute("aria-pressed", String(Boolean(state)));
  keepingText.dataset.kept = String(Boolean(state));
  if (recording) kept = recording;
  const link = kept ? linkTo(kept) : "";
  if (state) keepingText.replaceChildren("Being kept from when it was asked for. ", link);
  else keepingText.replaceChildren(kept ? "Nothing more is kept. " : "Nothing is kept. ", link);
}

function linkTo(recording) {
  const link = document.createElement("a");
  link.href = `/library/${recording}`;
  link.textContent = "Open the recording";
  return link;
}

keepButton.addEventListener("click", async () => {
  keepButton.setAttribute("aria-busy", "true");
  try {
    const body = keeping ? { keep: false } : { keep: true, title: "" };
    const answer = await sendJson("POST", "/api/live/keep", body);
    showKeeping(answer.keeping, answer.recording);
  } catch (error) {
    announce(error.message, "error");
  } finally {
    keepButton.removeAttribute("aria-busy");
  }
});

document.getElementById("copy").addEventListener("click", () => copyText(view.text()));
largeType(document.getElementById("large"));

const feed = new Reconnecting(address, {
  message: take,
  waiting: (seconds) => show("waiting", `Connection lost, trying again in ${Math.ceil(seconds)} s`),
  trying: () => show("waiting", "Connecting"),
  refused: checkLetIn,
});
feed.open();
