// What a follower holds, and whether it is what it should hold: one answer for its row and for the
// first sentence of the page, so that both count the same.

import { moment } from "./format.js";
import { RANK } from "./status.js";

// Symbols that are held in another size than wanted; more of them make no row clearer.
const SYMBOLS = 3;
export const PROVIDES = "Providers trade by themselves: they follow nothing.";
const SILENT = "It has acknowledged nothing yet.";

// Returns why a cell about acknowledgements is empty.
export function untold(row) {
  if (row.role !== "follower") return PROVIDES;
  return row.dialect === "classic" ? "A classic program acknowledges nothing: nobody here knows it." : SILENT;
}

// What could not be done may be right all the same: a position that was never opened is closed.
function wrong(row) {
  return (row.wrong ?? []).filter((each) => Number(each.held ?? NaN) !== Number(each.wanted));
}

const judged = new WeakMap();

// Returns whether a follower holds what it should, as far as it has told; once for each row.
export function holds(row) {
  if (!judged.has(row)) judged.set(row, judge(row));
  return judged.get(row);
}

function judge(row) {
  if (row.role !== "follower") return { text: "", kind: "" };
  const told = Object.entries(row.held).filter(([, lots]) => Number(lots)).map((each) => each.join(" ")).join(", ") || "nothing";
  const more = row.last_ack ? `It said at ${moment(row.last_ack)} that it holds: ${told}` : untold(row);
  const unknown = (why, text = more) => ({ text: why ? `unknown: ${why}` : "unknown", kind: "unknown", more: text });
  const found = wrong(row);
  const open = row.warnings.find((each) => each.code === "untold");
  if (found.length > 0) {
    const shown = found.slice(0, SYMBOLS).map((each) => `${each.symbol} ${each.held ?? "?"}, not ${each.wanted}`);
    const text = [...shown, ...(found.length > SYMBOLS ? [`${found.length - SYMBOLS} more`] : [])].join("; ");
    return row.status === "unknown" ? unknown(text) : { text: `no: ${text}`, kind: "bad", more };
  }
  if (row.connected && row.dialect !== "classic" && row.sent === 0 && !row.behind) return { text: "nothing yet", kind: "quiet", more: "Its channel has no signal yet." };
  if (!row.last_ack) return unknown("");
  if (!row.connected) return unknown("offline");
  if (open) return unknown("in part", `${more}. ${open.text}`);
  if (!row.behind) return { text: "yes", kind: "good", more };
  if (RANK[row.status] < RANK.unknown) return unknown("behind");
  return { text: "being told", kind: "quiet", more: `It has not acknowledged the last signals yet. ${more}` };
}
