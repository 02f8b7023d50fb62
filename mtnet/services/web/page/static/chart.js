// Candles of a symbol, with the signals of a channel marked.

import { ask } from "./api.js";
import { Table, element, panel, prose } from "./dom.js";
import { Fills } from "./fills.js";
import { ago, duration, now, signed, utc } from "./format.js";

const PERIODS = ["M1", "M5", "M15", "M30", "H1", "H4", "D1"];
const COUNT = 500;
const LISTED = 12;
// The broker's clock is ahead of UTC by quarters of an hour; what is left over is delay.
const QUARTER = 900_000;
const HEIGHT = 340;
// Bars that are looked at before a longer period is chosen, and ticks that half of them have at
// least: a bar of fewer is a dash.
const JUDGED = 30;
const TICKS = 6;
// Bars that fit into the chart at first, at least and at most: a few must not fill all of it.
const SHOWN = [60, 120];
// Bars between two texts at marks, which are not read where they lie upon each other.
const ROOM = 12;
// Milliseconds in which a fill belongs to the bar of its signal.
const SOON = 60_000;
// Milliseconds before the names of symbols are asked for a second time.
const PAUSE = 1_000;
// Milliseconds for which a clock keeps its distance from UTC before that is told: one that runs
// faster than time is that of a simulation.
const STEADY = 5_000;
// Milliseconds that no time zone is away from UTC: such a clock is wrong, or replays the past.
const FARTHEST = 15 * 3_600_000;

export class Chart {
  constructor(connection, signals, session) {
    this.connection = connection;
    this.signals = signals;
    this.session = session;
    this.fills = new Fills(() => signals.changed("bars"));
    this.bars = new Map();
    this.dirty = new Set();
    this.offset = undefined;
    this.price = this.asked = "";
    this.drawn = 0;
    this.marked = "";
    this.known = "";
    this.found = [];
    this.shows = ["status", "signals", "bars", "clock"];
    this.symbols = [];
    // What somebody has chosen, or what suits, stays so.
    this.chosen = this.settled = this.may = false;
    this.due = this.count = 0;
    this.symbol = choice("Symbol", () => {
      this.chosen = true;
      this.ask();
    });
    this.period = choice("Period", () => {
      this.settled = true;
      this.ask();
    });
    this.channel = choice("Signals of", () => this.mark());
    fill(this.period, PERIODS);
    this.quote = element("output", { class: "quote", "aria-label": "Bid and ask" });
    this.box = element("div", { class: "chart", role: "img", "aria-label": "Candles; the table below has the newest" });
    this.table = new Table(
      "Newest bars",
      [
        { title: "Time", text: (bar) => new Date(bar.time).toISOString().slice(5, 16).replace("T", " ") },
        ...["open", "high", "low", "close", "ticks"].map((name) => ({ title: name[0].toUpperCase() + name.slice(1), text: (bar) => String(bar[name]), number: true })),
      ],
      "There is no bar yet.",
    );
    this.list = element("details", { open: !library() }, element("summary", {}, "As a table"), this.table.node);
    this.list.addEventListener("toggle", () => this.signals.changed("bars"));
    const tools = element("p", { class: "tools" }, label(this.symbol), label(this.period), label(this.channel), this.quote);
    this.empty = element("p", { class: "hint" }, ...prose("There are no ticks yet: terminals send them to the port of ticks, and so does `mtnet ticks send`."));
    this.since = element("output", { class: "hint", "aria-label": "Since the last signal" });
    this.zone = element("output", { "aria-label": "Clock of the candles" });
    this.key = element("span", {}, mark("provider", "the price of the provider"), mark("follower", "fills of its followers"));
    const under = element("p", { class: "key" }, this.zone, this.key);
    this.content = element("div", { hidden: true }, tools, this.since, this.box, under, this.list, this.fills.node);
    this.node = panel("chart", "Candles", this.empty, this.content);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    if (library()) this.draw();
  }

  draw() {
    this.chart = library().createChart(this.box, { height: HEIGHT, autoSize: false, layout: { attributionLogo: false } });
    this.series = this.chart.addSeries(library().CandlestickSeries);
    this.markers = library().createSeriesMarkers(this.series, []);
    new ResizeObserver(() => this.chart.resize(this.box.clientWidth, HEIGHT)).observe(this.box);
    this.paint();
  }

  paint() {
    if (!this.chart) return;
    const colour = palette();
    const [up, down] = [colour("up"), colour("down")];
    this.chart.applyOptions({
      layout: { background: { color: colour("panel") }, textColor: colour("quiet"), fontFamily: "system-ui, sans-serif" },
      grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
      timeScale: { timeVisible: true, borderColor: colour("line") },
      rightPriceScale: { borderColor: colour("line") },
    });
    this.series.applyOptions({ upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down });
    this.marked = "";
  }

  // Learns which symbols there are; `may` = the login sees ticks.
  async load(may) {
    this.may = may;
    this.symbols = may ? (await ask("GET", "/v1/ticks")).symbols : [];
    const before = this.symbol.value;
    fill(this.symbol, this.symbols);
    this.empty.hidden = this.symbols.length > 0;
    this.content.hidden = !this.empty.hidden;
    if (this.symbols.length > 0 && (before !== this.symbol.value || !this.connection.wishes.has("bars"))) this.ask();
  }

  // Learns them anew when there are more; ever more seldom, since a login may not see all.
  refresh(rows) {
    const count = rows.parts.status.get("service/ticks")?.symbols ?? 0;
    if (count !== this.count) this.pause = PAUSE;
    this.count = count;
    if (!this.may || count <= this.symbols.length || Date.now() < this.due) return;
    this.due = Date.now() + this.pause;
    this.pause *= 2;
    void this.load(true);
  }

  ask() {
    const [symbol, period] = [this.symbol.value, this.period.value];
    this.connection.drop("bars");
    this.forget();
    // Candles of another symbol must not stand below the name of this one, which may have none.
    if (symbol !== this.asked) this.series?.setData([]);
    this.asked = symbol;
    this.connection.want("bars", { verb: "BARS", symbol, period, count: COUNT }, { verb: "BARS", symbol, period, count: 0 });
    this.connection.want("ticks", { verb: "TICKS", symbols: [symbol] }, { verb: "TICKS", symbols: [] });
    this.price = "";
    this.signals.changed("bars");
  }

  forget() {
    this.bars.clear();
    this.dirty.clear();
    this.drawn = 0;
    this.marked = "";
  }

  mark() {
    this.marked = "";
    this.signals.chart(this.channel.value);
    this.signals.changed("signals");
  }

  heard(message) {
    if (message.verb === "WELCOME") return void this.load(message.services.includes("ticks"));
    if (message.verb === "SIGNAL" && message.live) message.at = message.time + this.ahead;
    if (message.symbol !== this.symbol.value) return undefined;
    return this[message.verb]?.(message);
  }

  BARRED({ count, clock, period }) {
    if (period !== this.period.value || count === 0) return;
    this.forget();
    this.utc = clock === "received";
  }

  BAR(bar) {
    if (bar.period !== this.period.value) return;
    this.bars.set(bar.time, bar);
    this.dirty.add(bar.time);
    this.signals.changed("bars");
  }

  TICK({ bid, ask, last, time, received }) {
    if (time !== undefined && !this.utc) this.set_offset(time - received);
    this.price = bid === undefined ? (last ?? "") : `${bid} / ${ask ?? "–"}`;
    this.signals.changed("bars");
  }

  set_offset(exact) {
    const offset = Math.round(exact / QUARTER) * QUARTER;
    this.exact = exact;
    if (offset === this.offset) return;
    // The first distance that is told is as good as one that stays.
    this.since_offset = this.offset === undefined ? -Infinity : now();
    this.offset = offset;
  }

  get steady() {
    return this.offset !== undefined && now() - this.since_offset >= STEADY;
  }

  // What the clock of the bars is ahead of UTC now, in milliseconds.
  get ahead() {
    if (this.utc || this.offset === undefined) return 0;
    return this.steady ? this.offset : this.exact;
  }

  show(rows) {
    const names = rows.channels;
    if (String(names) !== String([...this.channel.options].map((each) => each.value))) {
      const first = this.channel.options.length === 0;
      fill(this.channel, names);
      if (first) this.channel.value = names.reduce((most, each) => (rows.crew(each).length > rows.crew(most).length ? each : most), names[0]);
      this.signals.chart(this.channel.value);
    }
    this.refresh(rows);
    this.choose();
    this.fills.show(this.channel.value, rows, this.session.maySeeFollowers);
    if (this.quote.textContent !== this.price) this.quote.textContent = this.price;
    const clock = `Times: ${this.clock}`;
    if (this.zone.textContent !== clock) this.zone.textContent = clock;
    const times = [...this.bars.keys()].sort((a, b) => a - b);
    if (this.list.open) this.table.show(times.slice(-LISTED).reverse().map((time) => [time, this.bars.get(time)]));
    if (this.chart && times.length > 0) {
      this.update(times);
      this.update_markers(times);
    }
    this.tell_since(times);
    this.settle(); // The candles stay until those of the other period have come.
  }

  // Shows a longer period where bars have few ticks, for as long as nobody has chosen one.
  settle() {
    if (this.settled || this.bars.size < JUDGED) return;
    const ticks = [...this.bars.values()].map((bar) => bar.ticks).sort((a, b) => a - b);
    const next = PERIODS[PERIODS.indexOf(this.period.value) + 1];
    this.settled = ticks[ticks.length >> 1] >= TICKS || next === undefined;
    if (this.settled) return;
    this.period.value = next;
    this.ask();
  }

  // Shows what the channel trades, for as long as nobody has chosen a symbol.
  choose() {
    const channel = this.signals.channels.get(this.channel.value);
    const traded = [...(channel?.positions.values() ?? [])].map((each) => each.symbol).find((each) => this.symbols.includes(each));
    if (this.chosen || traded === undefined) return;
    this.chosen = true;
    if (traded === this.symbol.value) return;
    this.symbol.value = traded;
    this.ask();
  }

  // Tells how far the price has gone since the last signal: from its own price, or from its bar.
  tell_since(times) {
    const last = this.own.at(-1);
    const time = last && this.bar_of(times, last);
    let text = "";
    if (time !== undefined) {
      const [{ open }, { close }] = [this.bars.get(time), this.bars.get(times.at(-1))];
      const gone = (Number(close) - Number(last.price ?? open)).toFixed((close.split(".")[1] ?? "").length);
      text = `Price since the last signal (${Number(last.volume) === 0 ? "flat" : signed(last.volume)}, ${ago(last.time)} ago): ${signed(gone)}`;
    }
    if (this.since.textContent !== text) this.since.textContent = text;
  }

  // The signals of the symbol in the channel, the last one last.
  get own() {
    const { entries, version } = this.signals.channels.get(this.channel.value) ?? { entries: new Map() };
    const said = `${this.channel.value} ${this.symbol.value} ${version}`;
    if (said !== this.known) this.found = [...entries.values()].filter((each) => each.symbol === this.symbol.value).sort((a, b) => a.seq - b.seq);
    this.known = said;
    return this.found;
  }

  update(times) {
    const dirty = [...this.dirty].sort((a, b) => a - b);
    this.dirty.clear();
    if (dirty.length === 0) return;
    if (this.drawn === 0 || dirty[0] < this.drawn) {
      const digits = (this.bars.get(times.at(-1)).close.split(".")[1] ?? "").length;
      this.series.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
      this.series.setData(times.map((time) => candle(this.bars.get(time))));
      if (this.drawn === 0) this.chart.timeScale().setVisibleLogicalRange({ from: times.length - clamp(times.length + 2, ...SHOWN), to: times.length + 8 });
    } else for (const time of dirty) this.series.update(candle(this.bars.get(time)));
    this.drawn = times.at(-1);
  }

  update_markers(times) {
    const version = this.signals.channels.get(this.channel.value)?.version;
    const said = `${this.channel.value} ${version} ${times[0]} ${this.steady && this.offset} ${this.fills.version}`;
    if (said === this.marked) return;
    this.marked = said;
    const [marks, prices, colours] = [new Map(), new Prices(), palette()];
    const add = (...mark) => prices.add(...mark);
    for (const each of this.own) {
      const time = this.bar_of(times, each);
      if (time === undefined) continue;
      marks.set(time, [...(marks.get(time) ?? []), each]);
      if (each.price) add(time, Number(each.price), "circle", colours("link"));
    }
    const signals = new Map(this.own.map((each) => [each.seq, each]));
    for (const [seq, when, price] of this.fills.of(this.symbol.value)) {
      const signal = signals.get(seq);
      // What was filled soon stands where its signal does.
      const soon = signal !== undefined && when - signal.time < SOON;
      const time = this.bar_of(times, soon ? signal : { time: when });
      if (time !== undefined) add(time, price, "square", colours("fill"));
    }
    const shown = readable([...marks].map(([time, each]) => marker(each, time, colours)), times);
    const dots = prices.marks();
    this.markers.setMarkers([...shown, ...dots].sort((a, b) => a.time - b.time));
    this.box.dataset.markers = shown.length;
    this.box.dataset.prices = dots.length;
    this.key.hidden = dots.length === 0;
  }

  // The clock of the bars: as the ticks have it, or of their receipt.
  get clock() {
    if (this.utc) return "UTC, of the receipt of ticks";
    if (this.offset === undefined) return "the broker\u2019s clock";
    if (!this.steady) return "the broker\u2019s clock, not in step with real time";
    if (Math.abs(this.offset) < FARTHEST) return `the broker\u2019s clock, ${utc(this.offset)}`;
    return `the broker\u2019s clock, ${duration(Math.abs(this.offset))} ${this.offset < 0 ? "behind" : "ahead of"} UTC`;
  }

  // Returns the bar of a signal: by the clock of the bars as it was when the signal came. One of
  // before has only its time in UTC, which says nothing where that clock runs faster.
  bar_of(times, { at, time }) {
    if (at !== undefined) return floor(times, at);
    if (this.utc || this.steady) return floor(times, time + this.ahead);
    return this.offset === undefined ? floor(times, time) : undefined;
  }
}

// Returns what tells the colour of a name, in light or dark.
function palette() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

// The prices of a bar: of each kind the lowest and the highest, since more hide the candle.
class Prices {
  constructor() {
    this.ends = new Map();
  }

  add(time, price, shape, color) {
    const key = `${time} ${shape}`;
    const { low = price, high = price } = this.ends.get(key) ?? {};
    this.ends.set(key, { time, shape, color, low: Math.min(low, price), high: Math.max(high, price) });
  }

  marks() {
    return [...this.ends.values()].flatMap(({ time, shape, color, low, high }) =>
      [...new Set([low, high])].map((price) => at_price(time, price, shape, color)));
  }
}

// Leaves the text of marks away where there is no room for it; the newest keeps its own.
function readable(marks, times) {
  const places = new Map(times.map((time, index) => [time / 1000, index]));
  let free = Infinity;
  for (const mark of marks.sort((a, b) => b.time - a.time)) {
    const place = places.get(mark.time);
    if (free - place < ROOM) delete mark.text;
    else free = place;
  }
  return marks;
}

function clamp(number, least, most) {
  return Math.min(most, Math.max(least, number));
}

// Returns a mark at a price.
function at_price(time, price, shape, color) {
  return { time: time / 1000, position: "atPriceMiddle", price, shape, color, size: 0.4 };
}

function mark(kind, text) {
  return element("span", { class: kind }, text);
}

function library() {
  return globalThis.LightweightCharts;
}

function choice(name, changed) {
  return element("select", { "data-name": name, change: changed });
}

function label(select) {
  return element("label", {}, `${select.dataset.name} `, select);
}

// Fills a choice; what was chosen stays chosen.
function fill(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map((value) => element("option", { value }, value)));
  if (values.includes(before)) select.value = before;
}

function candle({ time, open, high, low, close }) {
  return { time: time / 1000, open: Number(open), high: Number(high), low: Number(low), close: Number(close) };
}

// Returns the last of the times that is not later; undefined = all are.
function floor(times, time) {
  let found;
  for (const each of times) {
    if (each > time) break;
    found = each;
  }
  return found;
}

// Returns one mark for all signals of a bar: the position that they led to.
function marker(signals, time, colour) {
  const { volume } = signals.at(-1);
  const number = Number(volume);
  const shared = { time: time / 1000, text: number === 0 ? "flat" : signed(volume) };
  if (signals.length > 1) shared.text += ` (${signals.length})`;
  if (number === 0) return { ...shared, position: "aboveBar", shape: "circle", color: colour("quiet") };
  if (number > 0) return { ...shared, position: "belowBar", shape: "arrowUp", color: colour("up") };
  return { ...shared, position: "aboveBar", shape: "arrowDown", color: colour("down") };
}
