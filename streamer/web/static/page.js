// On every page: colours and caption size, remembered in this browser.

import { announce, remember, typing } from "./api.js";

const root = document.documentElement;
const SMALLEST = 1;
const LARGEST = 7;

const theme = document.getElementById("theme");
theme.value = root.dataset.theme ?? "";
theme.addEventListener("change", () => {
  if (theme.value) root.dataset.theme = theme.value;
  else delete root.dataset.theme;
  remember("theme", theme.value);
});

function resize(by) {
  const size = Math.min(LARGEST, Math.max(SMALLEST, Number(root.dataset.captionSize) + by));
  root.dataset.captionSize = String(size);
  remember("caption-size", String(size));
  document.dispatchEvent(new CustomEvent("captions-resized"));
  announce(`Caption size ${size} of ${LARGEST}.`);
}

document.getElementById("smaller").addEventListener("click", () => resize(-1));
document.getElementById("larger").addEventListener("click", () => resize(1));
document.addEventListener("keydown", (event) => {
  if (typing(event)) return;
  if (event.key === "+" || event.key === "=") resize(1);
  if (event.key === "-") resize(-1);
});
