// The parts that are watched: rows by key, a state and then its changes.

export class Rows {
  // `changed(what)` is called when a part has changed.
  constructor(changed) {
    this.changed = changed;
    this.parts = { status: new Map(), events: new Map(), alerts: new Map() };
    this.found = new Map();
  }

  clear() {
    for (const [what, part] of Object.entries(this.parts)) {
      part.clear();
      this.forget(what);
    }
  }

  take({ verb, what, data }) {
    const { set = {}, removed = [] } = JSON.parse(data);
    const part = this.parts[what];
    if (verb === "STATE") part.clear();
    for (const key of removed) part.delete(key);
    for (const [key, row] of Object.entries(set)) part.set(key, row);
    this.forget(what);
  }

  forget(what) {
    if (what === "status") this.found.clear();
    this.changed(what);
  }

  // Returns what is made of the status; it is made once for each change.
  once(name, make) {
    if (!this.found.has(name)) this.found.set(name, make());
    return this.found.get(name);
  }

  // Returns [rest of the key, row] pairs of the status below a prefix.
  below(prefix) {
    return this.once(prefix, () => {
      const own = [...this.parts.status].filter(([key]) => key.startsWith(prefix));
      return own.map(([key, row]) => [key.slice(prefix.length), row]);
    });
  }

  get participants() {
    return this.below("participant/");
  }

  // Returns the participants of each channel.
  get crews() {
    return this.once("crews", () => {
      const crews = new Map();
      for (const [, row] of this.participants) {
        if (!crews.has(row.channel)) crews.set(row.channel, []);
        crews.get(row.channel).push(row);
      }
      return crews;
    });
  }

  // Returns the participants of one channel.
  crew(channel) {
    return this.crews.get(channel) ?? [];
  }

  // Returns the names of all channels that anybody knows here.
  get channels() {
    return this.once("channels", () => {
      const names = this.below("service/signals/channels/").map(([name]) => name);
      return [...new Set([...this.crews.keys(), ...names])].filter(Boolean).sort();
    });
  }
}
