// Ticks by sender, told to admins alone.

import { Table, panel } from "./dom.js";
import { ago, count } from "./format.js";

export class Senders {
  constructor() {
    this.table = new Table(
      "Senders of ticks",
      [
        { title: "Sender", text: (row) => row.name, name: true },
        { title: "Ticks", text: (row) => count(row.received), number: true },
        { title: "Missing", text: (row) => count(row.missing), number: true, class: bad("missing"), hint: "Gaps: datagrams that were numbered, and never came" },
        { title: "Dropped", text: (row) => count(row.dropped), number: true, class: bad("dropped"), hint: "Ticks that came, and are not on the disk" },
        { title: "Refused", text: (row) => count(row.refused), number: true, class: bad("refused"), hint: "Records that are none" },
        { title: "Restarts", text: (row) => count(row.restarts), number: true, wide: true },
        { title: "Last", text: (row) => ago(row.last), number: true },
      ],
      "Nobody has sent a tick yet.",
    );
    this.table.scroll.classList.add("tall");
    this.shows = ["status", "clock"];
    this.node = panel("senders", "Ticks", this.table.node);
  }

  show(rows) {
    this.node.hidden = !rows.parts.status.has("service/ticks/senders") && rows.below("service/ticks/senders/").length === 0;
    const pairs = rows.below("service/ticks/senders/");
    this.table.show(pairs.map(([name, row]) => [name, { ...row, name }]).sort(([a], [b]) => a.localeCompare(b)));
  }
}

function bad(name) {
  return (row) => (row[name] ? "warning" : "");
}
