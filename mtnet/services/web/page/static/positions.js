// Channels, and what each of them holds.

import { Table, element, panel } from "./dom.js";
import { ago, count, signed } from "./format.js";
import { Record } from "./record.js";

const PAUSES = new Set(["channel_paused", "channel_frozen", "channel_flattened"]);

export class Channels {
  constructor(signals, pause) {
    this.signals = signals;
    this.table = new Table(
      "Channels",
      [
        { title: "Channel", text: (row) => row.name, class: () => "name" },
        { title: "Provider", text: (row) => `${row.provider} ${row.presence}`, node: provider, class: (row) => (row.up ? "name" : "name bad") },
        { title: "Followers", text: (row) => count(row.followers), number: true, wide: true },
        { title: "Positions", text: (row) => count(row.positions), number: true },
        { title: "Signals", text: (row) => count(row.seq), number: true, wide: true },
        { title: "", text: (row) => row.paused, class: () => "warning some" },
        { title: "", text: (row) => `${row.name} ${pause.session.mayPause}`, node: (row) => acts(this.record, pause, row.name) },
      ],
      "There are no channels yet. The first signal makes one.",
      true,
    );
    this.record = new Record();
    this.shows = ["status", "signals", "events", "clock"];
    this.node = panel("channels", "Channels", this.table.node, this.record.node);
  }

  show(rows) {
    this.table.show(rows.channels.map((name) => [name, describe(name, rows, this.signals.channels.get(name))]));
  }
}

function describe(name, rows, observed) {
  const people = rows.crew(name);
  const providers = people.filter((row) => row.role === "provider");
  const status = rows.parts.status.get(`service/signals/channels/${name}`);
  const view = rows.parts.status.get(`service/signals/views/${name}`);
  const codes = people.flatMap((row) => row.warnings.map((each) => each.code));
  return {
    name,
    provider: view ? `view of ${view.sources.join(", ")}` : providers.map((row) => row.who).join(", ") || "nobody yet",
    up: providers.every((row) => row.connected),
    presence: providers.length ? presence(providers) : "",
    followers: people.filter((row) => row.role === "follower").length,
    positions: observed?.epoch ? observed.positions.size : null,
    seq: observed?.epoch ? observed.seq : status?.seq,
    paused: paused(name, codes, rows.parts.events),
  };
}

// Returns how a channel is paused, and by whom, as far as the events go back.
function paused(name, codes, events) {
  const mode = codes.includes("frozen") ? "frozen" : codes.includes("paused") ? "closes only" : "";
  if (!mode) return "";
  const own = [...events.values()].filter((each) => each.channel === name && PAUSES.has(each.kind));
  const who = own.sort((a, b) => a.number - b.number).at(-1)?.who;
  return who ? `${mode}, by ${who}` : mode;
}

function provider(row) {
  const kind = row.up ? "buy" : "bad";
  return element("span", {}, `${row.provider} `, row.presence && element("span", { class: kind }, row.presence));
}

function acts(record, pause, name) {
  return element("div", { class: "acts" }, record.button(name), pause.button(name));
}

function presence(providers) {
  const gone = providers.find((row) => !row.connected);
  return gone === undefined ? "connected" : `offline for ${ago(gone.since)}`;
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
        { title: "Channel", text: (row) => row.channel, class: () => "name" },
        { title: "Symbol", text: thing },
        { title: "Lots", text: (row) => signed(row.volume), number: true, class: (row) => (row.volume.startsWith("-") ? "sell" : "buy") },
        { title: "Price", text: (row) => row.price ?? "", number: true },
        { title: "SL", text: (row) => row.sl ?? "", number: true },
        { title: "TP", text: (row) => row.tp ?? "", number: true },
        { title: "Open for", text: (row) => ago(row.opened ?? row.time), number: true },
        { title: "Comment", text: (row) => row.comment ?? "", class: () => "name", wide: true },
      ],
      "No channel holds a position.",
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
