// What every page shares: requests, messages to the user, times, elements, memory.

/** An answer of the server that is an error; `message` is its own sentence. */
export class ApiError extends Error {
  /**
   * @param {string} message What went wrong and what to do about it.
   * @param {number} status HTTP status; 0 if there was no answer.
   */
  constructor(message, status) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

const UNREACHABLE = "The captioner cannot be reached. Is it still running? Try again.";

/** Return the token that requests which change something must carry. */
export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/**
 * Return the sentence of an error body, or one made of the status.
 * @param {string} body Text of the answer.
 * @param {number} status HTTP status.
 */
export function errorText(body, status) {
  try {
    const { error } = JSON.parse(body);
    if (typeof error === "string" && error) return error;
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  return status ? `The captioner answered with error ${status}. Try again.` : UNREACHABLE;
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE, 0);
  }
  const body = await response.text();
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw new ApiError(errorText(body, response.status), response.status);
  return body ? JSON.parse(body) : null;
}

/**
 * Fetch an object; throws ApiError.
 * @param {string} path Path on this server.
 * @param {AbortSignal} [signal] Gives the request up.
 */
export function getJson(path, signal) {
  return request(path, { headers: { Accept: "application/json" }, signal });
}

/**
 * Send an object and return the answer, null if it is empty; throws ApiError.
 * @param {"POST"|"PATCH"|"PUT"|"DELETE"} method
 * @param {string} path Path on this server.
 * @param {object} [body] Sent as JSON.
 */
export function sendJson(method, path, body) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  if (body === undefined) return request(path, { method, headers });
  headers["Content-Type"] = "application/json";
  return request(path, { method, headers, body: JSON.stringify(body) });
}

/**
 * Go where the server asks for its token if it lets this browser in no more: of a WebSocket that
 * was refused, a page is not told why.
 */
export async function checkLetIn() {
  try {
    await request("/", { method: "HEAD" });
  } catch {
    // Not reached: who wanted the WebSocket says so.
  }
}

/** Return the address of a WebSocket of this server. */
export function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/**
 * Tell the user something, read out by screen readers; it stays until it is dismissed, and a
 * message of level "info" goes by itself.
 * @param {string} text One or two sentences.
 * @param {"info"|"warning"|"error"} [level]
 */
export function announce(text, level = "info") {
  const area = document.getElementById(level === "error" ? "alerts" : "messages");
  for (const other of area.querySelectorAll(".message")) {
    if (other.dataset.text === text) other.remove();
  }
  const message = el("div", { class: "message", "data-level": level, "data-text": text });
  const close = el("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, "×");
  close.addEventListener("click", () => message.remove());
  message.append(el("p", {}, LEVELS[level], text), close);
  area.append(message);
  while (area.children.length > 4) area.firstElementChild.remove();
  if (level === "info") setTimeout(() => message.remove(), 8000);
}

const LEVELS = { info: "", warning: "Warning: ", error: "Error: " };

/** Take away all messages, as before the next try. */
export function clearMessages() {
  document.getElementById("alerts").replaceChildren();
  document.getElementById("messages").replaceChildren();
}

/**
 * Return seconds as 0:07, 12:34 or 1:02:03.
 * @param {number} seconds
 */
export function formatTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/**
 * Return a moment as the reader's language writes it.
 * @param {string} iso ISO 8601.
 */
export function formatDate(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * Return a new element.
 * @param {string} name Its tag.
 * @param {Record<string, string|number|boolean|null|undefined>} [attributes] True sets an empty
 *   one; false, null and undefined are left out.
 * @param {...(Node|string)} children Strings become text, never markup.
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== ""));
  return element;
}

/** Remember a choice in this browser, where it lets us. */
export function remember(name, value) {
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
  } catch {
    // Storage is switched off: the choice holds for this page only.
  }
}

/**
 * Copy text, and say whether that worked.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
  } catch {
    announce("This browser does not let the page copy; mark the text and copy it.", "warning");
  }
}

/**
 * Ask a question in a <dialog>; returns whether it was answered with yes.
 * @param {{title: string, text: string, yes: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes, danger = false }) {
  const heading = el("h2", { id: "question" }, title);
  const no = el("button", { value: "no", autofocus: true }, "Cancel");
  const agree = el("button", { value: "yes", class: danger ? "danger" : "primary" }, yes);
  const form = el("form", { method: "dialog" }, heading, el("p", {}, text));
  form.append(el("div", { class: "row end" }, no, agree));
  const dialog = el("dialog", { "aria-labelledby": "question" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/** Whether a key belongs to something that takes text or is worked by keys itself. */
export function typing(event) {
  const at = event.target;
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) {
    return true;
  }
  return at instanceof Element && at.closest("input, textarea, select, [contenteditable]") !== null;
}
