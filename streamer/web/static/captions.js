// Captions as they roll: takes the objects of JSON Lines, shows them, keeps their text.

import { el, formatTime, typing } from "./api.js";

const MOST_CAPTIONS = 500; // kept in the document; older ones go
const NEAR_END_PX = 48; // this close to the end the pane follows the newest caption

/** A region with finished captions and the one that is being spoken; see captions_pane.html. */
export class CaptionView {
  /** @param {HTMLElement} region The section of class `captions`. */
  constructor(region) {
    this.lowConfidence = Number(region.dataset.lowConfidence);
    this.pane = region.querySelector(".pane");
    this.log = region.querySelector(".log");
    this.partial = region.querySelector(".partial");
    this.settled = region.querySelector(".settled");
    this.unsettled = region.querySelector(".unsettled");
    this.nothing = region.querySelector(".nothing");
    this.newest = region.querySelector(".newest");
    this.following = true;
    this.due = 0; // the frame that will go to the end
    this.end = 0; // where the last one went
    this.pane.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.newest.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.#keepUp()).observe(this.pane);
    document.addEventListener("captions-resized", () => this.#keepUp());
  }

  /**
   * Show an event; kinds that have no place among captions are passed over.
   * @param {{type: string}} event An object of JSON Lines, see the README.
   */
  take(event) {
    switch (event.type) {
      case "partial":
        return this.#showPartial(event.stable, event.tail);
      case "final":
        this.#showPartial("", "");
        return event.text ? this.#append(this.#caption(event)) : undefined;
      case "gap":
        return this.#append(el("p", { class: "gap" }, `[${event.lost_s.toFixed(1)} s of audio lost]`));
      case "notice":
        return this.#append(el("p", { class: "notice", "data-level": event.level }, event.text));
      case "summary":
        return this.#showPartial("", "");
      default:
        return undefined;
    }
  }

  /** Write a line across the captions, such as that some are missing. */
  mark(text) {
    this.#append(el("p", { class: "mark" }, text));
  }

  /** Take away everything, for another stream; `text` is what stands there until then. */
  clear(text) {
    this.log.replaceChildren();
    this.#showPartial("", "");
    this.nothing.textContent = text;
    this.nothing.hidden = false;
    this.follow();
  }

  /** Keep screen readers from reading what is only caught up with. */
  catchingUp(yes) {
    this.log.setAttribute("aria-live", yes ? "off" : "polite");
  }

  /** Whether nothing has been shown yet. */
  get empty() {
    return this.log.childElementCount === 0;
  }

  /** The finished captions that are shown, one a line. */
  text() {
    const captions = this.log.querySelectorAll(".caption, .gap");
    return [...captions].map((line) => line.dataset.text ?? line.textContent).join("\n");
  }

  /** Go to the newest caption and stay with it. */
  follow() {
    this.following = true;
    this.#keepUp();
  }

  #caption(final) {
    const time = el("time", { datetime: `PT${final.start_s}S` }, formatTime(final.start_s));
    const words = el("span", { class: "words" }, ...markedWords(final, this.lowConfidence));
    return el("p", { class: "caption", "data-text": final.text }, time, words);
  }

  #append(line) {
    this.nothing.hidden = true;
    this.log.append(line);
    while (this.log.children.length > MOST_CAPTIONS) this.#dropOldest();
    this.#keepUp();
  }

  #dropOldest() {
    if (this.following) return this.log.firstElementChild.remove();
    const before = this.pane.scrollHeight;
    this.log.firstElementChild.remove();
    this.pane.scrollTop -= before - this.pane.scrollHeight;
    return undefined;
  }

  #showPartial(stable, tail) {
    this.settled.textContent = stable;
    this.unsettled.textContent = tail;
    this.partial.hidden = !(stable || tail);
    if (!this.partial.hidden) this.nothing.hidden = true;
    this.#keepUp();
  }

  /** Once a frame at most: thousands of captions may come at once to who comes late. */
  #keepUp() {
    this.newest.hidden = this.following;
    if (!this.following || this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      if (this.following) this.pane.scrollTop = this.pane.scrollHeight;
      this.end = this.pane.scrollTop;
    });
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.pane;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    // What came since the last frame has moved the end away, not the reader.
    this.following = atEnd || (this.due !== 0 && scrollTop >= this.end - NEAR_END_PX);
    this.newest.hidden = this.following;
  }
}

/**
 * Return the words of a caption as nodes; runs of words of low confidence are marked.
 * @param {{text: string, words: {word: string, confidence: number}[]}} final
 * @param {number} lowConfidence Words below it are marked.
 */
export function markedWords(final, lowConfidence) {
  if (!final.words?.length) return [final.text];
  const runs = [];
  for (const word of final.words) {
    const doubtful = word.confidence < lowConfidence;
    const last = runs.at(-1);
    if (last?.doubtful === doubtful) last.words.push(word);
    else runs.push({ doubtful, words: [word] });
  }
  return runs.flatMap(({ doubtful, words }, index) => {
    const text = words.map(({ word }) => word).join(" ");
    return [...(index ? [" "] : []), doubtful ? doubtfulRun(text, words) : text];
  });
}

function doubtfulRun(text, words) {
  const least = Math.min(...words.map(({ confidence }) => confidence));
  const title = `Not sure: confidence ${Math.round(least * 100)} %`;
  return el("span", { class: "doubtful", title }, text, spoken(" (not sure)"));
}

/** Return text for screen readers only. */
export function spoken(text) {
  return el("span", { class: "visually-hidden" }, text);
}

/**
 * Show a level.
 * @param {HTMLElement} meter Element of class `meter` and role `meter`.
 * @param {number} db Of full scale; shown from -60 to 0.
 */
export function showLevel(meter, db) {
  const share = Math.min(1, Math.max(0, 1 + db / 60));
  meter.firstElementChild.style.transform = `scaleX(${share.toFixed(3)})`;
  meter.dataset.loud = String(db > -1);
  meter.setAttribute("aria-valuenow", String(Math.round(Math.max(-60, Math.min(0, db)))));
}

let awake = null;

/** Keep the screen from going dark while it is read across a room, where the browser can. */
async function keepAwake(on) {
  try {
    if (on) awake = await navigator.wakeLock?.request("screen");
    else await awake?.release();
  } catch {
    // Not allowed, as when the battery is low: the screen goes dark as it always does.
  }
}

/** Let the buttons, the key L and Escape switch large type on and off. */
export function largeType(...buttons) {
  const root = document.documentElement;
  const leave = document.getElementById("leave-reading");
  const set = (on) => {
    if (on) root.dataset.reading = "on";
    else delete root.dataset.reading;
    for (const button of buttons) button.setAttribute("aria-pressed", String(on));
    keepAwake(on);
    document.dispatchEvent(new CustomEvent("captions-resized"));
    if (on) document.querySelector(".captions .pane").focus();
    else buttons[0].focus();
  };
  const toggle = () => set(!root.dataset.reading);
  for (const button of [...buttons, leave]) button.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    if (event.key === "l" || event.key === "L") toggle();
    if (event.key === "Escape" && root.dataset.reading) set(false);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && root.dataset.reading) keepAwake(true);
  });
}
