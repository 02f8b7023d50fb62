// Followers and providers: how they are, and what to do.

import { Table, element, panel } from "./dom.js";
import { age, count, delay, duration, now } from "./format.js";

const SHOWN = 2;
// Symbols that are held in another size than wanted; more of them make no row clearer.
const SYMBOLS = 3;
// Rows that are shown, the worst first; a thousand that change each second keep a browser busy.
const MOST = 100;
const RANK = { error: 0, offline: 1, warning: 2, ok: 3 };

export class People {
  constructor() {
    this.table = new Table(
      "Followers and providers",
      [
        { title: "Status", text: (row) => row.status, node: (row) => element("span", { class: `badge ${row.status}` }, row.status) },
        { title: "Who", text: (row) => row.who || "nobody", class: () => "name" },
        { title: "Role", text: (row) => row.role, wide: true },
        { title: "Channel", text: (row) => row.channel, class: () => "name" },
        { title: "Behind", text: behind, number: true, class: (row) => (row.behind ? "bad" : "") },
        { title: "Latency", text: latency, number: true },
        { title: "Last ACK", text: (row) => age(row.last_ack), number: true },
        { title: "Held / wanted", text: held, class: (row) => (wrong(row).length ? "some bad" : "some quiet") },
        { title: "Client", text: (row) => row.client ?? "", wide: true, class: () => "name" },
        { title: "Build", text: (row) => String(row.build ?? ""), number: true, wide: true },
        { title: "What to do", text: (row) => advice(row).join(" "), node: advices, grow: true, class: (row) => (row.status === "ok" ? "quiet" : "") },
      ],
      "Nobody takes part yet. A provider publishes to the port of signals; followers connect there too.",
      true,
    );
    this.table.scroll.classList.add("tall");
    this.whole = false;
    this.shows = ["status", "clock"];
    this.more = element("button", { type: "button", hidden: true, click: () => this.toggle() });
    this.node = panel("people", "Followers and providers", this.table.node, this.more);
  }

  toggle() {
    this.whole = !this.whole;
    this.show(this.rows);
  }

  show(rows) {
    const pairs = rows.once("worst first", () => [...rows.participants].sort(([, a], [, b]) => order(a, b)));
    this.rows = rows;
    this.more.hidden = pairs.length <= MOST;
    this.more.textContent = this.whole ? `Show the first ${MOST}` : `Show all ${count(pairs.length)}`;
    this.table.show(this.whole ? pairs : pairs.slice(0, MOST));
  }
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
  if (row.role !== "follower") return "";
  if (!row.behind) return "0";
  return row.behind_since ? `${count(row.behind)} · ${duration(now() - row.behind_since)}` : count(row.behind);
}

// Half of the signals were acknowledged as fast as the first, all but the worst as the second.
function latency(row) {
  if (!row.latency) return "";
  const { p50, p99 } = row.latency;
  return `${delay(p50)} / ${delay(p99)}`;
}

// What could not be done may be right all the same: a position that was never opened is closed.
function wrong(row) {
  return (row.wrong ?? []).filter((each) => Number(each.held ?? NaN) !== Number(each.wanted));
}

function held(row) {
  const found = wrong(row);
  if (row.role !== "follower" || (!row.last_ack && found.length === 0)) return "";
  if (found.length === 0) return row.behind ? "" : "as wanted";
  const shown = found.slice(0, SYMBOLS).map((each) => `${each.symbol} ${each.held ?? "?"} / ${each.wanted}`);
  return [...shown, ...(found.length > SYMBOLS ? [`${found.length - SYMBOLS} more`] : [])].join(", ");
}

// Returns what to do, the most urgent first; of somebody with many troubles the first few.
function advice(row) {
  const texts = row.warnings.map((each) => each.text);
  const more = texts.length - SHOWN;
  return more > 0 ? [...texts.slice(0, SHOWN), `and ${more} more`] : texts;
}

function advices(row) {
  const lines = advice(row).map((text, index) => element("div", { class: index ? "quiet" : null }, text));
  return element("div", {}, ...lines);
}
