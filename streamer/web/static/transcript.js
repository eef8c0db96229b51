// A transcript: its words to point at and its segments to correct.

import { el, formatTime } from "./api.js";
import { spoken } from "./captions.js";

export class Transcript {
  /**
   * @param {HTMLElement} area
   * @param {{play: (start_s: number) => void, changed: (count: number) => void,
   *   chosen: (word: string) => void, save: () => void, words: (words: object[]) => void}}
   *   handlers `changed`: how many segments differ from what is saved; `words`: which words are
   *   shown now.
   * @param {number} lowConfidence Words below it are marked.
   */
  constructor(area, handlers, lowConfidence) {
    this.area = area;
    this.handlers = handlers;
    this.lowConfidence = lowConfidence;
    this.segments = [];
    this.drafts = new Map(); // text by place of the segment, where it differs from what is saved
    this.words = [];
    this.chosen = -1;
    area.addEventListener("click", (event) => this.#clicked(event));
    area.addEventListener("keydown", (event) => this.#pressed(event));
    area.addEventListener("focus", () => this.#choose(Math.max(0, this.chosen), false));
  }

  /**
   * Show segments; what is unsaved stays.
   * @param {{start_s: number, text: string, words: object[]}[]} segments
   * @param {boolean} editable
   */
  show(segments, editable) {
    this.segments = segments;
    this.editable = editable;
    for (const [place, text] of this.drafts) {
      if (segments[place]?.text === text) this.drafts.delete(place);
    }
    this.area.replaceChildren(...segments.map((_, place) => this.#row(place)));
    this.#collectWords();
    this.handlers.changed(this.drafts.size);
  }

  /** Text of every segment, with what is unsaved. */
  texts() {
    return this.segments.map(({ text }, place) => this.drafts.get(place) ?? text);
  }

  /** Forget what is unsaved. */
  undo() {
    this.drafts.clear();
    this.show(this.segments, this.editable);
  }

  /** Edit the segment of the chosen or spoken word, or the first one. */
  editCurrent() {
    const word = this.area.querySelector(".word.spoken") ?? this.words[this.chosen]?.element;
    const row = word?.closest(".segment") ?? this.area.firstElementChild;
    if (row) this.#edit(Number(row.dataset.place));
  }

  #row(place) {
    const { start_s } = this.segments[place];
    const draft = this.drafts.get(place);
    const time = formatTime(start_s);
    const at = el("button", { type: "button", class: "quiet at", tabindex: -1, title: "Play from here" }, time);
    const row = el("div", { class: "segment", "data-place": place }, at, this.#text(place, draft));
    if (this.editable) {
      row.append(el("button", { type: "button", class: "quiet edit", "aria-label": `Edit segment at ${time}` }, "Edit"));
    }
    if (draft !== undefined) row.append(el("span", { class: "unsaved badge", "data-kind": "warning" }, "not saved yet"));
    return row;
  }

  #text(place, draft) {
    const { text, words } = this.segments[place];
    const shown = draft ?? text;
    if (!shown) return el("p", { class: "words nothing" }, "(nothing)");
    if (draft !== undefined || !words.length) return el("p", { class: "words", dir: "auto" }, shown);
    const line = el("p", { class: "words", dir: "auto" });
    for (const word of words) line.append(this.#word(word), " ");
    return line;
  }

  #word({ word, start_s, end_s, confidence }) {
    const doubtful = confidence < this.lowConfidence;
    const title = doubtful ? `Not sure: confidence ${Math.round(confidence * 100)} %` : null;
    const attributes = { class: doubtful ? "word doubtful" : "word", "data-start": start_s, "data-end": end_s, title };
    return el("span", attributes, word, doubtful ? spoken(" (not sure)") : "");
  }

  #collectWords() {
    const chosen = this.words[this.chosen]?.element;
    this.words = [...this.area.querySelectorAll(".word")].map((element) => ({
      element,
      start_s: Number(element.dataset.start),
      end_s: Number(element.dataset.end),
    }));
    const place = chosen ? this.words.findIndex(({ element }) => element === chosen) : -1;
    this.chosen = place < 0 ? Math.min(this.chosen, this.words.length - 1) : place;
    this.handlers.words(this.words);
  }

  #clicked(event) {
    const word = event.target.closest(".word");
    const row = event.target.closest(".segment");
    if (word) {
      this.chosen = this.words.findIndex(({ element }) => element === word);
      this.handlers.play(Number(word.dataset.start));
    } else if (event.target.closest(".at")) {
      this.handlers.play(this.segments[row.dataset.place].start_s);
    } else if (event.target.closest(".edit")) {
      this.#edit(Number(row.dataset.place));
    }
  }

  #pressed(event) {
    if (event.target !== this.area || event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    const word = this.words[this.chosen];
    if (event.key in steps) this.#choose(this.chosen + steps[event.key], true);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#chooseRow(event.key === "ArrowDown");
    else if (event.key === "Enter" && word) this.handlers.play(word.start_s);
    else return;
    event.preventDefault();
  }

  #chooseRow(down) {
    const row = this.words[this.chosen]?.element.closest(".segment");
    const isOther = ({ element }) => element.closest(".segment") !== row;
    const rest = down ? this.words.slice(this.chosen + 1) : this.words.slice(0, this.chosen).reverse();
    const other = rest.find(isOther);
    if (other) this.#choose(this.words.indexOf(other), true);
  }

  #choose(place, aloud) {
    if (!this.words.length) return;
    this.words[this.chosen]?.element.classList.remove("chosen");
    this.chosen = Math.min(this.words.length - 1, Math.max(0, place));
    const { element } = this.words[this.chosen];
    element.classList.add("chosen");
    if (!aloud) return;
    element.scrollIntoView({ block: "nearest" });
    this.handlers.chosen(element.textContent);
  }

  #edit(place) {
    const row = this.area.children[place];
    const open = row?.querySelector("textarea");
    if (!this.editable || open) return open?.focus();
    const label = `Text of the segment at ${formatTime(this.segments[place].start_s)}`;
    const box = el("textarea", { rows: 2, dir: "auto", maxlength: 10000, "aria-label": label, spellcheck: true });
    box.value = this.texts()[place];
    box.addEventListener("input", () => this.#typed(place, box.value));
    box.addEventListener("keydown", (event) => this.#pressedInBox(event, place));
    row.querySelector(".words").replaceWith(box);
    row.querySelector(".edit").hidden = true;
    this.#collectWords();
    box.focus();
    return box.setSelectionRange(box.value.length, box.value.length);
  }

  #typed(place, value) {
    const text = value.replace(/\s+/g, " ").trim();
    if (text === this.segments[place].text) this.drafts.delete(place);
    else this.drafts.set(place, text);
    this.handlers.changed(this.drafts.size);
  }

  #pressedInBox(event, place) {
    if (event.key === "Escape") this.#leave(place);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#finish(place);
    else return;
    event.preventDefault();
  }

  /** Save; with nothing changed there is nothing to save, and nothing to call right either. */
  #finish(place) {
    if (this.drafts.size) this.handlers.save();
    else this.#leave(place);
  }

  #leave(place) {
    const row = this.#row(place);
    this.area.children[place].replaceWith(row);
    this.#collectWords();
    row.querySelector(".edit")?.focus();
  }
}
