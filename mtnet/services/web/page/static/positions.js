// Channels, and what each of them holds.

import { Table, element, panel } from "./dom.js";
import { ago, count, moment, signed } from "./format.js";
import { Record } from "./record.js";
import { badge } from "./status.js";

export class Channels {
  constructor(signals, pause, pauses) {
    this.signals = signals;
    this.pauses = pauses;
    this.table = new Table(
      "Channels",
      [
        { title: "Channel", text: (row) => row.name, name: true },
        { title: "State", text: (row) => [row.state.text, ...row.state.lines].join(" "), node: how, class: () => "some", hint: "Whether it takes signals; a pause with who made it, and when" },
        { title: "Provider", text: (row) => `${row.provider} ${row.presence.text}`, node: provider, class: () => "some", more: (row) => row.presence.more },
        { title: "Followers", text: (row) => count(row.followers), number: true, wide: true },
        { title: "Positions", text: (row) => count(row.positions), number: true, none: "This login may not see its positions, or they have not come yet." },
        { title: "Signals", text: (row) => count(row.seq), number: true, wide: true, none: "This login may not see its signals, or they have not come yet." },
        { title: "", text: (row) => `${row.name} ${pause.session.mayPause} ${row.stopped}`, node: (row) => acts(this.record, pause, row) },
      ],
      "There are no channels yet. The first signal makes one.",
      true,
    );
    this.record = new Record();
    this.shows = ["status", "signals", "events", "clock"];
    this.node = panel("channels", "Channels", this.table.node, this.record.node);
  }

  show(rows) {
    this.table.show(rows.channels.map((name) => [name, this.describe(name, rows)]));
  }

  describe(name, rows) {
    const observed = this.signals.channels.get(name);
    const people = rows.crew(name);
    const status = rows.parts.status.get(`service/signals/channels/${name}`);
    const view = rows.parts.status.get(`service/signals/views/${name}`);
    const providers = people.filter((row) => row.role === "provider");
    const seq = observed?.synced ? observed.seq : status?.seq;
    const paused = this.pauses.of(name, rows);
    return {
      name,
      stopped: Boolean(paused || view?.struck),
      state: state(paused, people, observed, status, seq),
      provider: view ? `view of ${view.sources.join(", ")}` : providers.map((row) => row.who).join(", "),
      presence: view ? { text: "", kind: "" } : presence(providers, observed, seq),
      followers: people.filter((row) => row.role === "follower").length,
      positions: observed?.synced ? observed.positions.size : null,
      seq,
    };
  }
}

// What a paused channel takes.
const EFFECT = { close_only: "closes only", frozen: "takes nothing" };
// Codes of warnings about a channel, and the words for them.
const BROKEN = { damaged: "damaged", diverged: "went back" };

// Returns how a channel is, as the kind of a badge with its words.
function state(pause, people, observed, status, seq) {
  const broken = people.flatMap((row) => row.warnings).find((each) => each.code in BROKEN);
  if (broken) return { kind: "error", text: BROKEN[broken.code], lines: [] };
  if (pause) return { kind: "warning", text: pause.word, lines: [`${EFFECT[pause.mode] ?? pause.mode}${pause.when && `, since ${pause.when}`}`, pause.who] };
  if (seq === 0) return { kind: "idle", text: "no signals yet", lines: [] };
  return observed?.synced || status ? { kind: "ok", text: "not paused", lines: [] } : { kind: "unknown", text: "unknown", lines: ["log in as somebody who may follow it"] };
}

function how({ state: { kind, text, lines } }) {
  return element("div", {}, badge(kind, text), ...lines.map((each) => element("div", { class: "quiet" }, each)));
}

// Returns whether the provider of a channel is there, in a word with its colour.
function presence(providers, observed, seq) {
  if (providers.length === 0) {
    if (observed?.up) return { text: "connected", kind: "buy" };
    if (!observed?.synced) return { text: "unknown", kind: "unknown" };
    return seq > 0 ? { text: "nobody is connected", kind: "unknown", more: "A program has published, and has gone without being missed." } : { text: "no provider yet", kind: "unknown" };
  }
  const codes = new Set(providers.flatMap((row) => row.warnings.map((each) => each.code)));
  if (codes.has("no_provider")) return { text: "no provider yet", kind: "unknown" };
  const gone = providers.find((row) => !row.connected);
  if (gone) return { text: `offline for ${ago(gone.since)}`, kind: "bad", more: `Since ${moment(gone.since)}` };
  return codes.has("provider_silent") ? { text: "silent", kind: "bad", more: "It is connected, but nothing is heard of it." } : { text: "connected", kind: "buy" };
}

function provider(row) {
  return element("span", {}, row.provider && `${row.provider} `, row.presence.text && element("span", { class: row.presence.kind }, row.presence.text));
}

function acts(record, pause, { name, stopped }) {
  return element("div", { class: "acts" }, record.button(name), pause.button(name, stopped));
}

function thing({ symbol, ticket, type }) {
  const kind = type === undefined || type === "position" ? "" : type.replaceAll("_", " ");
  return [symbol, ticket && `#${ticket}`, kind].filter(Boolean).join(" ");
}

export class Positions {
  constructor(signals) {
    this.signals = signals;
    this.table = new Table(
      "Positions",
      [
        { title: "Channel", text: (row) => row.channel, name: true },
        { title: "Symbol", text: thing, name: true },
        { title: "Lots", text: (row) => signed(row.volume), number: true, class: (row) => (row.volume.startsWith("-") ? "sell" : "buy") },
        { title: "Price", text: (row) => row.price ?? "", number: true, none: "Its provider has named no price." },
        { title: "SL", text: (row) => row.sl ?? "", number: true, none: "It has no stop loss." },
        { title: "TP", text: (row) => row.tp ?? "", number: true, none: "It has no take profit." },
        { title: "Open for", text: (row) => ago(row.opened ?? row.time), number: true, more: (row) => `Since ${moment(row.opened ?? row.time)}` },
        { title: "Comment", text: (row) => row.comment ?? "", name: true, wide: true, none: "It has no comment." },
      ],
      "No channel holds a position.",
      true,
    );
    this.table.scroll.classList.add("tall");
    this.shows = ["signals", "clock"];
    this.node = panel("positions", "Positions", this.table.node);
  }

  show() {
    const pairs = [];
    for (const [name, channel] of this.signals.channels)
      for (const [key, position] of channel.positions) pairs.push([`${name} ${key}`, position]);
    this.table.show(pairs.sort(([a], [b]) => a.localeCompare(b)));
  }
}
