// Equity of accounts that REPORT, over the last day: one in money, or several compared in percent.

import { ask } from "./api.js";
import { element } from "./dom.js";
import { zone } from "./format.js";

const HEIGHT = 180;
// Lines that are told apart at a glance.
const MOST = 6;
// Points of one line: a value every five minutes from the server, then one each minute.
const KEPT = 2_000;
const STEP = 60_000;
// Seconds before and behind a point that stands alone.
const ALONE = 300;
const ALL = "All, change in %";

export class Equity {
  // `changed()` is called when the past of a line is known.
  constructor(changed) {
    this.changed = changed;
    this.lines = new Map();
    this.drawn = "";
    this.choice = element("select", { change: () => this.draw() });
    this.said = element("output", { class: "quote", "aria-label": "Equity, and its change in the time shown" });
    this.box = element("div", { class: "line", role: "img", "aria-label": "Equity over the last day; the table has the newest values" });
    const tools = element("p", { class: "tools" }, element("label", {}, "Equity of ", this.choice), this.said);
    const clock = element("p", { class: "hint" }, `Times: this browser\u2019s, ${zone()}`);
    this.node = element("div", { hidden: !globalThis.uPlot }, tools, this.box, clock);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.plot?.setSize({ width: this.box.clientWidth, height: HEIGHT })).observe(this.box);
  }

  // Shows [who, row] pairs of terminals that have told their equity.
  show(pairs) {
    const own = pairs.filter(([, row]) => row.report.equity !== undefined);
    this.node.hidden = own.length === 0 || !globalThis.uPlot;
    for (const [who, row] of own.slice(0, 50)) this.take(who, row);
    for (const who of [...this.lines.keys()]) if (!own.some(([each]) => each === who)) this.lines.delete(who);
    const names = [...(this.lines.size > 1 ? [ALL] : []), ...this.lines.keys()];
    if (String(names) !== String([...this.choice.options].map((each) => each.value))) {
      const before = this.choice.value;
      this.choice.replaceChildren(...names.map((value) => element("option", { value }, value)));
      if (names.includes(before)) this.choice.value = before;
    }
    const said = this.chosen().map((line) => `${line.who} ${line.points.length} ${line.points.at(-1)?.[1]}`).join();
    if (said !== this.drawn && !this.node.hidden) this.draw(said);
  }

  take(who, { time, report }) {
    const known = this.lines.get(who);
    const account = `${report.account} ${report.server}`;
    if (known === undefined || known.account !== account) {
      const line = { who, account, currency: report.currency ?? "", points: [[time, Number(report.equity)]] };
      this.lines.set(who, line);
      return void this.load(line);
    }
    const { points } = known;
    if (points.length > 1 && time - points.at(-2)[0] < STEP) points.pop();
    if (time === points.at(-1)?.[0]) points.pop(); // Reports of one second have one time.
    if (points.length === 0 || time > points.at(-1)[0]) points.push([time, Number(report.equity)]);
    if (points.length > KEPT) points.shift();
  }

  async load(line) {
    try {
      const before = await ask("GET", `/v1/equity?terminal=${encodeURIComponent(line.who)}`);
      const first = line.points[0]?.[0] ?? Infinity;
      line.points.unshift(...before.map(([time, equity]) => [time, Number(equity)]).filter(([time]) => time < first));
      this.changed();
    } catch {
      // The daemon has started since: the line begins now.
    }
  }

  // Returns by how many percent an equity has changed, and since when; undefined = it is not known.
  profit(who) {
    const points = this.lines.get(who)?.points ?? [];
    return points.length > 1 ? { own: change(points), since: points[0][0] } : undefined;
  }

  // Returns the same of somebody and of a provider, over the time that is known of both.
  against(who, provider) {
    const both = [who, provider].map((each) => this.lines.get(each)?.points ?? []);
    if (who === provider || both.some((points) => points.length < 2)) return undefined;
    const since = Math.max(...both.map(([[time]]) => time));
    const [own, theirs] = both.map((points) => change([[since, at(points, since)], points.at(-1)]));
    if (own === undefined || theirs === undefined) return undefined;
    return { own, theirs, more: own - theirs, since, provider };
  }

  chosen() {
    const every = [...this.lines.values()];
    return this.choice.value === ALL ? every.slice(0, MOST) : every.filter((line) => line.who === this.choice.value);
  }

  draw(said = "") {
    this.drawn = said;
    const lines = this.chosen();
    const many = this.choice.value === ALL;
    const value = (line, equity) => (many ? (equity / line.points[0][1] - 1) * 100 : equity);
    const times = [...new Set(lines.flatMap((line) => line.points.map(([time]) => time)))].sort((a, b) => a - b);
    const data = lines.map((line) => {
      const known = new Map(line.points);
      return times.map((time) => (known.has(time) ? value(line, known.get(time)) : undefined));
    });
    this.said.textContent = many || lines.length === 0 ? "" : describe(lines[0]);
    this.plot?.destroy();
    if (times.length === 0) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
    const series = lines.map((line, index) => ({
      label: line.who,
      stroke: colour(`line-${(index % MOST) + 1}`),
      width: 1.5,
      spanGaps: true,
      points: { show: times.length < 3 },
      value: (plot, each) => (each == null ? "" : many ? `${each.toFixed(2)} %` : `${each.toFixed(2)} ${line.currency}`),
    }));
    const options = {
      width: this.box.clientWidth || 300,
      height: HEIGHT,
      legend: { show: many, live: false },
      cursor: { y: false },
      scales: { x: { range: (plot, first, last) => (first < last ? [first, last] : [first - ALONE, first + ALONE]) }, y: { range: (plot, least, most) => around(least, most, many) } },
      series: [{}, ...series],
      axes: [{ ...axis, space: 75, size: 32, values: (plot, ticks, at, space, step) => ticks.map((each) => clock(each, step)) }, { ...axis, size: 70, values: (plot, ticks) => ticks.map((each) => (many ? `${each.toFixed(2)} %` : String(each))) }],
    };
    this.plot = new globalThis.uPlot(options, [times.map((time) => time / 1000), ...data], this.box);
    this.box.dataset.points = String(times.length);
  }
}

// Returns the ends of an axis: money that hardly moves is a line in the middle.
function around(least, most, percent) {
  const room = Math.max((most - least) * 0.1, percent ? 0.05 : Math.abs(most) * 0.0005, 0.01);
  return [least - room, most + room];
}

// Returns the time of day of seconds since the epoch; `step` = seconds between two labels.
function clock(seconds, step) {
  const shown = { hour: "2-digit", minute: "2-digit", hour12: false };
  if (step < 60) shown.second = "2-digit";
  return new Date(seconds * 1000).toLocaleTimeString([], shown);
}

// Returns the equity at a time, on the straight line between two points.
function at(points, time) {
  const next = points.findIndex(([each]) => each >= time);
  const [after, before] = [points[next], points[next - 1] ?? points[next]];
  if (after === undefined) return points.at(-1)[1];
  const part = after[0] === before[0] ? 0 : (time - before[0]) / (after[0] - before[0]);
  return before[1] + part * (after[1] - before[1]);
}

// Returns by how many percent the last point is above the first.
function change(points) {
  const [first, last] = [points[0]?.[1], points.at(-1)?.[1]];
  return first ? (last / first - 1) * 100 : undefined;
}

function describe({ points, currency }) {
  const [first, last] = [points[0][1], points.at(-1)[1]];
  const change = first ? ` (${last >= first ? "+" : "\u2212"}${Math.abs((last / first - 1) * 100).toFixed(2)} %)` : "";
  return `${last.toFixed(2)} ${currency}${change}`;
}
