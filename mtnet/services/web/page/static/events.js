// What happened, newest first.

import { Table, panel } from "./dom.js";
import { moment, zone } from "./format.js";
import { named } from "./pauses.js";

// Lines of the security log, whose form programs read, as sentences.
const SENTENCES = {
  login_accepted: (row) => `${row.login} has logged in to ${row.service}${from(row)}.`,
  login_refused: (row) => `A login${as(row)} at ${row.service} was refused (${row.why})${from(row)}.`,
  hello_refused: (row) => `A greeting at ${row.service} was refused (${row.why})${from(row)}.`,
  connection_refused: (row) => `A connection to ${row.service} was refused (${row.why})${from(row)}.`,
  ban_begins: (row) => `${row.network ?? "A network"} is banned ${row.seconds === "ever" ? "for ever" : `for ${row.seconds} s`} (${row.why})${by(row)}.`,
  ban_lifted: (row) => `The ban of ${row.what ?? "somebody"} is lifted${by(row)}.`,
  account_changed: (row) => `The account ${row.login} was changed (${row.change})${by(row)}.`,
};

// A login of which there is no account has no name in the log.
function as({ login }) {
  return login === "-" ? "" : ` as ${login}`;
}

function from({ peer }) {
  return peer ? `, from ${peer}` : "";
}

function by({ who }) {
  return who ? ` by ${named(who)}` : "";
}

function sentence(row) {
  return SENTENCES[row.kind]?.(row) ?? row.text;
}

export class Events {
  constructor() {
    this.table = new Table(
      "Events",
      [
        { title: "Time", text: (row) => moment(row.time), hint: `This browser\u2019s: ${zone()}` },
        { title: "Event", text: sentence, grow: true, prose: true, class: (row) => (row.level === "info" ? "" : row.level) },
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
