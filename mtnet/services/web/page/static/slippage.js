// How much worse than their providers the followers have traded, asked for when it may have changed.

import { ask } from "./api.js";

// Milliseconds between two requests.
const PAUSE = 10_000;

export class Slippage {
  // `changed()` is called when more is known.
  constructor(changed) {
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.found = new Map();
    this.known = this.due = 0;
  }

  // Asks anew when an acknowledgement has come since.
  refresh(rows) {
    if (document.hidden || Date.now() < this.due) return;
    const newest = rows.participants.reduce((most, [, row]) => Math.max(most, row.last_ack ?? 0), 0);
    if (newest > this.known) void this.load(newest);
  }

  async load(newest) {
    this.known = newest;
    this.due = Date.now() + PAUSE;
    try {
      const rows = await ask("GET", "/v1/slippage");
      this.found = Map.groupBy(rows, (each) => each.who);
      this.changed();
    } catch (error) {
      this.known = 0;
      if (error.status === 401 || error.status === 403) this.found = new Map();
    }
  }

  // Returns what a follower has lost, over all of its channels; null = nothing could be compared.
  of(who) {
    const rows = this.found.get(who);
    if (rows === undefined) return null;
    const fills = rows.reduce((sum, each) => sum + each.fills, 0);
    const points = rows.reduce((sum, each) => sum + each.fills * Number(each.points), 0) / fills;
    const known = rows.every((each) => each.cost !== null && each.currency === rows[0].currency);
    const cost = known ? rows.reduce((sum, each) => sum + Number(each.cost), 0) : null;
    return { fills, points, cost, currency: rows[0].currency };
  }
}
