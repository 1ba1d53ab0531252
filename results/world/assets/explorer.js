"use strict";
/* The explorer: sliders, selects and buttons choose a cell; its pictures and scores are shown. */

const SHOWN = ["Source", "Edit", "Cycle"];
const sliders = [];
let canvases = [];
let small = [];

/** Configurations that have cells in a category. */
const configsOf = (category) => SCORES[category].configs;

/** Values of an axis that the category has, in order. */
function valuesOf(axis, category) {
  const there = new Set();
  for (const config of configsOf(category)) there.add(AXES[axis].codes[config]);
  return [...there].sort((a, b) => a - b);
}

/**
 * The category's configuration with this value on this axis that is nearest to another one: it differs on the fewest
 * other axes, then by the fewest values. -1 if there is none.
 */
function nearest(category, from, axis, value) {
  let [best, least] = [-1, Infinity];
  for (const config of configsOf(category)) {
    if (axis !== null && AXES[axis].codes[config] !== value) continue;
    let distance = 0;
    AXES.forEach((one, i) => {
      const steps = Math.abs(one.codes[config] - one.codes[from]);
      if (i !== axis && steps) distance += 1 + steps / 1000;
    });
    if (distance < least) [best, least] = [config, distance];
  }
  return best;
}

/** Which sliders had to move besides the one that was moved, in words. */
function movedText(from, to, axis) {
  const moved = AXES.filter((one, i) => i !== axis && one.codes[from] !== one.codes[to]);
  if (!moved.length) return "";
  const list = moved.map((one) => `${one.head} ${one.values[one.codes[from]]} → ${one.values[one.codes[to]]}`);
  return `The sweep has no such configuration; the nearest one also changes ${list.join(", ")}.`;
}

function makeSliders(choose) {
  AXES.forEach((axis, i) => {
    const input = element("input", { type: "range", min: 0, step: 1, id: `axis-${i}`, "data-axis": axis.head });
    const output = element("output", { for: input.id });
    const marks = element("div", { class: "marks", "aria-hidden": "true" });
    input.addEventListener("input", () => choose(i, sliders[i].values[Number(input.value)]));
    const label = element("label", { for: input.id }, element("span", { class: "head", text: axis.head }), output);
    if (axis.name !== axis.head) label.children[0].title = axis.name;
    $("sliders").append(element("div", { class: "slider" }, label, input, marks));
    sliders.push({ input, output, marks, values: [], shown: "" });
  });
}

function updateSliders(state, choose) {
  sliders.forEach((slider, i) => {
    const { values: words, codes, name, head } = AXES[i];
    slider.values = valuesOf(i, state.category);
    const at = slider.values.indexOf(codes[state.config]);
    slider.input.max = Math.max(slider.values.length - 1, 0);
    slider.input.value = at;
    slider.input.disabled = slider.values.length < 2;
    const text = words[codes[state.config]];
    slider.output.textContent = text;
    slider.input.setAttribute("aria-label", name === head ? head : `${head}: ${name}`);
    slider.input.setAttribute("aria-valuetext", head === "k" && text === "none" ? "none, no blend" : text);
    const exact = slider.values.map((value) => movedText(state.config, nearest(state.category, state.config, i, value), i) === "");
    const shown = `${slider.values} ${exact} ${at}`;
    if (shown === slider.shown) return;
    slider.shown = shown;
    const every = Math.ceil(slider.values.length / 9);
    const marks = slider.values.map((value, place) => {
      const left = slider.values.length > 1 ? place / (slider.values.length - 1) : 0;
      const label = place % every === 0 || place === at ? words[value] : "·";
      const kind = place === at ? "mark at" : exact[place] ? "mark" : "mark far";
      const title = exact[place] ? null : "no configuration with the other values as they are";
      const click = () => choose(i, value);
      return element("span", { class: kind, style: `--at:${left}`, text: label, title, click });
    });
    slider.marks.replaceChildren(...marks);
  });
}

function makeViewer() {
  const frames = SHOWN.map((name) => {
    const canvas = element("canvas", { width: 128, height: 128, role: "img", "data-kind": name.toLowerCase() });
    return element("figure", {}, element("div", { class: "frame" }, canvas), element("figcaption"));
  });
  $("pictures").replaceChildren(...frames);
  canvases = frames.map((frame) => frame.querySelector("canvas"));
  small = SHOWN.map(() => element("canvas", { width: 128, height: 128 }));
  $("dock").append(...small.map((canvas) => element("span", { class: "frame" }, canvas)), element("small"));
  $("dock").addEventListener("click", toExplorer);
  const dock = () => ($("dock").hidden = $("pictures").getBoundingClientRect().bottom > 0);
  for (const event of ["scroll", "resize"]) addEventListener(event, dock, { passive: true });
}

function toExplorer() {
  $("explorer").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  $("explorer").focus({ preventScroll: true });
}

/** What stands in a picture's place. */
function missingText(status, kind) {
  if (status === "ok") return kind === 2 ? "no cycle kept" : "not kept";
  return status === "none" ? "not in the sweep" : status;
}

function updateViewer(state) {
  const cell = cellAt(state.config, state.pair, state.seed);
  const pair = REPORT.pairs[state.pair];
  const status = cell < 0 ? "none" : CELLS.status(cell);
  const texts = [`“${pair.source_prompt}”`, `“${pair.target_prompt}”`, "the edit undone"];
  canvases.forEach((canvas, kind) => {
    for (const one of [canvas, small[kind]]) draw(one, pictureOf(cell, kind), missingText(status, kind));
    canvas.setAttribute("aria-label", `${SHOWN[kind]}: ${texts[kind]}, ${kind ? describe(state.config) : `seed ${REPORT.seeds[state.seed]}`}`);
    const caption = canvas.closest("figure").querySelector("figcaption");
    caption.replaceChildren(element("b", { text: SHOWN[kind] }), ` ${texts[kind]}`);
  });
  $("dock").lastChild.replaceChildren(element("b", { text: "explorer ↑" }), describe(state.config));
  $("dock").setAttribute("aria-label", `Back to the explorer, at ${describe(state.config)}`);
  $("pictures").dataset.cell = cell < 0 ? "" : CELLS.id[cell];
  $("problem").textContent =
    cell < 0 ? "The sweep has no cell for this pair, seed and configuration." : status === "ok" ? "" : `${status}: ${CELLS.error(cell) ?? ""}`;
  updateScores(state, cell);
  preload(neighbours(state).flatMap((one) => [pictureOf(one, 1), pictureOf(one, 2)]));
}

/** The cells that one step of any slider, another seed or the next pair would show. */
function neighbours(state) {
  const found = [];
  AXES.forEach((axis, i) => {
    const values = sliders[i].values;
    const at = values.indexOf(axis.codes[state.config]);
    for (const place of [at - 1, at + 1]) {
      if (place in values) found.push(cellAt(nearest(state.category, state.config, i, values[place]), state.pair, state.seed));
    }
  });
  REPORT.seeds.forEach((_, seed) => found.push(cellAt(state.config, state.pair, seed)));
  return found;
}

function updateScores(state, cell) {
  if (!METRICS.length) return;
  const own = SCORES[state.category];
  const rows = METRICS.map((metric, m) => {
    const means = Array.from(own.configs, (config) => own.get("mean", m, config));
    const [low, high] = extent(means, 0);
    const mean = own.has(state.config) ? own.get("mean", m, state.config) : NaN;
    const better = metric.better || 1;
    const at = (value) => (better > 0 ? linear([low, high], [0, 1]) : linear([high, low], [0, 1]))(value);
    const value = cell < 0 ? null : CELLS.scores[m](cell);
    const n = own.has(state.config) ? own.get("n", m, state.config) : 0;
    const interval = n ? span(own.get("low", m, state.config), own.get("high", m, state.config), metric.digits) : "";
    const track = element("span", { class: "track", title: `its mean among those of all ${own.configs.length} configurations; right is better` });
    const beaten = means.filter((other) => (other - mean) * better < 0).length;
    if (!Number.isNaN(mean)) track.append(element("span", { class: "hidden", text: `better than ${beaten} of ${own.configs.length}` }));
    if (!Number.isNaN(mean) && low < high) track.append(element("i", { style: `left:${(100 * at(mean)).toFixed(1)}%` }));
    return element(
      "tr",
      { "data-metric": metric.name },
      element("th", { scope: "row", title: metric.question }, metric.label, element("span", { class: "arrow", text: { 1: " ↑", "-1": " ↓", 0: "" }[metric.better], title: direction(metric) })),
      element("td", { class: "value", text: fixed(value, metric.digits) }),
      element("td", { class: "mean" }, fixed(mean, metric.digits), " ", element("small", { text: interval })),
      element("td", { class: "place" }, track),
    );
  });
  const spread = own.has(state.config) ? METRICS.map((_, m) => [own.get("pairs", m, state.config), own.get("seeds", m, state.config)]) : [[0, 0]];
  const [pairs, seeds] = spread.reduce((a, b) => (b[0] > a[0] ? b : a));
  const heads = ["", "This picture", `Mean, 95 % interval`, "Among all"];
  const caption = `Scores of this picture, and of its configuration over ${count(pairs, "pair")} and ${count(seeds, "seed")}: ${REPORT.categories[state.category]}`;
  $("scores").replaceChildren(
    element("table", { class: "scores" }, element("caption", { text: caption }), element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })))), element("tbody", {}, ...rows)),
  );
}

const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
