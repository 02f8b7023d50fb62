// How channels are paused, by whom, and since when.

import { ask } from "./api.js";
import { moment } from "./format.js";
import { paused } from "./status.js";

const KINDS = ["channel_paused", "channel_frozen", "channel_flattened"];
const WORDS = { close_only: "paused", frozen: "frozen" };
const CODES = { paused: "close_only", frozen: "frozen" };

// Who has not logged in is known by an address, or by the number of a user of the machine.
const ADDRESS = /^\d+\.\d+\.\d+\.\d+$|:/;
const LOCAL = /^uid:(\d+)$/;

export class Pauses {
  // `changed(what)` is called when more is known.
  constructor(signals, changed) {
    this.signals = signals;
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.older = [];
    this.asked = false;
  }

  heard(message) {
    if (message.verb === "WELCOME") this.clear();
  }

  // Returns the mode, its word, who set it and when (empty = that is not known); null = nobody has
  // paused the channel.
  of(name, rows) {
    const observed = this.signals.channels.get(name);
    const status = rows.parts.status.get(`service/signals/channels/${name}`);
    const code = rows.crew(name).map(paused).find(Boolean);
    const mode = observed?.synced ? observed.paused : (status?.paused ?? CODES[code]);
    if (!mode) return null;
    const { who, time } = this.event(name, rows) ?? {};
    return { mode, word: WORDS[mode] ?? mode, who: who ? `by ${named(who)}` : "by whom is not known", when: time ? moment(time) : "" };
  }

  // Returns the event of the newest pause; the page watches the newest events alone.
  event(name, rows) {
    const own = [...this.older, ...rows.parts.events.values()].filter((each) => each.channel === name && KINDS.includes(each.kind));
    if (own.length === 0 && !this.asked) void this.load();
    return own.reduce((newest, each) => (newest?.number > each.number ? newest : each), undefined);
  }

  async load() {
    this.asked = true;
    try {
      this.older = (await ask("GET", `/v1/events?kinds=${KINDS.join(",")}&limit=1000`)).events;
      this.changed("events");
    } catch {
      // Who may not read them sees the pause alone.
    }
  }
}

// Returns somebody as people say it.
export function named(who) {
  const [, user] = who.match(LOCAL) ?? [];
  if (user !== undefined) return `${user === "0" ? "root" : `user ${user}`} on the server`;
  return ADDRESS.test(who) ? `${who} (no login)` : who;
}
