// Track record of a channel: by month, and its newest trades.

import { ask } from "./api.js";
import { Table, element } from "./dom.js";
import { moment } from "./format.js";

const LISTED = 10;

export class Record {
  constructor() {
    this.channel = "";
    this.heading = element("h3");
    this.error = element("p", { class: "bad", role: "alert" });
    this.note = element("p", { class: "hint" });
    this.months = new Table(
      "Track record by month",
      [
        { title: "Month", text: (row) => row.month },
        { title: "Trades", text: (row) => String(row.trades), number: true },
        { title: "Won", text: (row) => String(row.won), number: true },
        { title: "Lost", text: (row) => String(row.lost), number: true },
        { title: "Points", text: (row) => row.points, number: true, class: (row) => side(row.points) },
        { title: "Deepest fall", text: (row) => row.drawdown, number: true },
      ],
      "No position was closed yet.",
    );
    this.trades = new Table(
      "Newest trades",
      [
        { title: "Closed", text: (row) => moment(row.closed) },
        { title: "Symbol", text: (row) => row.symbol },
        { title: "Side", text: (row) => row.side, class: (row) => row.side },
        { title: "Lots", text: (row) => row.volume, number: true },
        { title: "Opening", text: (row) => row.opening ?? "?", number: true },
        { title: "Closing", text: (row) => row.closing ?? "?", number: true },
        { title: "Points", text: (row) => row.points ?? "?", number: true, class: (row) => side(row.points ?? "") },
      ],
      "",
    );
    this.node = element("div", { id: "record", hidden: true }, this.heading, this.months.node, this.note, this.trades.node, this.error);
  }

  button(channel) {
    return element("button", { type: "button", "aria-label": `Track record of ${channel}`, click: () => this.open(channel) }, "Record");
  }

  async open(channel) {
    const again = channel === this.channel && !this.node.hidden;
    this.node.hidden = again;
    this.channel = channel;
    this.heading.textContent = `Track record of ${channel}`;
    this.error.textContent = this.note.textContent = "";
    this.months.show([]);
    this.trades.show([]);
    if (again) return;
    try {
      const found = await ask("GET", `/v1/channels/${encodeURIComponent(channel)}/record`);
      if (channel === this.channel) this.show(found);
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  show({ months, total, trades, open, complete, first, last, hash }) {
    const all = months.length > 1 ? [["all", { month: "all", ...total }]] : [];
    this.months.show([...months.map((row) => [row.month, row]), ...all]);
    this.trades.show(trades.slice(0, LISTED).map((row) => [row.last, row]));
    const parts = [open === 1 ? "1 position is open, and counts in nothing." : `${open} positions are open, and count in nothing.`];
    if (total.unknown) parts.push(`Trades of which a price is not known: ${total.unknown}.`);
    if (!complete) parts.push(`Entries before ${first} are kept no longer.`);
    parts.push(`Proof: entry ${last} has the hash ${hash.slice(0, 16)}…`);
    this.note.textContent = parts.join(" ");
  }
}

function side(points) {
  if (points.startsWith("-")) return "sell";
  return Number(points) > 0 ? "buy" : "";
}
