// Views: channels made of others; what each wants and its followers hold, and why.

import { ask } from "./api.js";
import { Table, element, panel, prose } from "./dom.js";

// Settings that have a column of their own.
const SHOWN = new Set(["mode", "struck", "sources", "follower"]);

export class Views {
  constructor(signals) {
    this.signals = signals;
    this.table = new Table(
      "Views",
      [
        { title: "View", text: (row) => row.name, name: true },
        { title: "Of", text: (row) => row.sources.join(", "), name: true },
        { title: "Mode", text: (row) => row.mode.replaceAll("_", " "), class: (row) => (row.mode === "on" ? "" : "warning") },
        { title: "Follower", text: (row) => row.follower ?? "", name: true, wide: true, none: "It is made for no single follower." },
        { title: "Size", text: (row) => `${row.size} ${row.value ?? ""}`, wide: true },
        { title: "Differs", hint: "The lots that its follower holds, not those that it should hold", text: (row) => row.differs.text, number: true, class: (row) => row.differs.kind },
        { title: "Limit reached", text: (row) => row.struck ?? "", grow: true, none: "No limit has closed it.", prose: true, class: () => "error" },
        { title: "", text: (row) => row.name, node: (row) => this.button(row.name) },
      ],
      "",
      true,
    );
    this.details = new ViewDetails(signals);
    this.shows = ["status", "signals"];
    this.node = panel("views", "Views", this.table.node, this.details.node);
  }

  show(rows) {
    const pairs = rows.below("service/signals/views/");
    this.node.hidden = pairs.length === 0;
    this.table.show(pairs.map(([name, row]) => [name, { ...row, name, differs: this.differs(name, rows) }]));
    this.details.show(rows);
  }

  differs(name, rows) {
    const followers = followersOf(name, rows);
    if (followers.length === 0) return { text: "nobody follows", kind: "quiet" };
    const found = followers.flatMap((each) => differences(this.signals.channels.get(name), each));
    const wrong = found.filter((each) => each.wrong);
    const known = followers.every((each) => each.last_ack) && found.every((each) => each.held !== "");
    if (wrong.length === 0) return known ? { text: "no", kind: "" } : { text: "unknown", kind: "unknown" };
    return { text: wrong.map((each) => `${each.symbol} ${each.held}, not ${each.wanted}`).join("; "), kind: "bad" };
  }

  button(name) {
    return element("button", { type: "button", "aria-label": `Details of the view ${name}`, click: () => this.details.open(name) }, "Details");
  }
}

// One view: what it copies of its sources, what its followers hold, and how a volume came about.
class ViewDetails {
  constructor(signals) {
    this.signals = signals;
    this.view = "";
    this.seq = 0;
    this.heading = element("h3");
    this.settings = element("dl", { class: "set" });
    this.error = element("p", { class: "bad", role: "alert" });
    this.copies = new Table(
      "Copies",
      [
        { title: "Source", text: (row) => `${row.source}: ${label(row.symbol, row.ticket)}`, name: true },
        { title: "Holds", text: (row) => row.volume, number: true },
        { title: "Copy", text: (row) => label(row.target, row.target_ticket) },
        { title: "Lots", text: (row) => row.copy, number: true },
        { title: "Not copied, because", text: (row) => row.skipped ?? "", grow: true, prose: true, none: "It is copied.", class: () => "warning" },
        { title: "", text: (row) => row.symbol, node: (row) => this.why(row.symbol) },
      ],
      "Its sources hold nothing.",
    );
    this.held = new Table(
      "Held and wanted",
      [
        { title: "Follower", text: (row) => row.who, name: true },
        { title: "Symbol", text: (row) => row.symbol },
        { title: "Wanted", text: (row) => row.wanted, number: true },
        { title: "Held", text: (row) => row.held, number: true, none: "It has not told how much it holds.", class: (row) => (row.wrong ? "bad" : "") },
        { title: "Outcome", text: (row) => row.text, grow: true, class: (row) => (row.wrong ? "bad" : row.held === "" ? "unknown" : "quiet") },
      ],
      "Nobody follows this view.",
    );
    this.reasons = element("ul", { class: "reasons", "aria-live": "polite" });
    this.node = element("div", { hidden: true }, this.heading, this.settings, this.held.node, this.copies.node, this.reasons, this.error);
  }

  open(view) {
    this.node.hidden = this.view === view && !this.node.hidden;
    this.view = view;
    this.heading.textContent = view;
    this.reasons.replaceChildren();
    this.copies.show([]);
    this.seq = -1;
    this.signals.changed("signals");
  }

  show(rows) {
    if (this.node.hidden) return;
    const channel = this.signals.channels.get(this.view);
    this.settings.replaceChildren(...settings(rows.parts.status.get(`service/signals/views/${this.view}`) ?? {}));
    const pairs = followersOf(this.view, rows).flatMap((each) => differences(channel, each));
    this.held.show(pairs.map((row) => [`${row.who} ${row.symbol}`, row]));
    const seq = channel?.seq ?? 0;
    if (seq !== this.seq) void this.load(this.view, seq);
  }

  async load(view, seq) {
    this.seq = seq;
    await this.attempt(async () => {
      const { rows } = await ask("GET", `/v1/views/${encodeURIComponent(view)}`);
      if (view === this.view) this.copies.show(rows.map((row) => [`${row.source} ${row.symbol} ${row.ticket}`, row]));
    });
  }

  why(symbol) {
    return element("button", { type: "button", "aria-label": `Why ${symbol}?`, click: () => this.explain(symbol) }, "Why?");
  }

  explain(symbol) {
    return this.attempt(async () => {
      const path = `/v1/views/${encodeURIComponent(this.view)}/explain?symbol=${encodeURIComponent(symbol)}`;
      const sentences = await ask("GET", path);
      this.reasons.replaceChildren(...sentences.map((each) => element("li", {}, ...prose(each))));
    });
  }

  async attempt(work) {
    this.error.textContent = "";
    try {
      await work();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }
}

function followersOf(name, rows) {
  return rows.crew(name).filter((row) => row.role === "follower");
}

// Returns a row for each symbol that a view wants or a follower holds; `wrong` = they differ.
function differences(channel, follower) {
  const wanted = new Map();
  for (const { symbol, ticket, type, volume } of channel?.positions.values() ?? [])
    if (type === undefined || type === "position") wanted.set(label(symbol, ticket), { symbol, ticket, volume });
  const wrong = new Map(follower.wrong.map((each) => [label(each.symbol, each.ticket), each]));
  const found = [];
  for (const [name, { symbol, ticket, volume }] of wanted) {
    const told = wrong.get(name);
    const held = told?.held ?? (ticket ? undefined : follower.held[symbol]);
    found.push(row(follower.who, name, volume, held, told?.reason));
  }
  for (const [name, { held, reason }] of wrong) if (!wanted.has(name) && Number(held)) found.push(row(follower.who, name, "0", held, reason));
  for (const [symbol, held] of Object.entries(follower.held)) {
    const known = [...wanted.values(), ...follower.wrong].some((each) => each.symbol === symbol);
    if (!known && Number(held)) found.push(row(follower.who, symbol, "0", held));
  }
  return found;
}

function row(who, symbol, wanted, held, reason) {
  const wrong = held !== undefined && held !== null && Number(held) !== Number(wanted);
  const text = wrong ? (reason ? `differs: ${reason}` : "differs") : held == null ? "unknown" : "as wanted";
  return { who, symbol, wanted, held: held ?? "", wrong, text };
}

function label(symbol, ticket) {
  return ticket ? `${symbol} #${ticket}` : symbol;
}

// Returns terms and their values for the settings that say anything; lists and objects as JSON.
function settings(view) {
  const own = Object.entries(view).filter(([key, value]) => !SHOWN.has(key) && says(value));
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  return own.map(([key, value]) => element("div", {}, element("dt", {}, key), element("dd", {}, text(value))));
}

function says(value) {
  if (value == null || value === false || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
