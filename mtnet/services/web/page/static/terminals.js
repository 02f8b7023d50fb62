// Accounts that REPORT, told to admins alone: their money, and what copying costs them.

import { Table, panel } from "./dom.js";
import { Equity } from "./equity.js";
import { ago, moment, zone } from "./format.js";
import { Slippage } from "./slippage.js";

const untold = "Its REPORT does not name it.";
const ALONE = "Its provider has not told its equity, or it follows none.";

export class Terminals {
  // `changed(what)` is called when more is known.
  constructor(changed) {
    this.slippage = new Slippage(() => changed("slippage"));
    this.equity = new Equity(() => changed("slippage"));
    this.table = new Table(
      "Accounts of terminals",
      [
        { title: "Terminal", text: (row) => row.who, name: true },
        { title: "Broker", text: (row) => row.report.server ?? "", name: true, titled: true, none: untold },
        { title: "Type", text: (row) => row.report.mode ?? "", titled: true, none: untold, hint: "How the account holds positions" },
        { title: "Algo Trading", titled: true, text: (row) => ({ 1: "allowed", 0: "off" })[Number(row.report.trading)] ?? "", none: untold, hint: "Whether its terminal lets programs trade: the button Algo Trading there. Pauses of a channel are shown in Channels", class: (row) => (Number(row.report.trading) === 0 ? "bad" : "") },
        { title: "Balance", text: (row) => money(row.report, "balance"), number: true, none: untold },
        { title: "Equity", text: (row) => money(row.report, "equity"), number: true, none: untold, class: (row) => (Number(row.report.equity) < Number(row.report.balance) ? "sell" : "") },
        { title: "Profit", text: (row) => percent(row.profit?.own), number: true, none: "Its equity is known once alone, or 50 others are compared already.", class: (row) => side(row.profit?.own), more: (row) => since(row.profit), hint: "The change of its equity over the line above" },
        { title: "Against provider", text: (row) => percent(row.against?.more), number: true, none: ALONE, class: (row) => side(row.against?.more), more: against, hint: "How much more or less than its provider it has won, in percent of its equity" },
        { title: "Slippage cost", text: slipped, number: true, none: "No price of a fill can be compared with one of its provider yet.", class: (row) => (row.slipped ? side(-(row.slipped.cost ?? row.slipped.points)) : "quiet"), more: (row) => compared(row.slipped), hint: "What prices that were worse than the provider\u2019s have cost it; less than 0: they were better" },
        { title: "Account", text: (row) => row.report.account ?? "", number: true, wide: true, none: untold },
        { title: "Build", text: (row) => String(row.report.build ?? ""), number: true, wide: true, none: untold },
        { title: "Told", text: (row) => ago(row.time), number: true, hint: "How long ago it sent the last REPORT" },
      ],
      "",
      true,
    );
    this.shows = ["status", "clock", "slippage"];
    this.node = panel("terminals", "Accounts of terminals", this.equity.node, this.table.node);
  }

  heard(message) {
    if (message.verb === "WELCOME") this.slippage.clear();
  }

  show(rows) {
    const pairs = rows.below("service/signals/terminals/").filter(([, row]) => row.time);
    this.node.hidden = pairs.length === 0;
    this.equity.show(pairs);
    if (this.node.hidden) this.slippage.clear();
    else this.slippage.refresh(rows);
    this.table.show(pairs.map(([who, row]) => [who, { ...row, who, ...this.outcome(who, rows) }]));
  }

  // Returns what an account has won, more or less than its provider, and what slippage cost it.
  outcome(who, rows) {
    const [provider] = providersOf(who, rows);
    const provides = rows.participants.some(([, row]) => row.role === "provider" && row.who === who);
    return { provides, profit: this.equity.profit(who), against: provider && this.equity.against(who, provider), slipped: this.slippage.of(who) };
  }
}

// Returns the providers of the channels that somebody follows.
function providersOf(who, rows) {
  const channels = rows.participants.filter(([, row]) => row.role === "follower" && row.who === who).map(([, row]) => row.channel);
  const sources = channels.flatMap((name) => rows.parts.status.get(`service/signals/views/${name}`)?.sources ?? [name]);
  return sources.flatMap((name) => rows.crew(name).filter((row) => row.role === "provider").map((row) => row.who));
}

function money(report, name) {
  return report[name] === undefined ? "" : `${report[name]} ${report.currency ?? ""}`;
}

function percent(change) {
  if (change === undefined) return "";
  const digits = Math.abs(change).toFixed(2);
  return Number(digits) === 0 ? "0.00 %" : `${change < 0 ? "\u2212" : "+"}${digits} %`;
}

function side(change) {
  if (!change || Math.abs(change) < 0.005) return "";
  return change < 0 ? "sell" : "buy";
}

function since(profit) {
  return profit && `Since ${moment(profit.since)}. ${zone()}`;
}

function against({ against: found, who }) {
  return found && `Since ${moment(found.since)}: ${who} ${percent(found.own)}, ${found.provider} ${percent(found.theirs)}`;
}

function slipped({ slipped: found, provides }) {
  if (!found) return provides ? "provides" : "";
  return found.cost === null ? `${minus(found.points.toFixed(1))} points a fill` : `${minus(found.cost.toFixed(2))} ${found.currency}`;
}

function minus(text) {
  return text.replace("-", "\u2212");
}

function compared(found) {
  if (!found) return "";
  const value = found.cost === null ? " What a point is worth is not known: its terminal has sent no SPEC." : "";
  return `${found.fills} openings and closings since the start of the daemon, on average ${minus(found.points.toFixed(1))} points worse than the provider.${value}`;
}
