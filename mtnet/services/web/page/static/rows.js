// The parts that are watched: rows by key, a state and then its changes.

export class Rows {
  constructor(changed) {
    this.changed = changed;
    this.parts = { status: new Map(), events: new Map(), alerts: new Map() };
  }

  clear() {
    for (const part of Object.values(this.parts)) part.clear();
    this.changed();
  }

  take({ verb, what, data }) {
    const { set = {}, removed = [] } = JSON.parse(data);
    const part = this.parts[what];
    if (verb === "STATE") part.clear();
    for (const key of removed) part.delete(key);
    for (const [key, row] of Object.entries(set)) part.set(key, row);
    this.changed(what);
  }

  // Returns [rest of the key, row] pairs of the status below a prefix.
  below(prefix) {
    const found = [];
    for (const [key, row] of this.parts.status) if (key.startsWith(prefix)) found.push([key.slice(prefix.length), row]);
    return found;
  }

  get participants() {
    return this.below("participant/");
  }

  // Returns the names of all channels that anybody knows here.
  get channels() {
    const names = this.participants.map(([, row]) => row.channel);
    names.push(...this.below("service/signals/channels/").map(([name]) => name));
    return [...new Set(names)].filter(Boolean).sort();
  }
}
