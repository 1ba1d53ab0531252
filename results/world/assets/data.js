"use strict";
/* The page's data: columns decoded, and the cells found by configuration, pair and seed. */

const KINDS = { i1: Int8Array, i2: Int16Array, i4: Int32Array, f8: Float64Array };

/** A column of numbers: little-endian bytes in base64. */
function numbers(column) {
  const text = atob(column.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new KINDS[column.kind](bytes.buffer);
}

/** A column of texts, as a function of the row; null where there is none. */
function texts(column) {
  const codes = numbers(column.codes);
  return (row) => (codes[row] < 0 ? null : column.words[codes[row]]);
}

/** A column of rounded numbers, as a function of the row; null where there is none. */
function rounded(column) {
  const values = numbers(column);
  const none = { i1: -128, i2: -32768, i4: -2147483648 }[column.kind];
  const one = 10 ** column.digits;
  return (row) => (values[row] === none ? null : values[row] / one);
}

/** A number to so many decimals; exact halves to even, as the report's tables have them. */
function fixed(value, digits) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const scaled = Math.abs(value) * 10 ** digits;
  const half = Number.isInteger(value * 2 ** (digits + 1)) && scaled % 1 === 0.5;
  const shown = half ? Math.sign(value) * (Math.floor(scaled) + (Math.floor(scaled) % 2)) / 10 ** digits : value;
  return shown.toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1").replace("-", "−");
}

/** An interval in words; empty where there is none. */
function span(low, high, digits) {
  return low === null || Number.isNaN(low) ? "" : `${fixed(low, digits)} to ${fixed(high, digits)}`;
}

const REPORT = DATA.report;
const METRICS = REPORT.metrics;
const METRIC = new Map(METRICS.map((metric, i) => [metric.name, i]));
const AXES = REPORT.axes.map((axis) => ({ ...axis, codes: numbers(axis.codes) }));
const CONFIGS = REPORT.configs.id.length;
const ALL = REPORT.categories.indexOf(REPORT.all);

const CELLS = {
  id: DATA.cells.id,
  config: numbers(DATA.cells.config),
  pair: numbers(DATA.cells.pair),
  seed: numbers(DATA.cells.seed),
  status: texts(DATA.cells.status),
  error: texts(DATA.cells.error),
  scores: DATA.cells.scores.map(rounded),
};

const CELL_AT = new Map();
const cellKey = (config, pair, seed) => (pair * REPORT.seeds.length + seed) * CONFIGS + config;
for (let cell = CELLS.id.length - 1; cell >= 0; cell--) {
  CELL_AT.set(cellKey(CELLS.config[cell], CELLS.pair[cell], CELLS.seed[cell]), cell);
}

/** The cell of a configuration, pair and seed, or -1. */
function cellAt(config, pair, seed) {
  return CELL_AT.get(cellKey(config, pair, seed)) ?? -1;
}

/** Of each category: the configurations that it has, and their means, intervals and counts by metric. */
const SCORES = DATA.scores.map((own) => {
  const configs = numbers(own.configs);
  const place = new Map(Array.from(configs, (config, i) => [config, i]));
  const columns = {};
  for (const name of ["mean", "low", "high", "n", "pairs", "seeds", "nulls", "failed", "best"]) {
    columns[name] = numbers(own[name]);
  }
  const at = (metric, config) => metric * configs.length + place.get(config);
  return { configs, place, has: (config) => place.has(config), get: (name, metric, config) => columns[name][at(metric, config)] };
});

/** A configuration in words: `k 0.3, cross 0.8, self 0.2, V 0`. */
function describe(config) {
  return AXES.map((axis) => `${axis.head} ${axis.values[axis.codes[config]]}`).join(", ");
}
