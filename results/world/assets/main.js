"use strict";
/* What is chosen, kept in the page's address, and what follows from a choice. */

const state = { category: 0, config: 0, pair: 0, seed: 0, x: REPORT.words, y: REPORT.keep };
if (!METRIC.has(state.x)) state.x = METRICS[0]?.name;
if (!METRIC.has(state.y)) state.y = METRICS[0]?.name;
let scatter = null;

const pairsOf = (category) => REPORT.pairs.map((_, i) => i).filter((i) => category === ALL || REPORT.pairs[i].category === category);

/** Prompt pairs, and pairs with seeds, of which there are pictures. */
const PICTURED = (() => {
  const found = new Set();
  for (let cell = 0; cell < CELLS.id.length; cell++) {
    if (pictureOf(cell, 1)) found.add(CELLS.pair[cell]).add(`${CELLS.pair[cell]} ${CELLS.seed[cell]}`);
  }
  return found;
})();

function chooseCategory(category, config = state.config) {
  state.category = category;
  const pairs = pairsOf(category);
  if (!pairs.includes(state.pair)) state.pair = pairs.find((pair) => PICTURED.has(pair)) ?? pairs[0];
  state.config = SCORES[category].has(config) ? config : nearest(category, config, null, null);
  chooseSeed();
  $("moved").textContent = "";
  update();
}

/** Keep the seed, unless the pair has pictures of another one only, or no cells of this one. */
function chooseSeed() {
  const seeds = REPORT.seeds.map((_, seed) => seed).filter((seed) => cellAt(state.config, state.pair, seed) >= 0);
  const pictured = seeds.filter((seed) => PICTURED.has(`${state.pair} ${seed}`));
  const best = pictured.length ? pictured : seeds;
  if (best.length && !best.includes(state.seed)) state.seed = best[0];
}

function chooseValue(axis, value) {
  const config = nearest(state.category, state.config, axis, value);
  $("moved").textContent = movedText(state.config, config, axis);
  chooseConfig(config);
}

function chooseConfig(config) {
  state.config = config;
  updateExplorer();
  scatter.selected = config;
  scatter.draw();
  markRow(config);
  updateMarginal(state);
  remember();
}

function chooseFromPlot(config) {
  $("moved").textContent = "";
  chooseConfig(config);
}

function chooseFromCard(category, config) {
  chooseCategory(category, config);
  toExplorer();
}

function updateExplorer() {
  updateSliders(state, chooseValue);
  updateViewer(state);
  updatePresets();
}

function update() {
  for (const input of document.querySelectorAll("#categories input")) input.checked = Number(input.value) === state.category;
  fillSelects();
  updateExplorer();
  scatter.update(state);
  updateTable(state, chooseFromPlot);
  updateMarginal(state);
  updateHint();
  remember();
}

function updateHint() {
  $("scatter-hint").textContent = `Each point is a configuration's mean over pairs and seeds, ${REPORT.categories[state.category]}; the line is the Pareto front. Click a point, or reach it with the arrow keys and press Enter, to see its pictures above.`;
}

function makeCategories() {
  const options = REPORT.categories.map((name, i) => element("label", {}, element("input", { type: "radio", name: "category", value: i, change: () => chooseCategory(i) }), element("span", { text: name })));
  $("categories").replaceChildren(...options);
}

function fillSelects() {
  const pairs = pairsOf(state.category);
  const option = (pair) => {
    const { pair: name, source_prompt, target_prompt, category } = REPORT.pairs[pair];
    const head = state.category === ALL ? `${REPORT.categories[category]}: ` : "";
    return element("option", { value: pair, text: head + name.replaceAll("_", " "), title: `${source_prompt} → ${target_prompt}` });
  };
  const some = pairs.filter((pair) => PICTURED.has(pair));
  const rest = pairs.filter((pair) => !PICTURED.has(pair));
  const groups = some.length && rest.length ? [element("optgroup", { label: "with pictures" }, ...some.map(option)), element("optgroup", { label: "scores only" }, ...rest.map(option))] : pairs.map(option);
  $("pair").replaceChildren(...groups);
  $("pair").value = state.pair;
  const seeds = REPORT.seeds.map((seed, i) => {
    const there = PICTURED.has(`${state.pair} ${i}`) || !PICTURED.has(state.pair);
    return element("option", { value: i, text: there ? seed : `${seed}, scores only` });
  });
  $("seed").replaceChildren(...seeds);
  $("seed").value = state.seed;
}

function updatePresets() {
  const presets = REPORT.configs.mark.map((mark, config) => [mark, config]).filter(([mark, config]) => mark && SCORES[state.category].has(config));
  const recommended = REPORT.recommended.find((row) => row.category === REPORT.categories[state.category] && row.config >= 0);
  if (recommended) presets.push(["recommended", recommended.config]);
  const buttons = presets.map(([name, config]) => element("button", { type: "button", "data-preset": name, "aria-pressed": String(config === state.config), text: name, title: describe(config), click: () => chooseFromPlot(config) }));
  const focused = document.activeElement?.dataset?.preset;
  $("presets").replaceChildren(...buttons);
  if (focused) $("presets").querySelector(`[data-preset="${focused}"]`)?.focus();
}

function makeMetricSelect(id) {
  const options = METRICS.map((metric) => element("option", { value: metric.name, text: metric.label, title: metric.question }));
  $(id).replaceChildren(...options);
  $(id).value = state[id];
  $(id).addEventListener("change", () => {
    state[id] = $(id).value;
    scatter.update(state);
    updateMarginal(state);
    remember();
  });
}

let remembering = 0;

/** Keep what is chosen in the address, so that a link leads to it. */
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const { category, config, pair, seed, x, y } = state;
    const words = { category: REPORT.categories[category], config: REPORT.configs.id[config], pair, seed: REPORT.seeds[seed], x, y };
    history.replaceState(null, "", `#${new URLSearchParams(words)}`);
  }, 300);
}

/** What an address asks for, as far as the sweep has it; else the first pair with pictures and a known configuration. */
function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  const category = REPORT.categories.indexOf(words.get("category"));
  state.category = Math.max(category, 0);
  const config = REPORT.configs.id.indexOf(words.get("config"));
  const known = REPORT.configs.mark.findIndex((mark, i) => mark && SCORES[state.category].has(i));
  state.config = config >= 0 ? config : Math.max(known, 0);
  const pair = Number(words.get("pair") ?? NaN);
  state.pair = pairsOf(state.category).includes(pair) ? pair : -1;
  state.seed = Math.max(REPORT.seeds.indexOf(Number(words.get("seed"))), 0);
  for (const name of ["x", "y"]) if (METRIC.has(words.get(name))) state[name] = words.get(name);
}

showFacts();
showFindings();
showComparison();
showRecommended(chooseFromCard);
recall();
makeCategories();
makeSliders(chooseValue);
makeViewer();
if (!METRICS.length) for (const id of ["plot", "scores"]) $(id).hidden = true;
makeMetricSelect("x");
makeMetricSelect("y");
scatter = new Scatter($("scatter"), chooseFromPlot);
$("pair").addEventListener("change", () => {
  state.pair = Number($("pair").value);
  chooseSeed();
  fillSelects();
  updateExplorer();
  remember();
});
$("seed").addEventListener("change", () => {
  state.seed = Number($("seed").value);
  updateExplorer();
  remember();
});
chooseCategory(state.category);
document.documentElement.dataset.ready = "true";
