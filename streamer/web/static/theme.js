// Loaded before anything is drawn, so that no page flashes in the wrong colours or size.
// Not a module: modules wait for the whole document.
"use strict";

(() => {
  const read = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // storage is switched off; what was chosen holds for this page only
    }
  };
  const root = document.documentElement;
  root.dataset.script = "on";
  const theme = read("theme");
  if (["light", "dark", "contrast"].includes(theme)) root.dataset.theme = theme;
  const size = read("caption-size");
  root.dataset.captionSize = /^[1-7]$/.test(size ?? "") ? size : "3";
})();
