// The recording page: captions of the browser's microphone (this file) and of files (upload.js).

import { announce, copyText, el, formatTime, sendJson } from "./api.js";
import { CaptionView, largeType, showLevel } from "./captions.js";
import { Microphone, MicrophoneError } from "./microphone.js";
import { Session } from "./session.js";
import { Uploader } from "./upload.js";

const $ = (id) => document.getElementById(id);
const REMEMBERED_S = Number($("keeping").dataset.remembered); // what can be kept when it is past
const view = new CaptionView($("captions"));
const state = $("state");
const title = $("title");

let session = null; // the newest one; it may wait for a late wish to keep it
let microphone = null;
let wanted = false; // whether the recording is to be kept

function show(name, text) {
  state.dataset.state = name;
  state.textContent = text;
  $("start").hidden = name !== "idle" && name !== "failed";
  $("stop").hidden = name !== "listening";
  uploader.enable(name === "idle" || name === "failed");
}

async function start() {
  $("trouble").textContent = "";
  session?.close();
  session = null;
  showKept(null);
  view.clear("Waiting for the microphone");
  show("waiting", "Waiting for the microphone");
  try {
    microphone = await Microphone.open(frame, () => stop("The microphone went away."));
    session = new Session(microphone.rate, handlers);
    session.keep(wanted, title.value);
    await session.opened;
    view.clear("Speak now");
    show("listening", "Recording");
  } catch (error) {
    await failed(error);
  }
}

async function failed(error) {
  const text = error instanceof MicrophoneError ? error.message : `Recording failed: ${error.message}`;
  await closeMicrophone();
  session = null;
  view.clear("Start to speak, or choose a file.");
  show("failed", "Not recording");
  $("trouble").textContent = text;
  $("start").focus();
}

function frame(samples, levelDb) {
  showLevel($("level"), levelDb);
  if (!session) return;
  session.send(samples);
  $("elapsed").textContent = formatTime(session.audio_s);
  const late = session.unsent_s;
  if (late > 1) $("trouble").textContent = `The connection is slow: ${late.toFixed(1)} s wait to be sent.`;
  else if ($("trouble").textContent.startsWith("The connection is slow")) $("trouble").textContent = "";
}

async function closeMicrophone() {
  const open = microphone;
  microphone = null;
  await open?.stop();
  showLevel($("level"), -100);
}

async function stop(text = "") {
  if (!microphone) return;
  show("waiting", "Finishing");
  await closeMicrophone();
  session?.end();
  if (text) $("trouble").textContent = text;
}

const handlers = {
  event: (event) => view.take(event),
  kept(recording) {
    if (!recording) wanted = false; // discarded, or deleted in the library
    showKept(recording);
  },
  async finished() {
    await closeMicrophone();
    show("idle", "Finished");
    if (!session?.recording) note("Nothing is kept yet: you can still keep it, for two minutes.");
    $("start").focus();
  },
  async closed({ text, early }) {
    await closeMicrophone();
    if (early) {
      show("failed", "Stopped");
      $("trouble").textContent = text;
    }
    if (early && session?.recording) note("Kept up to there. ", linkTo(session.recording));
    if (!session?.recording) note(early ? "Nothing was kept." : "Nothing was kept; it is gone now.");
  },
};

function note(...parts) {
  $("keeping").replaceChildren(...parts);
}

function showKept(recording) {
  const kept = Boolean(recording);
  $("keeping").dataset.kept = String(kept);
  if (kept) note(howKept(), linkTo(recording));
  else note(wanted ? "Will be kept." : "Nothing is kept unless you ask.");
  $("keep").setAttribute("aria-pressed", String(kept || wanted));
  $("keep").disabled = kept;
  $("discard").hidden = !kept;
}

function linkTo(recording) {
  return el("a", { href: `/library/${recording}` }, "Open it");
}

function howKept() {
  if (session.whole) return "Kept in the library. ";
  const part = session.audio_s > REMEMBERED_S ? `with the last ${formatTime(REMEMBERED_S)}` : "from the start";
  return `Being kept, ${part}. `;
}

$("keep").addEventListener("click", () => {
  if (session?.open) return session.keep(true, title.value);
  wanted = !wanted;
  return showKept(null);
});

$("discard").addEventListener("click", async () => {
  if (!session.open || session.whole) await forget(session.recording);
  else session.discard();
  session.recording = null;
  wanted = false;
  showKept(null);
  note("Discarded: nothing is kept.");
  $("keep").focus();
});

async function forget(recording) {
  try {
    await sendJson("DELETE", `/api/recordings/${recording}`);
  } catch (error) {
    announce(error.message, "error");
  }
}

title.addEventListener("change", async () => {
  if (!session?.recording) return;
  try {
    await sendJson("PATCH", `/api/recordings/${session.recording}`, { title: title.value });
    announce("Title changed.");
  } catch (error) {
    announce(error.message, "error");
  }
});

$("start").addEventListener("click", start);
$("stop").addEventListener("click", () => stop());
$("copy").addEventListener("click", () => copyText(view.text()));
largeType($("large"));
addEventListener("beforeunload", (event) => {
  if (microphone && !session?.recording) event.preventDefault();
});

const uploader = new Uploader(view, {
  begun: () => {
    $("start").disabled = true;
  },
  ended: () => {
    $("start").disabled = false;
  },
});
