// One sentence at the top: what is wrong, and what to do about it.

import { element, find, prose } from "./dom.js";
import { count } from "./format.js";
import { holds } from "./holdings.js";
import { RANK, UNSURE, advice, sorted } from "./status.js";

const SHOWN = 6;
// Durations within sentences.
const AGE = /\b\d+ (?:s|min|h|d|days)\b/g;
// People that are named in one sentence.
const NAMED = 3;
// Told by health, or with who did it.
const TOLD = new Set(["paused", "frozen", "damaged", "diverged"]);

// Returns [level, sentence] pairs, the most urgent first.
export function findings(rows, pauses, mayPause) {
  const health = rows.parts.status.get("health");
  const found = (health?.trouble ?? []).map((text) => [RANK.error, 0, "error", plain(text)]);
  const named = new Set();
  for (const [, row] of rows.participants) {
    if (RANK[row.status] >= RANK.unknown) continue;
    named.add(`${row.channel}/${row.who}`);
    const [[first], shared] = sorted(row);
    if (first && !UNSURE.has(first.code)) found.push([RANK[row.status], first.priority, row.status, first.text]);
    for (const each of shared) if (!TOLD.has(each.code)) found.push([RANK.warning, each.priority, "warning", advice(each, mayPause)]);
  }
  for (const name of rows.channels) {
    const pause = pauses.of(name, rows);
    if (pause) found.push([RANK.warning, 0, "warning", paused(name, pause)]);
  }
  for (const [name, row] of rows.parts.alerts) {
    if (row.muted) continue;
    for (const incident of row.incidents) if (!named.has(incident.subject)) found.push([RANK.warning, 0, "warning", `Alert ${name}: ${incident.text}`]);
  }
  // Health counts those that are named here.
  const counted = `signals: ${rows.parts.status.get("service/signals")?.in_trouble}`;
  for (const text of health?.warnings ?? []) if (text !== counted) found.push([RANK.warning, 99, "warning", plain(text)]);
  const unknown = rows.participants.filter(([, row]) => holds(row).kind === "unknown").map(([, row]) => row.who);
  if (unknown.length > 0) found.push([RANK.unknown, 0, "unknown", uncertain(rows, unknown, found.length === 0)]);
  found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  // A sentence about a channel stands at each of its followers.
  const levels = new Map();
  for (const [, , level, text] of found) if (!levels.has(text)) levels.set(text, level);
  return [...levels].map(([text, level]) => [level, text]);
}

// A cause names its component first, which says nothing to who reads a sentence.
function plain(text) {
  return text.replace(/^[a-z]+: /, "");
}

function paused(name, { mode, word, who, when }) {
  const effect = mode === "frozen" ? "nothing is copied, and closings wait too" : "nothing new opens, and closings are made";
  return `Channel ${name} was ${word} ${who}${when && ` at ${when}`}: ${effect}, until somebody resumes it.`;
}

function uncertain(rows, who, alone) {
  const all = people(rows, "follower");
  const more = who.length > NAMED ? ` and ${count(who.length - NAMED)} more` : "";
  const text = `t is unknown whether ${who.length} of ${named(all, "follower")} ${who.length === 1 ? "holds what it should" : "hold what they should"}: ${who.slice(0, NAMED).join(", ")}${more}.`;
  return alone ? `No trouble is known, but i${text}` : `I${text}`;
}

let shown = "";
const head = element("p");
const list = element("ul");
const mark = element("summary");
const rest = element("ul");
const details = element("details", {}, mark, rest);

// Shows the findings; what says the same as before is neither drawn nor read out again.
// `connection`: the state of the connection and its words; `mayPause`: whether somebody looks who may.
export function showSummary(rows, pauses, connection, mayPause) {
  const lines = sentences(rows, pauses, connection, mayPause);
  const said = JSON.stringify(lines);
  if (said === shown) return;
  const older = said.replaceAll(AGE, "") === shown.replaceAll(AGE, "");
  shown = said;
  const [[level, first], ...others] = lines;
  const box = find("summary");
  box.className = level;
  // What has only grown older is not read out again.
  box.setAttribute("aria-live", older ? "off" : "polite");
  if (!head.isConnected) box.replaceChildren(head, list, details);
  head.replaceChildren(...prose(first));
  fill(list, others.slice(0, SHOWN));
  fill(rest, others.slice(SHOWN));
  details.hidden = rest.hidden;
  mark.textContent = `and ${count(others.length - SHOWN)} more`;
}

function fill(shown, lines) {
  shown.hidden = lines.length === 0;
  shown.replaceChildren(...lines.map(([level, text]) => element("li", { class: level }, ...prose(text))));
}

function sentences(rows, pauses, { word, text }, mayPause) {
  if (word === "waiting") return [["error", `${text}. What stands below is old: nobody knows how it is now.`]];
  if (word === "login") return [["unknown", "Log in to see how it is."]];
  if (word !== "open") return [["unknown", text]];
  if (!rows.parts.status.has("health")) return [["unknown", "This login may not see how followers and providers are."]];
  const found = findings(rows, pauses, mayPause);
  return found.length === 0 ? [well(rows)] : found;
}

function people(rows, role) {
  return rows.participants.filter(([, row]) => row.role === role);
}

function named(list, word) {
  return `${count(list.length)} ${word}${list.length === 1 ? "" : "s"}`;
}

// Green is said of followers and providers that are known to be right, of nothing else.
function well(rows) {
  const [providers, followers] = [people(rows, "provider"), people(rows, "follower")];
  if (providers.length + followers.length === 0) return ["idle", "Nobody takes part yet. What to do next stands below."];
  if (followers.length === 0) return ["idle", `No trouble is known, but nobody follows: ${named(providers, "provider")}, no follower.`];
  if (providers.length === 0) return ["idle", `No trouble is known, but nobody publishes: ${named(followers, "follower")}, no provider.`];
  const late = followers.filter(([, row]) => row.behind);
  const pace = late.length === 0 ? "none behind" : `${count(late.length)} just now being told of a signal`;
  return ["ok", `All is well: ${named(providers, "provider")}, ${named(followers, "follower")}, ${pace}, all hold what they should.`];
}
