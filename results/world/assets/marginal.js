"use strict";
/* What each hyperparameter does: means with intervals of the two metrics of the plot, everything else being equal. */

const [WIDE, HIGH, EDGE] = [240, 130, { left: 40, right: 10, top: 10, bottom: 20 }];

function updateMarginal(state) {
  const category = REPORT.categories[state.category];
  const rows = REPORT.marginal.filter((row) => row.category === category && row.mean !== null);
  $("marginal").hidden = !REPORT.marginal.length || !METRICS.length;
  const metrics = [...new Set([state.x, state.y])].map((name) => METRICS[METRIC.get(name)]).filter(Boolean);
  const names = [...new Set(rows.map((row) => row.hyperparameter))];
  $("marginal-lead").textContent = `Means of the two metrics chosen above, ${category}, everything else being equal; the dotted line is the configuration in the explorer.`;
  const charts = metrics.flatMap((metric) => {
    const own = rows.filter((row) => row.metric === metric.name);
    const range = extent(own.flatMap((row) => [row.mean, row.low, row.high]));
    return names.map((name) => marginalChart(own.filter((row) => row.hyperparameter === name), name, metric, range, category, state));
  });
  $("marginal-charts").style.setProperty("--columns", Math.max(names.length, 1));
  $("marginal-charts").replaceChildren(...charts.filter(Boolean));
  const dead = REPORT.dead.filter((row) => row.category === category && row.dead).map((row) => row.hyperparameter);
  $("dead").textContent = dead.length ? `Changes nothing here: ${dead.join(", ")}.` : "";
}

function marginalChart(rows, name, metric, range, category, state) {
  if (!rows.length) return null;
  const axis = AXES.find((one) => one.name === name || one.head === name);
  const words = rows.map((row) => row.text);
  const x = linear([0, Math.max(rows.length - 1, 1)], [EDGE.left + 8, WIDE - EDGE.right - 8]);
  const y = linear(range, [HIGH - EDGE.bottom, EDGE.top]);
  const end = (row, side) => y(row[side] ?? row.mean);
  const made = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${metric.label} by ${name}: ${rows.map((row, i) => `${words[i]}: ${fixed(row.mean, metric.digits)}`).join(", ")}` });
  const grid = ticks(range, 3);
  for (const value of grid.values) {
    made.append(shape("line", { x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(value), y2: y(value), class: "grid" }));
    made.append(shape("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end", text: value.toFixed(grid.digits) }));
  }
  const now = axis ? words.indexOf(axis.values[axis.codes[state.config]]) : -1;
  if (now >= 0) made.append(shape("line", { x1: x(now), x2: x(now), y1: EDGE.top, y2: HIGH - EDGE.bottom, class: "now" }));
  const band = [...rows.map((row, i) => `${x(i)},${end(row, "high")}`), ...rows.map((row, i) => `${x(i)},${end(row, "low")}`).reverse()];
  if (rows.length > 1) made.append(shape("polygon", { points: band.join(" "), class: "band" }));
  else made.append(shape("line", { x1: x(0), x2: x(0), y1: end(rows[0], "low"), y2: end(rows[0], "high"), class: "curve" }));
  made.append(shape("polyline", { points: rows.map((row, i) => `${x(i)},${y(row.mean)}`).join(" "), class: "curve" }));
  rows.forEach((row, i) => {
    const text = `${axis?.head ?? name} ${words[i]}: ${fixed(row.mean, metric.digits)} [${fixed(row.low, metric.digits)}, ${fixed(row.high, metric.digits)}]`;
    made.append(shape("circle", { cx: x(i), cy: y(row.mean), r: 3, class: "knot" }, shape("title", { text })));
    made.append(shape("text", { x: x(i), y: HIGH - 5, "text-anchor": "middle", text: words[i] }));
  });
  const share = REPORT.shares.find((row) => row.category === category && row.metric === metric.name && row.term === name);
  const caption = element("figcaption", {}, element("b", { text: axis?.head ?? name }), ` ${metric.label}`);
  if (share?.share !== undefined && share.share !== null) caption.append(element("small", { text: ` ${Math.round(100 * share.share)} % of variance` }));
  return element("figure", {}, caption, made);
}
