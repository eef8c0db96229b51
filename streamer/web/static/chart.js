// A small line chart of a training: its loss on the left, the share of wrong words on the right.

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 720;
const HEIGHT = 220;
const FRAME = { left: 48, right: 52, top: 12, bottom: 30 };
const LINES = 4; // of the grid, besides the lowest

/**
 * Return a chart.
 * @param {[number, number][]} losses Minutes and loss.
 * @param {[number, number][]} wers Minutes and word error rate, 1 for all words wrong.
 * @returns {SVGSVGElement}
 */
export function chart(losses, wers) {
  const minutes = [...losses, ...wers].map(([x]) => x);
  const last = Math.max(...minutes, 1e-6);
  const percents = wers.map(([x, y]) => [x, 100 * y]);
  const left = range(losses.map(([, y]) => y));
  const right = range(percents.map(([, y]) => y));
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words(losses, wers) });
  for (let line = 0; line <= LINES; line += 1) {
    const share = line / LINES;
    const y = height(share);
    svg.append(node("line", { class: "grid", x1: FRAME.left, x2: WIDTH - FRAME.right, y1: y, y2: y }));
    if (losses.length) svg.append(label(FRAME.left - 6, y + 4, at(left, share).toFixed(2), "end"));
    if (wers.length) svg.append(label(WIDTH - FRAME.right + 6, y + 4, `${at(right, share).toFixed(1)} %`, "start"));
  }
  for (const share of [0, 0.5, 1]) {
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    svg.append(label(width(share), HEIGHT - 8, `${(share * last).toFixed(1)} min`, anchor));
  }
  const place = (bounds) => ([x, y]) => [width(x / last), height((y - bounds.low) / (bounds.high - bounds.low))];
  svg.append(path("loss", losses.map(place(left))), path("wer", percents.map(place(right))));
  for (const [x, y] of percents.map(place(right))) svg.append(node("circle", { cx: x, cy: y, r: percents.length > 40 ? 2 : 3.5 }));
  return svg;
}

function words(losses, wers) {
  const told = [];
  if (losses.length) told.push(`The loss went from ${losses[0][1].toFixed(2)} to ${losses.at(-1)[1].toFixed(2)}.`);
  if (wers.length) {
    const best = Math.min(...wers.map(([, y]) => y));
    told.push(`Of the held-out words ${percent(wers[0][1])} were wrong at first, ${percent(best)} at best, ${percent(wers.at(-1)[1])} at last.`);
  }
  return told.join(" ");
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function range(values) {
  if (!values.length) return { low: 0, high: 1 };
  const low = Math.min(...values);
  const high = Math.max(...values);
  const edge = Math.max((high - low) * 0.05, Math.abs(high) * 0.01, 1e-3);
  return { low: Math.max(0, low - edge), high: high + edge };
}

function at({ low, high }, share) {
  return low + share * (high - low);
}

function width(share) {
  return FRAME.left + share * (WIDTH - FRAME.left - FRAME.right);
}

function height(share) {
  return HEIGHT - FRAME.bottom - share * (HEIGHT - FRAME.top - FRAME.bottom);
}

function path(name, points) {
  const line = points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  return node("path", { class: name, d: line || "M0 0" });
}

function label(x, y, text, anchor) {
  const element = node("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function node(name, attributes) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
