// Fills: at which prices the provider and the followers of a channel traded its last signals.

import { ask } from "./api.js";
import { Table, element } from "./dom.js";
import { moment, signed } from "./format.js";

// Milliseconds between two requests: what has come since is shown with the next one.
const PAUSE = 15_000;
const LISTED = 20;

export class Fills {
  // `changed()` is called when fills have come.
  constructor(changed) {
    this.changed = changed;
    this.channel = "";
    this.clear();
    this.table = new Table(
      "Fills",
      [
        { title: "Signal", text: (row) => String(row.seq), number: true },
        { title: "Stored", text: (row) => moment(row.stored) },
        { title: "Symbol", text: (row) => row.symbol },
        { title: "Lots", text: (row) => (Number(row.volume) ? signed(row.volume) : "flat"), number: true },
        { title: "Provider", text: (row) => row.price, number: true, none: "Its provider has named no price." },
        { title: "Followers", text: prices, number: true, none: "No follower has named a price." },
        { title: "Farthest off", text: farthest, name: true, none: "Nobody was off, or no prices can be compared." },
        { title: "Filled", text: (row) => String(row.filled), number: true },
        { title: "Failed", text: (row) => String(row.failed), number: true, class: (row) => (row.failed ? "bad" : "") },
      ],
      "No follower has acknowledged a signal of this channel since the start of the daemon.",
    );
    this.node = element("details", { id: "fills" }, element("summary", {}, "Fills of the followers"), this.table.node);
  }

  clear() {
    this.rows = [];
    this.version = 0;
    this.known = 0;
    this.due = 0;
  }

  // Asks for the fills of a channel when an acknowledgement has come; `may` = the login sees them.
  show(channel, rows, may) {
    if (channel !== this.channel) this.clear();
    this.channel = channel;
    this.node.hidden = !may || !channel;
    if (this.node.hidden || document.hidden) return;
    const newest = rows.crew(channel).reduce((most, row) => Math.max(most, row.last_ack ?? 0), 0);
    if (newest > this.known && Date.now() >= this.due) void this.load(channel, newest);
    if (this.node.open) this.table.show(this.rows.slice(-LISTED).reverse().map((row) => [row.seq, row]));
  }

  async load(channel, newest) {
    this.known = newest;
    this.due = Date.now() + PAUSE;
    try {
      const rows = await ask("GET", `/v1/channels/${encodeURIComponent(channel)}/fills`);
      if (channel !== this.channel) return;
      this.rows = rows;
      this.version += 1;
      this.changed();
    } catch {
      this.rows = []; // The channel may be gone, or the right to follow it.
    }
  }

  // Returns the number of the signal, the time in UTC, and the price, of the lowest and the highest
  // fill of each signal of a symbol.
  of(symbol) {
    const own = this.rows.filter((each) => each.symbol === symbol && each.fills.length > 0);
    return own.flatMap(({ seq, fills }) => {
      const sorted = fills.map((each) => [seq, each.time, Number(each.price)]).sort(([, , a], [, , b]) => a - b);
      const [low, high] = [sorted[0], sorted.at(-1)];
      return low[2] === high[2] ? [low] : [low, high];
    });
  }
}

function prices({ fills }) {
  if (fills.length === 0) return "";
  const sorted = fills.map((each) => each.price).sort((a, b) => Number(a) - Number(b));
  const [low, high] = [sorted[0], sorted.at(-1)];
  return Number(low) === Number(high) ? low : `${low} – ${high}`;
}

// Returns who traded farthest from the price of the provider, and how far.
function farthest({ price, fills }) {
  if (!price || fills.length === 0) return "";
  const off = (fill) => Math.abs(Number(fill.price) - Number(price));
  const worst = fills.reduce((a, b) => (off(b) > off(a) ? b : a));
  const digits = (price.split(".")[1] ?? "").length;
  return off(worst) === 0 ? "" : `${worst.who}: ${off(worst).toFixed(digits)}`;
}
