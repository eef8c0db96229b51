// Files: sent with their progress, captions shown while they are transcribed.

import { announce, csrfToken, el, errorText, formatTime } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Uploader {
  /**
   * @param {import("./captions.js").CaptionView} view Shows the captions.
   * @param {{begun: () => void, ended: () => void}} handlers
   */
  constructor(view, handlers) {
    this.view = view;
    this.handlers = handlers;
    this.request = null;
    $("upload").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send($("file").files[0]);
    });
    $("cancel").addEventListener("click", () => this.request?.abort());
    this.#takeDrops($("drop"));
  }

  /** Let files be sent or not, as while the microphone is on. */
  enable(yes) {
    $("send").disabled = !yes || this.request !== null;
  }

  #takeDrops(area) {
    const over = (yes) => (event) => {
      event.preventDefault();
      area.dataset.over = String(yes);
    };
    area.addEventListener("dragover", over(true));
    area.addEventListener("dragleave", over(false));
    area.addEventListener("drop", (event) => {
      over(false)(event);
      if (event.dataTransfer.files.length) $("file").files = event.dataTransfer.files;
    });
  }

  #send(file) {
    const keep = $("keep-file").checked;
    const query = new URLSearchParams({ format: "jsonl" });
    if (keep) {
      query.set("keep", "true");
      query.set("title", file.name.replace(/\.[^.]*$/, "").slice(0, 200));
    }
    this.keep = keep;
    this.read = 0;
    this.duration_s = 0;
    this.recording = null;
    this.failure = "";
    this.complete = false;
    this.#begin(file, new XMLHttpRequest(), `/api/transcribe?${query}`);
  }

  #begin(file, request, address) {
    this.request = request;
    this.view.clear(`Captions of ${file.name} will stand here.`);
    this.#working(true);
    this.#progress(`Sending ${file.name}`, 0);
    request.open("POST", address);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("Accept", "application/jsonl");
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded, total }) => this.#sent(loaded, total));
    request.addEventListener("progress", () => this.#readLines(false));
    request.addEventListener("load", () => this.#loaded());
    request.addEventListener("error", () => this.#end(errorText(request.responseText, request.status)));
    request.addEventListener("abort", () => this.#end("", "Cancelled."));
    request.send(file);
  }

  #sent(loaded, total) {
    if (loaded < total) this.#progress("Sending", loaded / total);
    else this.#progress("Sent; waiting for the captioner", null);
  }

  #loaded() {
    const { status, responseText } = this.request;
    if (status >= 400) return this.#end(errorText(responseText, status));
    this.#readLines(true);
    if (this.complete) return this.#end(this.failure, "Done. ");
    return this.#end(this.failure || "The captioner broke off; what stands here is all there is.");
  }

  /** Take the whole lines that have come since the last time. */
  #readLines(last) {
    if (this.request.status !== 200) return;
    const text = this.request.responseText;
    const end = last ? text.length : text.lastIndexOf("\n") + 1;
    const lines = text.slice(this.read, end).split("\n");
    this.read = end;
    for (const line of lines) if (line.trim()) this.#take(JSON.parse(line));
  }

  #take(event) {
    if (event.recording) this.recording = event.recording;
    if (event.error) this.failure = event.error;
    if (event.type === "notice" && event.level === "error") this.failure = event.text;
    if (event.type === "start") this.duration_s = event.duration_s ?? 0;
    if (event.type === "summary") this.complete = true;
    this.view.take(event);
    if (event.audio_s !== undefined) this.#transcribed(event.audio_s);
  }

  #transcribed(audio_s) {
    const of = this.duration_s ? ` of ${formatTime(this.duration_s)}` : "";
    const share = this.duration_s ? Math.min(1, audio_s / this.duration_s) : null;
    this.#progress(`Transcribing: ${formatTime(audio_s)}${of}`, share);
  }

  /** Show how far it is; a share of null: nobody knows. */
  #progress(text, share) {
    $("phase").textContent = text;
    if (share === null) $("bar").removeAttribute("value");
    else $("bar").value = share;
  }

  #working(yes) {
    $("progress").hidden = !yes;
    $("cancel").hidden = !yes;
    $("send").disabled = yes;
    $("file").disabled = yes;
    if (yes) {
      $("uploaded").textContent = this.keep ? "Will be kept." : "Nothing is kept.";
      $("uploaded").dataset.kept = "false";
      this.handlers.begun();
    } else {
      this.handlers.ended();
    }
  }

  #end(failure, text = "") {
    this.request = null;
    this.#working(false);
    this.view.take({ type: "summary" });
    if (failure) announce(failure, "error");
    const kept = Boolean(this.recording);
    $("uploaded").dataset.kept = String(kept);
    const link = kept ? el("a", { href: `/library/${this.recording}` }, "Kept: correct it and download it in the library") : "Nothing was kept.";
    $("uploaded").replaceChildren(text, link);
  }
}
