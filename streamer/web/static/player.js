// Hears a recording: follows the words as they are spoken, and plays from where one points.

const STEP_S = 5;
const LINGER_S = 0.25; // a word stays marked this long after its end, unless the next one starts

export class Player {
  /**
   * @param {HTMLAudioElement} audio
   * @param {NodeListOf<HTMLElement>} pictures Of class `picture`, as wide as the recording is long.
   * @param {(word: HTMLElement|null) => void} onWord Told of the word that is being spoken.
   */
  constructor(audio, pictures, onWord) {
    this.audio = audio;
    this.pictures = pictures;
    this.onWord = onWord;
    this.words = [];
    this.spoken = null;
    this.duration_s = 0;
    for (const name of ["play", "seeked", "timeupdate", "pause", "ended"]) {
      audio.addEventListener(name, () => this.#follow());
    }
    for (const picture of pictures) {
      picture.addEventListener("click", (event) => this.#pointed(picture, event));
      const image = picture.querySelector("img");
      image.addEventListener("load", () => (picture.hidden = false));
      image.addEventListener("error", () => (picture.hidden = true));
    }
  }

  /**
   * Take a recording's sound and pictures.
   * @param {string} address Of the recording, under /api/recordings/.
   * @param {number} duration_s
   */
  load(address, duration_s) {
    if (this.duration_s === duration_s) return;
    const { currentTime: at, paused } = this.audio;
    this.duration_s = duration_s;
    // Browsers remember sound and pictures by address: a recording that has grown needs another.
    const version = `length=${duration_s}`;
    this.audio.src = `${address}/audio?${version}`;
    this.audio.currentTime = at;
    if (!paused) this.toggle();
    for (const picture of this.pictures) {
      const kind = picture.dataset.picture;
      picture.querySelector("img").src = `${address}/${kind}.png?width=1600&height=160&${version}`;
    }
  }

  /**
   * Take the words.
   * @param {{start_s: number, end_s: number, element: HTMLElement}[]} words In order of time.
   */
  setWords(words) {
    this.words = words;
    this.#mark(null);
    this.#follow();
  }

  /** Play, or pause. */
  toggle() {
    if (this.audio.paused) this.audio.play().catch(() => {});
    else this.audio.pause();
  }

  /** Go forward, or back, by a step. */
  step(direction) {
    this.seek(this.audio.currentTime + direction * STEP_S);
  }

  /** Go to a moment; plays on if it plays. */
  seek(seconds) {
    this.audio.currentTime = Math.min(Math.max(0, seconds), this.duration_s);
    this.#show();
  }

  #pointed(picture, event) {
    const { left, width } = picture.getBoundingClientRect();
    this.seek(((event.clientX - left) / width) * this.duration_s);
  }

  #follow() {
    this.#show();
    if (this.audio.paused || this.frame) return;
    const step = () => {
      this.#show();
      this.frame = this.audio.paused ? 0 : requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  #show() {
    const at = this.audio.currentTime;
    const share = this.duration_s ? Math.min(1, at / this.duration_s) : 0;
    for (const picture of this.pictures) {
      picture.querySelector(".playhead").style.left = `${(share * 100).toFixed(3)}%`;
    }
    const word = this.words[lastBefore(this.words, at)];
    this.#mark(word && at < word.end_s + LINGER_S ? word.element : null);
  }

  #mark(element) {
    if (this.spoken === element) return;
    this.spoken?.classList.remove("spoken");
    element?.classList.add("spoken");
    this.spoken = element;
    this.onWord(element);
  }
}

/**
 * Return the place of the last word that starts at a moment or before, -1 if none does.
 * @param {{start_s: number}[]} words In order of time.
 * @param {number} at Seconds.
 */
export function lastBefore(words, at) {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle].start_s <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
