// One sentence at the top: what is wrong, and what to do about it.

import { element, find } from "./dom.js";

const RANK = { error: 0, offline: 1, warning: 2, ok: 3 };
const SHOWN = 4;

// Returns [level, sentence] pairs, the most urgent first.
export function findings(rows) {
  const health = rows.parts.status.get("health");
  const found = [];
  for (const text of health?.trouble ?? []) found.push([-1, 0, "error", text]);
  for (const [, row] of rows.participants) {
    const first = row.warnings[0];
    if (first !== undefined && row.status !== "ok") found.push([RANK[row.status], first.priority, row.status, first.text]);
  }
  const named = new Set(rows.participants.filter(([, row]) => row.status !== "ok").map(([, row]) => `${row.channel}/${row.who}`));
  for (const [name, row] of rows.parts.alerts) {
    if (row.muted) continue;
    for (const incident of row.incidents) if (!named.has(incident.subject)) found.push([2, 0, "warning", `Alert ${name}: ${incident.text}`]);
  }
  // Health counts those that are in trouble; where they are named above it says nothing new.
  if (found.length === 0) for (const text of health?.warnings ?? []) found.push([2, 99, "warning", text]);
  found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return found.map(([, , level, text]) => [level, text]);
}

let shown = "";

// Shows the findings; what says the same as before is neither drawn nor read out again.
export function showSummary(rows) {
  const lines = sentences(rows);
  const said = JSON.stringify(lines);
  if (said === shown) return;
  shown = said;
  const [first, ...others] = lines;
  const box = find("summary");
  box.className = first?.[0] ?? "";
  const more = others.map(([level, text]) => element("li", { class: level }, text));
  box.replaceChildren(...(first ? [element("p", {}, first[1])] : []), ...(more.length ? [element("ul", {}, ...more)] : []));
}

function sentences(rows) {
  if (!rows.parts.status.has("health")) return [];
  const found = findings(rows);
  if (found.length === 0) return [["ok", well(rows)]];
  const more = found.length - 1 - SHOWN;
  return more > 0 ? [...found.slice(0, SHOWN + 1), ["", `and ${more} more, below`]] : found;
}

function well(rows) {
  const of = (role) => rows.participants.filter(([, row]) => row.role === role).length;
  const named = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const followers = of("follower");
  if (followers === 0) return "All is well. Nobody follows at present.";
  return `All is well: ${named(of("provider"), "provider")}, ${named(followers, "follower")}, none behind.`;
}
