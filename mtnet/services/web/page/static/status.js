// The statuses of followers and providers: their order, and how they are shown.

import { element } from "./dom.js";

// The worst first; of those who are in trouble the most urgent warning decides.
export const RANK = { error: 0, offline: 0, warning: 1, unknown: 2, ok: 3 };

// Codes of warnings about a channel, which stand at all who take part in it.
const CHANNEL = new Set(["frozen", "paused", "damaged", "diverged", "no_provider", "limit_struck", "waiting_for_report", "some_providers"]);
const PROVIDER = /^provider_/;

// The pauses of a channel by the codes that stand at all who take part in it.
const PAUSED = new Set(["paused", "frozen"]);

// Codes that say that nobody here knows.
export const UNSURE = new Set(["other_volume", "untold", "unconfirmed"]);

// Returns the warnings of one alone, and those of its channel.
export function sorted(row) {
  const shared = (each) => CHANNEL.has(each.code) || (row.role === "follower" && PROVIDER.test(each.code));
  return [row.warnings.filter((each) => !shared(each)), row.warnings.filter(shared)];
}

// Returns how the channel of somebody is paused; empty = it is not. Who takes part is well all the same.
export function paused({ warnings }) {
  return warnings.find((each) => PAUSED.has(each.code))?.code ?? "";
}

const RESUME = /: `mtnet signals resume \S+` ends it\.$/;

// Returns the sentence of a warning, with a button of the page in place of the command of it.
export function advice(warning, mayPause) {
  return warning.text.replace(RESUME, mayPause ? ". Resume it in Channels." : ", until somebody resumes it.");
}

const MEANING = {
  error: "somebody must act",
  offline: "nobody is there",
  warning: "somebody should look",
  unknown: "nobody here knows whether all is well",
  ok: "all is well",
  idle: "nothing has happened here yet",
};

// Returns a word with its mark and colour: no colour stands alone.
export function badge(status, text = status) {
  return element("span", { class: `badge ${status}`, title: MEANING[status] }, text);
}
