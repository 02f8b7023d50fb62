// What happened, newest first.

import { Table, panel } from "./dom.js";
import { moment, zone } from "./format.js";

export class Events {
  constructor() {
    this.table = new Table(
      "Events",
      [
        { title: "Time", text: (row) => moment(row.time), hint: `This browser\u2019s: ${zone()}` },
        { title: "Event", text: (row) => row.text, grow: true, prose: true, class: (row) => (row.level === "info" ? "" : row.level) },
      ],
      "Nothing has happened yet.",
    );
    this.table.scroll.classList.add("tall");
    this.shows = ["events", "clock"];
    this.node = panel("events", "Events", this.table.node);
  }

  show(rows) {
    const pairs = [...rows.parts.events].sort(([, a], [, b]) => b.number - a.number);
    this.table.show(pairs);
  }
}
