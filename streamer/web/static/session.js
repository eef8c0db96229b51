// One stream of audio to the server and the captions that come back.

import { checkLetIn, socketUrl } from "./api.js";

const MOST_UNSENT_S = 10; // audio that may wait for a slow connection; more is given up

export class Session {
  /**
   * @param {number} rate Samples a second.
   * @param {{event: (event: object) => void, kept: (id: string|null) => void,
   *   finished: () => void, closed: (end: {text: string, early: boolean}) => void}} handlers
   *   `kept`: as what it is kept now; `finished`: all captions are there, and it can still be
   *   kept; `closed`: no more, early if before that.
   */
  constructor(rate, handlers) {
    this.rate = rate;
    this.handlers = handlers;
    this.recording = null;
    this.whole = false; // whether what is kept is finished
    this.samples = 0; // given to it, lost ones included
    this.lost = 0; // not told to the server yet
    this.early = []; // samples that came before the connection was made
    this.complete = false;
    this.refusal = "";
    this.wish = null;
    this.socket = new WebSocket(socketUrl(`/api/stream?rate=${rate}`));
    this.socket.binaryType = "arraybuffer";
    this.opened = new Promise((resolve, reject) => {
      this.socket.addEventListener("open", () => {
        this.begun = true;
        this.#tell(this.wish);
        for (const samples of this.early.splice(0)) this.socket.send(samples);
        resolve();
      });
      this.socket.addEventListener("close", () => reject(new Error(this.#lostText())));
    });
    this.opened.catch(() => {});
    this.socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(data)));
    this.socket.addEventListener("close", () => this.#closed());
  }

  /** Whether it can still be kept or discarded. */
  get open() {
    return this.socket.readyState <= WebSocket.OPEN;
  }

  /** Seconds of audio given to it. */
  get audio_s() {
    return this.samples / this.rate;
  }

  /** Seconds of audio that wait to be sent. */
  get unsent_s() {
    const early = this.early.reduce((bytes, { byteLength }) => bytes + byteLength, 0);
    return (early + this.socket.bufferedAmount) / (2 * this.rate);
  }

  /** Send 16-bit samples; they are given up, and said to be, while too many wait. */
  send(samples) {
    if (!this.open) return;
    const count = samples.byteLength / 2;
    this.samples += count;
    if (this.unsent_s > MOST_UNSENT_S) {
      this.lost += count;
      return;
    }
    if (this.socket.readyState !== WebSocket.OPEN) {
      this.early.push(samples);
      return;
    }
    if (this.lost) this.#tell({ type: "lost", samples: this.lost });
    this.lost = 0;
    this.socket.send(samples);
  }

  /** Keep everything of it under a title, if wanted; also before it is open. */
  keep(wanted, title) {
    if (!wanted) return;
    this.wish = { type: "keep", title };
    if (this.begun) this.#tell(this.wish);
  }

  /** Take the wish back, and what is being kept. */
  discard() {
    this.wish = null;
    this.#tell({ type: "discard" });
  }

  /** There is no more audio. */
  end() {
    if (this.lost) this.#tell({ type: "lost", samples: this.lost });
    this.#tell({ type: "end" });
  }

  /** Have no more to do with it. */
  close() {
    this.handlers = { event() {}, kept() {}, finished() {}, closed() {} };
    this.socket.close();
  }

  #tell(message) {
    if (message && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #take(event) {
    if (event.type === "kept") {
      this.recording = event.recording;
      this.whole = Boolean(event.finished);
      this.handlers.kept(event.recording);
      return;
    }
    if (event.type === "notice" && event.level === "error") this.refusal = event.text;
    this.handlers.event(event);
    if (event.type === "summary") {
      this.complete = true;
      this.handlers.finished();
    }
  }

  #closed() {
    if (!this.begun) checkLetIn();
    else this.handlers.closed({ text: this.#lostText(), early: !this.complete });
  }

  #lostText() {
    if (this.refusal) return this.refusal;
    return this.begun
      ? "The connection was lost; what was said since is not captioned. Start again."
      : "The captioner cannot be reached. Is it still running? Start again.";
  }
}
