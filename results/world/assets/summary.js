"use strict";
/* What stands above the explorer: facts, findings, literature against proposed, recommended configurations. */

const SIGNS = { confirmed: "✓", contradicted: "✕", undecided: "?" };

function showFacts() {
  const facts = REPORT.facts;
  const failed = facts.failed ? `, ${facts.failed.toLocaleString("en")} of them without a picture` : "";
  $("facts").textContent = `${count(facts.cells, "edit")}${failed}: ${count(facts.configurations, "configuration")}, ${count(facts.pairs, "prompt pair")}, ${count(facts.seeds, "seed")}. Model ${facts.model}, ${facts.steps} steps.`;
  $("notes").replaceChildren(...REPORT.notes.map((text) => element("li", { text })));
}

function showFindings() {
  $("findings").hidden = !REPORT.findings.length;
  const cards = REPORT.findings.map((one) =>
    element(
      "article",
      { class: `finding ${one.verdict}` },
      element("p", { class: "verdict" }, element("span", { class: "sign", "aria-hidden": "true", text: SIGNS[one.verdict] ?? "" }), one.verdict),
      element("h3", { text: one.claim }),
      element("p", { text: one.text }),
      one.command ? element("small", { text: "In the study:" }) : null,
      one.command ? element("code", { text: one.command }) : null,
    ),
  );
  $("findings-list").replaceChildren(...cards);
}

/** Whether a difference is in favour of the proposed values: 1, -1, or 0 where it cannot be told. */
function favours(row, metric) {
  if (row.p_corrected === null || row.p_corrected >= 0.05) return 0;
  return Math.sign(row.difference) * (metric.better || 0);
}

function showComparison() {
  const rows = REPORT.comparison;
  $("comparison").hidden = !rows.length;
  if (!rows.length) return;
  const categories = REPORT.categories.filter((name) => rows.some((row) => row.category === name));
  const metrics = METRICS.filter((metric) => rows.some((row) => row.metric === metric.name && row.difference !== null));
  $("comparison-lead").textContent =
    "Proposed minus literature, paired by prompt pair and seed, with 95 % intervals; right of the line the proposed values are better. Filled: distinguishable after correction for multiplicity.";
  const grid = element("div", { class: "forest", role: "img", "aria-label": "Differences by metric and category; the numbers are in the table below.", style: `--columns:${categories.length}` });
  grid.append(element("span"), ...categories.map((name) => element("span", { class: "column", text: name })));
  for (const metric of metrics) {
    const own = rows.filter((row) => row.metric === metric.name && row.difference !== null);
    const most = Math.max(...own.flatMap((row) => [Math.abs(row.low ?? 0), Math.abs(row.high ?? 0), Math.abs(row.difference)])) || 1;
    grid.append(element("span", { class: "row", title: `${metric.question} ${direction(metric)}`, text: metric.label }));
    for (const name of categories) {
      const found = own.filter((row) => row.category === name);
      const cells = element("span", { class: "settings" });
      cells.append(...(found.length ? found : [null]).map((row) => forestCell(row, metric, most)));
      grid.append(found.length > 1 ? cells : forestCell(found[0], metric, most));
    }
  }
  $("comparison-chart").replaceChildren(grid);
  showComparisonTable(rows);
}

function forestCell(row, metric, most) {
  const cell = element("span", { class: "cell" });
  if (!row) return cell;
  const at = linear([-most, most], (metric.better || 1) > 0 ? [4, 96] : [96, 4]);
  const favour = favours(row, metric);
  const kind = { 1: "proposed", "-1": "literature", 0: "neither" }[favour];
  const [low, high] = [at(row.low ?? row.difference), at(row.high ?? row.difference)];
  cell.title = `${metric.label}, ${row.category}${row.setting ? `, ${row.setting}` : ""}: ${fixed(row.difference, metric.digits)} [${fixed(row.low, metric.digits)}, ${fixed(row.high, metric.digits)}]`;
  cell.append(
    shape("svg", { viewBox: "0 0 100 26", preserveAspectRatio: "none" },
      shape("line", { x1: 50, x2: 50, y1: 0, y2: 26, class: "zero" }),
      shape("line", { x1: low, x2: high, y1: 13, y2: 13, class: `interval ${kind}` })),
    element("i", { class: `dot ${kind}`, style: `left:${at(row.difference).toFixed(1)}%` }),
  );
  return cell;
}

function showComparisonTable(rows) {
  const several = rows.some((row) => row.setting);
  const heads = ["Category", ...(several ? ["Setting"] : []), "Metric", "Literature", "Proposed", "Difference", "95 % interval", "p, corrected", "Effect size"];
  const lines = rows.map((row) => {
    const metric = METRICS[METRIC.get(row.metric)];
    if (!metric) return null;
    const text = (value) => fixed(value, metric.digits);
    const p = row.p_corrected === null ? "–" : row.p_corrected < 0.001 ? "< 0.001" : fixed(row.p_corrected, 3);
    const words = [row.category, ...(several ? [row.setting] : []), metric.label, text(row.literature), text(row.proposed), text(row.difference), span(row.low, row.high, metric.digits), p, fixed(row.effect_size, 2)];
    return element("tr", {}, ...words.map((word, i) => element(i ? "td" : "th", i ? { text: word } : { scope: "row", text: word })));
  });
  $("comparison-table").replaceChildren(
    element("table", { class: "plain" }, element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })))), element("tbody", {}, ...lines.filter(Boolean))),
  );
}

function showRecommended(choose) {
  const rows = REPORT.recommended.filter((row) => row.config >= 0 && REPORT.categories.includes(row.category));
  $("recommended").hidden = !rows.length;
  const [words, keep] = [REPORT.words, REPORT.keep].map((name) => METRICS[METRIC.get(name)]);
  if (!rows.length || !words || !keep) return;
  $("recommended-lead").textContent = `Chosen on half of the prompt pairs by ${words.label} and ${keep.label}, measured on the other half; how sure: the share of bootstrap samples of all pairs that choose it.`;
  $("recommended-cards").replaceChildren(
    ...rows.map((row) => {
      const values = AXES.map((axis) => element("div", {}, element("dt", { text: axis.head }), element("dd", { text: axis.values[axis.codes[row.config]] })));
      const score = (metric, name) => {
        const text = (value) => fixed(value, metric.digits);
        return element("p", { class: "score" }, element("span", { text: metric.label, title: direction(metric) }), element("b", { text: text(row[name]) }), element("small", { text: span(row[`${name}_low`], row[`${name}_high`], metric.digits) }), element("small", { class: "than", text: `literature ${text(row[`${name}_literature`])}` }));
      };
      const sure = Math.round(100 * row.confidence);
      return element(
        "article",
        { class: "card" },
        element("h3", { text: row.category }),
        element("dl", {}, ...values),
        row.confidence === null ? null : element("p", { class: "sure" }, element("span", { class: "bar", "aria-hidden": "true" }, element("i", { style: `width:${sure}%` })), `${sure} % sure`),
        score(words, "words"),
        score(keep, "keep"),
        element("button", { type: "button", text: "See pictures", "aria-label": `See pictures of the configuration recommended for ${row.category}`, click: () => choose(REPORT.categories.indexOf(row.category), row.config) }),
      );
    }),
  );
}
