// Followers and providers: how they are, and what to do.

import { NONE, Table, element, panel, prose } from "./dom.js";
import { age, count, delay, duration, moment, now } from "./format.js";
import { PROVIDES, holds, untold } from "./holdings.js";
import { RANK, advice, badge, paused, sorted } from "./status.js";

const SHOWN = 2;
// Rows that are shown, the worst first; a thousand that change each second keep a browser busy.
const MOST = 100;
// Rows that are looked through without a field to find one.
const FEW = 12;
// Milliseconds for which a signal waits before it is late, for one whose speed is not known.
const LATE = 1_000;

export class People {
  constructor(session) {
    // Rows whose further sentences somebody has opened.
    this.opened = new Set();
    const said = (row) => sorted(row).flat().map((each) => advice(each, session.mayPause));
    this.table = new Table(
      "Followers and providers",
      [
        { title: "Status", text: (row) => row.status, node: (row) => badge(row.status) },
        { title: "Who", text: (row) => row.who || "no provider yet", name: true },
        { title: "Role", text: (row) => row.role, wide: true },
        { title: "Channel", text: (row) => [row.channel, paused(row)].filter(Boolean).join(", "), name: true, class: (row) => (paused(row) ? "warning" : ""), more: (row) => (paused(row) ? `${row.channel} is ${paused(row)}: see Channels` : row.channel) },
        { title: "Holds what it should", titled: true, text: (row) => holds(row).text, class: (row) => `some ${holds(row).kind}`, more: (row) => holds(row).more, none: PROVIDES, hint: "By its last acknowledgements; else the lots that it holds, not those that it should hold" },
        { title: "Behind", text: behind, number: true, class: (row) => (row.behind && RANK[row.status] < RANK.unknown ? "bad" : ""), none: untold, hint: "Signals that it has not acknowledged, and for how long" },
        { title: "Late by: usual / worst", text: latency, number: true, none: untold, more: measured, hint: "p50 and p99: from the moment at which a signal was on disk until its acknowledgement. Half of the last 100 signals were as fast as the first, 99 of 100 as the second. A signal that waits for longer now is the worst" },
        { title: "Last ACK", text: (row) => age(row.last_ack), number: true, none: untold, hint: "How long ago it acknowledged a signal" },
        { title: "Program", text: program, wide: true, name: true, more: dialect, none: "Its program has not told its name." },
        { title: "Build", text: (row) => String(row.build ?? ""), number: true, wide: true, none: "It has not told the build of its terminal: it sends no REPORT." },
        { title: "Why, and what to do", text: (row) => said(row).join(" "), node: (row) => this.advices(row, said(row)), grow: true, class: (row) => (row.status === "ok" ? "quiet" : ""), none: "Nothing: all is well." },
      ],
      "",
      true,
      Infinity,
    );
    this.table.scroll.classList.add("tall");
    this.whole = false;
    this.shows = ["status", "clock"];
    this.more = element("button", { type: "button", hidden: true, click: () => this.toggle() });
    this.sought = element("input", { type: "search", "aria-label": "Find a follower or provider", placeholder: "Find", maxlength: "100", spellcheck: "false", input: () => this.show(this.rows) });
    this.none = element("p", { class: "hint", role: "status" });
    this.start = start();
    this.tools = element("p", { class: "tools" }, this.sought, this.more);
    this.node = panel("people", "Followers and providers", this.tools, this.table.node, this.none, this.start);
  }

  // Returns what to do, the most urgent first; of somebody with many troubles the others when asked.
  advices({ role, channel, who }, texts) {
    const lines = texts.map((text, index) => element("div", { class: index ? "quiet" : null }, ...prose(text)));
    const others = lines.splice(SHOWN);
    if (others.length === 0) return element("div", {}, ...lines);
    const key = `${role} ${channel} ${who}`;
    const toggle = ({ target }) => this.opened[target.open ? "add" : "delete"](key);
    return element("div", {}, ...lines, element("details", { open: this.opened.has(key), toggle }, element("summary", {}, `and ${others.length} more`), ...others));
  }

  toggle() {
    this.whole = !this.whole;
    this.show(this.rows);
  }

  show(rows) {
    const pairs = rows.once("worst first", () => [...rows.participants].sort(([, a], [, b]) => order(a, b)));
    this.rows = rows;
    const sought = this.sought.value.trim().toLowerCase();
    const found = sought ? pairs.filter(([, row]) => `${row.who} ${row.channel}`.toLowerCase().includes(sought)) : pairs;
    this.sought.hidden = pairs.length <= FEW && !sought;
    this.more.hidden = found.length <= MOST;
    this.more.textContent = this.whole ? `Show the first ${MOST}` : `Show all ${count(found.length)}`;
    this.tools.hidden = this.sought.hidden && this.more.hidden;
    this.none.textContent = sought && found.length === 0 ? `Nobody here has ${this.sought.value.trim()} in the name.` : "";
    this.start.hidden = pairs.length > 0;
    const shown = this.whole ? found : found.slice(0, MOST);
    this.table.show(shown);
  }
}

// Tells somebody who has just begun what to do next.
function start() {
  const code = (text) => element("code", {}, text);
  const item = (...parts) => element("li", {}, ...parts);
  return element("ol", { class: "start" },
    item("Follow a channel: ", code("mtnet signals follow"), ", or attach the expert MtnetFollower in a terminal (", code("mtnet mql5 export mtnet.zip"), ")."),
    item("Publish a position: ", code("mtnet signals publish GBPUSD 0.25"), ", or attach MtnetProvider."),
    item("Send prices for the candles: ", code("mtnet ticks send FILE"), "."),
    item("Or see all of it with a simulated market: ", code("mtnet demo --stay"), "."));
}

const { compare } = new Intl.Collator();

function order(a, b) {
  const urgent = RANK[a.status] - RANK[b.status] || urgency(a) - urgency(b);
  return urgent || compare(a.channel, b.channel) || compare(b.role, a.role) || compare(a.who, b.who);
}

function urgency(row) {
  return row.warnings[0]?.priority ?? 100;
}

function behind(row) {
  if (row.role !== "follower" || row.dialect === "classic") return "";
  if (!row.behind) return "0";
  return row.behind_since ? `${count(row.behind)} for ${duration(now() - row.behind_since)}` : count(row.behind);
}

// Returns for how long the oldest signal waits now that is not acknowledged, in milliseconds.
function waits(row) {
  return row.behind && row.behind_since && row.dialect !== "classic" ? now() - row.behind_since : 0;
}

// Half of the signals were acknowledged as fast as the first, all but the worst as the second. One
// that is late is in neither before it is acknowledged, so it counts as the worst when it is.
function latency(row) {
  const late = waits(row);
  const { p50, p99 } = row.latency ?? {};
  if (late > (p99 ?? LATE)) return `${row.latency ? delay(p50) : NONE} / ${duration(late)} so far`;
  return row.latency ? `${delay(p50)} / ${delay(p99)}` : "";
}

function measured(row) {
  const { p50, p99 } = row.latency ?? {};
  const known = row.latency
    ? `From the disk to its acknowledgement, its last 100 signals: half took ${delay(p50)} at most, 99 of 100 took ${delay(p99)} at most.`
    : "From the disk to its acknowledgement: none was timed since it came.";
  return latency(row).endsWith("so far") ? `${known} One more waits since ${moment(row.behind_since)}.` : known;
}

function program(row) {
  return row.client || (row.dialect === "classic" ? "classic" : "");
}

function dialect(row) {
  if (row.dialect === undefined) return row.client;
  return row.dialect === "classic" ? "A classic program: it is told net positions and tells nothing (classic dialect)" : `${row.client} (dialect ${row.dialect}: numbers and acknowledgements)`;
}
