// A WebSocket that comes back by itself, with waits that grow.

const SHORTEST_WAIT_S = 0.5;
const LONGEST_WAIT_S = 10;
const SILENCE_S = 20; // after a status, which comes several times a second: the line is dead

export class Reconnecting {
  /**
   * @param {() => string} address Asked at every try, so that it can say what was had already.
   * @param {{message: (event: object) => void, waiting: (seconds: number) => void,
   *   trying: () => void, refused: () => void}} handlers `refused`: closed before it was open.
   */
  constructor(address, handlers) {
    this.address = address;
    this.handlers = handlers;
    this.tries = 0;
    this.opened = false;
    this.socket = null;
    this.timer = null;
    this.watch = null;
    addEventListener("online", () => this.#now());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#now();
    });
  }

  /** Connect. */
  open() {
    clearTimeout(this.timer);
    this.timer = null;
    this.handlers.trying();
    const socket = new WebSocket(this.address());
    this.socket = socket;
    this.opened = false;
    socket.addEventListener("open", () => (this.opened = true));
    socket.addEventListener("message", (message) => this.#take(socket, message));
    socket.addEventListener("close", () => this.#closed(socket));
  }

  /** Tell that the connection works, so that the next waits are short again. */
  settled() {
    this.tries = 0;
  }

  #take(socket, message) {
    if (socket !== this.socket) return;
    clearTimeout(this.watch);
    const event = JSON.parse(message.data);
    if (event.type === "status") this.watch = setTimeout(() => this.#closed(socket), SILENCE_S * 1000);
    this.handlers.message(event);
  }

  #closed(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearTimeout(this.watch);
    socket.close();
    if (!this.opened) this.handlers.refused();
    const seconds = waitFor(this.tries++);
    this.handlers.waiting(seconds);
    this.timer = setTimeout(() => this.open(), seconds * 1000);
  }

  /** Do not wait any longer: the network came back, or somebody looks at the page. */
  #now() {
    if (this.timer !== null) this.open();
  }
}

/**
 * Return the seconds to wait before a try: twice as many each time, a quarter more or less so
 * that many readers do not all come back at once.
 * @param {number} tries Tries that failed in a row before.
 */
export function waitFor(tries) {
  const wait = SHORTEST_WAIT_S * 2 ** Math.min(tries, 10) * (0.75 + Math.random() / 2);
  return Math.min(LONGEST_WAIT_S, Math.max(SHORTEST_WAIT_S, wait));
}
