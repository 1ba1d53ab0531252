"use strict";
/* The scatter plot of a category's configurations by two metrics: better is always right and up. */

const MARKS = { literature: "accent-2", proposed: "accent", recommended: "accent-3" };

class Scatter {
  /** `choose` is called with the configuration that was clicked or entered. */
  constructor(host, choose) {
    this.choose = choose;
    this.canvas = element("canvas", { tabindex: 0, role: "application", "aria-roledescription": "scatter plot" });
    this.tip = element("div", { class: "tip", hidden: true });
    this.live = element("p", { class: "hidden", role: "status" });
    host.replaceChildren(this.canvas, this.tip, this.live);
    this.points = [];
    this.hover = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.canvas.addEventListener("click", (event) => {
      this.point(event);
      if (this.hover) choose(this.hover.config);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.draw()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  update(state) {
    const [x, y] = [METRIC.get(state.x), METRIC.get(state.y)];
    if (x === undefined) return;
    const own = SCORES[state.category];
    const points = [];
    for (const config of own.configs) {
      const [a, b] = [own.get("mean", x, config), own.get("mean", y, config)];
      if (!Number.isNaN(a) && !Number.isNaN(b)) points.push({ config, x: a, y: b });
    }
    Object.assign(this, { x: METRICS[x], y: METRICS[y], own, selected: state.config, hover: null });
    this.points = points.sort((a, b) => (a.x - b.x) * (this.x.better || 1) || a.config - b.config);
    this.front = frontOf(state, points, this.x, this.y);
    const recommended = REPORT.recommended.find((one) => one.category === REPORT.categories[state.category])?.config;
    this.markOf = (config) => REPORT.configs.mark[config] || (config === recommended ? "recommended" : "");
    const label = `${this.y.label} against ${this.x.label} of ${points.length} configurations, ${REPORT.categories[state.category]}. Arrow keys go from point to point, Enter shows the pictures.`;
    this.canvas.setAttribute("aria-label", label);
    this.draw();
  }

  draw() {
    if (!this.x) return;
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, height);
    this.area = { left: 54, right: width - 14, top: 14, bottom: height - 44 };
    const ranges = [extent(this.points.map((p) => p.x)), extent(this.points.map((p) => p.y))];
    const flip = (range, metric, [from, to]) => linear(range, metric.better < 0 ? [to, from] : [from, to]);
    this.toX = flip(ranges[0], this.x, [this.area.left, this.area.right]);
    this.toY = flip(ranges[1], this.y, [this.area.bottom, this.area.top]);
    this.drawAxes(pen, ranges, width, height);
    this.drawFront(pen);
    pen.fillStyle = colour("ink");
    for (const point of this.points) {
      if (this.markOf(point.config)) continue;
      pen.globalAlpha = this.front.has(point.config) ? 0.9 : 0.28;
      disc(pen, this.toX(point.x), this.toY(point.y), 3.2);
    }
    pen.globalAlpha = 1;
    for (const point of this.points) this.drawMark(pen, point);
    const selected = this.points.find((point) => point.config === this.selected);
    if (selected) this.drawSelected(pen, selected, colour("ink"), 7);
    if (this.hover) this.drawSelected(pen, this.hover, colour("accent"), 8);
    this.drawTip();
  }

  drawAxes(pen, ranges, width, height) {
    const { left, right, top, bottom } = this.area;
    pen.font = "12px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.strokeStyle = colour("line");
    pen.fillStyle = colour("pale");
    const [x, y] = [ticks(ranges[0], Math.min(width / 65, 9)), ticks(ranges[1], height / 70)];
    pen.beginPath();
    for (const value of x.values) pen.moveTo(this.toX(value), top), pen.lineTo(this.toX(value), bottom);
    for (const value of y.values) pen.moveTo(left, this.toY(value)), pen.lineTo(right, this.toY(value));
    pen.stroke();
    pen.textAlign = "center";
    for (const value of x.values) pen.fillText(value.toFixed(x.digits), this.toX(value), bottom + 16);
    pen.textAlign = "right";
    for (const value of y.values) pen.fillText(value.toFixed(y.digits), left - 8, this.toY(value) + 4);
    pen.fillStyle = colour("ink");
    pen.fillText(this.x.better ? `${this.x.label}, better →` : this.x.label, right, height - 8);
    pen.save();
    pen.translate(13, top);
    pen.rotate(-Math.PI / 2);
    pen.fillText(this.y.better ? `${this.y.label}, better →` : this.y.label, 0, 0);
    pen.restore();
  }

  drawFront(pen) {
    const front = this.points.filter((point) => this.front.has(point.config));
    pen.strokeStyle = colour("accent");
    pen.lineWidth = 1.5;
    pen.beginPath();
    front.forEach((point, i) => {
      const [x, y] = [this.toX(point.x), this.toY(point.y)];
      if (i) pen.lineTo(this.toX(front[i - 1].x), y);
      pen.lineTo(x, y);
    });
    pen.stroke();
  }

  drawMark(pen, point) {
    const mark = this.markOf(point.config);
    if (!mark) return;
    const [x, y] = [this.toX(point.x), this.toY(point.y)];
    pen.fillStyle = colour(MARKS[mark] ?? "ink");
    symbol(pen, mark, x, y);
    pen.font = "600 12px system-ui, sans-serif";
    const right = x + 90 > this.area.right;
    pen.textAlign = right ? "right" : "left";
    pen.lineWidth = 3;
    pen.strokeStyle = colour("paper");
    pen.strokeText(mark, x + (right ? -11 : 11), y - 8);
    pen.fillText(mark, x + (right ? -11 : 11), y - 8);
  }

  /** A ring, and the intervals both ways. */
  drawSelected(pen, point, ink, radius) {
    const [x, y] = [this.toX(point.x), this.toY(point.y)];
    const ends = (metric, name) => this.own.get(name, METRIC.get(metric.name), point.config);
    pen.strokeStyle = ink;
    pen.lineWidth = 1.2;
    pen.beginPath();
    pen.save();
    pen.rect(this.area.left, this.area.top, this.area.right - this.area.left, this.area.bottom - this.area.top);
    pen.clip();
    pen.beginPath();
    pen.moveTo(this.toX(ends(this.x, "low")), y), pen.lineTo(this.toX(ends(this.x, "high")), y);
    pen.moveTo(x, this.toY(ends(this.y, "low"))), pen.lineTo(x, this.toY(ends(this.y, "high")));
    pen.stroke();
    pen.restore();
    pen.lineWidth = 2.2;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.stroke();
  }

  drawTip() {
    this.tip.hidden = !this.hover;
    if (!this.hover) return;
    const { config, x, y } = this.hover;
    const mark = this.markOf(config);
    const scores = `${this.x.label} ${fixed(x, this.x.digits)}, ${this.y.label} ${fixed(y, this.y.digits)}`;
    this.tip.replaceChildren(element("b", { text: describe(config) }), element("span", { text: mark ? `${scores}, ${mark}` : scores }));
    const left = Math.min(this.toX(x) + 14, this.canvas.clientWidth - this.tip.offsetWidth - 4);
    const above = this.toY(y) - this.tip.offsetHeight - 14;
    this.tip.style.transform = `translate(${Math.max(4, left)}px, ${above < 0 ? this.toY(y) + 14 : above}px)`;
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const reach = event.pointerType === "touch" ? 34 : 20;
    let [best, least] = [null, reach * reach];
    for (const point of this.points) {
      const distance = (this.toX(point.x) - x) ** 2 + (this.toY(point.y) - y) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    this.canvas.style.cursor = best ? "pointer" : "default";
    if (best !== this.hover) (this.hover = best), this.draw();
  }

  leave() {
    if (this.hover) (this.hover = null), this.draw();
  }

  key(event) {
    const last = this.points.length - 1;
    const from = this.points.findIndex((point) => point.config === (this.hover?.config ?? this.selected));
    const go = { ArrowRight: from + 1, ArrowUp: from + 1, ArrowLeft: from - 1, ArrowDown: from - 1, PageUp: from + 20, PageDown: from - 20, Home: 0, End: last }[event.key];
    if (go !== undefined && last >= 0) {
      this.hover = this.points[Math.max(0, Math.min(last, go))];
      this.draw();
      this.live.textContent = this.tip.textContent;
    } else if (["Enter", " "].includes(event.key) && this.hover) this.choose(this.hover.config);
    else return;
    event.preventDefault();
  }
}

/** Configurations that no other beats in both metrics: the report's own front where it is of these. */
function frontOf(state, points, x, y) {
  const category = REPORT.categories[state.category];
  if (x.name === REPORT.words && y.name === REPORT.keep && category in REPORT.front) return new Set(REPORT.front[category]);
  if (!x.better || !y.better) return new Set();
  const order = [...points].sort((a, b) => (b.x - a.x) * x.better || (b.y - a.y) * y.better);
  const front = new Set();
  let best = -Infinity;
  for (const point of order) {
    if (point.y * y.better > best) {
      best = point.y * y.better;
      front.add(point.config);
    }
  }
  return front;
}

function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

/** The marks differ in shape as well as in colour: square, diamond, triangle. */
function symbol(pen, mark, x, y) {
  const corners = { literature: [[-5, -5], [5, -5], [5, 5], [-5, 5]], proposed: [[0, -7], [7, 0], [0, 7], [-7, 0]] }[mark] ?? [[0, -7], [6.5, 5], [-6.5, 5]];
  pen.beginPath();
  corners.forEach(([dx, dy]) => pen.lineTo(x + dx, y + dy));
  pen.closePath();
  pen.fill();
}
