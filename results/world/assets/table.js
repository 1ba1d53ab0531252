"use strict";
/* The table of a category's configurations, sorted by any column. */

const FIRST = 25;
const sorting = { column: null, descending: false, all: false };

/** What a column sorts by; a text axis by the order of its values. */
function sortKey(column, own) {
  if (column.axis !== undefined) return (config) => AXES[column.axis].codes[config];
  if (column.metric !== undefined) return (config) => own.get("mean", column.metric, config);
  return (config) => REPORT.configs.mark[config] || "~";
}

function tableColumns() {
  return [
    { id: "mark", head: "", title: "known configurations" },
    ...AXES.map((axis, i) => ({ id: axis.head, head: axis.head, title: axis.name, axis: i })),
    ...METRICS.map((metric, i) => ({ id: metric.name, head: metric.label, title: `${metric.question} ${direction(metric)}`, metric: i })),
  ];
}

function sorted(own, columns) {
  const column = columns.find((one) => one.id === sorting.column);
  const key = sortKey(column, own);
  const sign = sorting.descending ? -1 : 1;
  const none = (value) => (Number.isNaN(value) ? 1 : 0);
  return [...own.configs].sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    return none(left) - none(right) || (left < right ? -sign : left > right ? sign : a - b);
  });
}

function updateTable(state, choose) {
  const own = SCORES[state.category];
  const columns = tableColumns();
  if (sorting.column === null) Object.assign(sorting, { column: REPORT.words, descending: METRICS[METRIC.get(REPORT.words)]?.better > 0 });
  if (!columns.some((one) => one.id === sorting.column)) sorting.column = columns[0].id;
  const order = sorted(own, columns);
  const shown = sorting.all ? order : order.slice(0, FIRST);
  const heads = columns.map((column) => {
    const now = column.id === sorting.column;
    const arrow = now ? (sorting.descending ? " ↓" : " ↑") : "";
    const button = element("button", { type: "button", title: column.title, "aria-label": column.head || "name", text: (column.head || "name") + arrow, click: () => sortBy(column, state, choose) });
    return element("th", { scope: "col", "aria-sort": now ? (sorting.descending ? "descending" : "ascending") : "none", "data-column": column.id }, button);
  });
  const rows = shown.map((config) => tableRow(config, own, columns, state, choose));
  const focused = document.activeElement?.closest("#configurations [data-column], #configurations tr[data-config]");
  const again = focused && (focused.dataset.column ? `[data-column="${CSS.escape(focused.dataset.column)}"] button` : `tr[data-config="${focused.dataset.config}"] button`);
  $("configurations").replaceChildren(element("table", { class: "configurations" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)));
  if (again) $("configurations").querySelector(again)?.focus({ preventScroll: true });
  $("more").hidden = order.length <= FIRST;
  $("more").textContent = sorting.all ? `Show the first ${FIRST}` : `Show all ${order.length}`;
  $("more").onclick = () => ((sorting.all = !sorting.all), updateTable(state, choose));
  $("table-lead").textContent = `Means over pairs and seeds, ${REPORT.categories[state.category]}: the best in bold, what cannot be told apart from it with a dot. Choose a row to see its pictures.`;
}

function tableRow(config, own, columns, state, choose) {
  const cells = columns.map((column) => {
    if (column.axis !== undefined) return element("td", { class: "axis", text: AXES[column.axis].values[AXES[column.axis].codes[config]] });
    if (column.metric === undefined) {
      const button = element("button", { type: "button", "aria-label": `Show ${describe(config)}`, "aria-pressed": String(config === state.config), text: REPORT.configs.mark[config] || "show" });
      return element("td", { class: "show" }, button);
    }
    const { digits } = METRICS[column.metric];
    const get = (name) => own.get(name, column.metric, config);
    const best = get("best");
    const title = get("n") ? `${fixed(get("low"), digits)} to ${fixed(get("high"), digits)}, ${count(get("n"), "value")}${get("nulls") ? `, ${get("nulls")} null` : ""}${get("failed") ? `, ${get("failed")} failed` : ""}` : "no value";
    const label = ["", "not distinguishable from the best", "best"][best];
    const whole = label ? `${label}: ${title}` : title;
    return element("td", { class: ["", "tied", "best"][best] || null, title: whole }, fixed(get("mean"), digits), element("span", { class: "hidden", text: `, ${whole}` }));
  });
  return element("tr", { "data-config": config, class: config === state.config ? "selected" : null, click: () => choose(config) }, ...cells);
}

/** The better end first, then the other way round. */
function sortBy(column, state, choose) {
  if (sorting.column === column.id) sorting.descending = !sorting.descending;
  else {
    sorting.column = column.id;
    sorting.descending = column.metric !== undefined && METRICS[column.metric].better > 0;
  }
  updateTable(state, choose);
}

/** Mark the chosen row without drawing the table again. */
function markRow(config) {
  for (const row of $("configurations").querySelectorAll("tr[data-config]")) {
    const own = Number(row.dataset.config) === config;
    row.classList.toggle("selected", own);
    row.querySelector("button").setAttribute("aria-pressed", own);
  }
}
