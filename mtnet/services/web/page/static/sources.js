// Ticks by sender, and accounts that REPORT; both are told to admins alone.

import { Table, panel } from "./dom.js";
import { Equity } from "./equity.js";
import { ago, count } from "./format.js";

export class Senders {
  constructor() {
    this.table = new Table(
      "Senders of ticks",
      [
        { title: "Sender", text: (row) => row.name, name: true },
        { title: "Ticks", text: (row) => count(row.received), number: true },
        { title: "Missing", text: (row) => count(row.missing), number: true, class: bad("missing") },
        { title: "Dropped", text: (row) => count(row.dropped), number: true, class: bad("dropped") },
        { title: "Refused", text: (row) => count(row.refused), number: true, class: bad("refused") },
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

const untold = "Its REPORT does not name it.";

export class Terminals {
  constructor() {
    this.table = new Table(
      "Accounts of terminals",
      [
        { title: "Terminal", text: (row) => row.who, name: true },
        { title: "Equity", text: (row) => money(row.report, "equity"), number: true, none: untold, class: (row) => (Number(row.report.equity) < Number(row.report.balance) ? "sell" : "") },
        { title: "Balance", text: (row) => money(row.report, "balance"), number: true, none: untold },
        { title: "Trading", titled: true, text: (row) => ({ 1: "on", 0: "off" })[Number(row.report.trading)] ?? "", none: untold, class: (row) => (Number(row.report.trading) === 0 ? "bad" : "") },
        { title: "Account", text: (row) => row.report.account ?? "", number: true, wide: true, none: untold },
        { title: "Server", text: (row) => row.report.server ?? "", name: true, wide: true, none: untold },
        { title: "Build", text: (row) => String(row.report.build ?? ""), number: true, wide: true, none: untold },
        { title: "Told", text: (row) => ago(row.time), number: true, hint: "How long ago it sent the last REPORT" },
      ],
      "",
      true,
    );
    this.equity = new Equity();
    this.shows = ["status", "clock"];
    this.node = panel("terminals", "Accounts of terminals", this.equity.node, this.table.node);
  }

  show(rows) {
    const pairs = rows.below("service/signals/terminals/").filter(([, row]) => row.time);
    this.node.hidden = pairs.length === 0;
    this.equity.show(pairs);
    this.table.show(pairs.map(([who, row]) => [who, { ...row, who }]));
  }
}

function money(report, name) {
  return report[name] === undefined ? "" : `${report[name]} ${report.currency ?? ""}`;
}
