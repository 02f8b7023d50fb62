// The channels that the page observes: what each holds, and its last signals.

// Channels that are observed at once, and signals of a channel that are kept for markers.
const MOST = 40;
const KEPT = 1_000;

// Messages that may tell of another pause.
const PAUSES = new Set(["SYNCED", "PAUSED", "RESUMED"]);

class Channel {
  constructor() {
    this.epoch = "";
    this.seq = 0;
    this.positions = new Map();
    this.entries = new Map();
    this.denied = false;
    // Whether all of it was told, and how it is paused since then.
    this.synced = false;
    this.paused = null;
    this.up = false;
    this.version = 0;
  }
}

export class Signals {
  // `changed(what)` is called after every change.
  constructor(connection, changed) {
    this.connection = connection;
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.charted = "";
    this.channels = new Map();
  }

  // Observes the channels of these names.
  follow(names) {
    for (const name of names.slice(0, MOST)) {
      if (this.channels.has(name)) continue;
      this.channels.set(name, new Channel());
      const asked = { verb: "SUBSCRIBE", channel: name, observe: true };
      this.connection.want(`channel ${name}`, asked, { verb: "UNSUBSCRIBE", channel: name });
    }
  }

  // Asks for the last signals of a channel, for the chart.
  chart(name) {
    this.charted = name;
    this.replay(name);
  }

  replay(name) {
    const channel = this.channels.get(name);
    if (!channel?.epoch || channel.seq === 0 || channel.entries.has(channel.seq)) return;
    const after = Math.max(0, channel.seq - KEPT);
    this.connection.say({ verb: "SUBSCRIBE", channel: name, observe: true, epoch: channel.epoch, after });
  }

  heard(message) {
    const channel = this.channels.get(message.channel);
    if (channel === undefined) return;
    const take = this[message.verb];
    if (take === undefined) return;
    take.call(this, channel, message);
    channel.version += 1;
    this.changed("signals");
    if (PAUSES.has(message.verb)) this.changed("pauses");
  }

  SNAPSHOT(channel, { epoch, seq }) {
    if (epoch !== channel.epoch) channel.entries.clear();
    channel.epoch = epoch;
    channel.seq = seq;
    channel.positions.clear();
  }

  POSITION(channel, position) {
    channel.positions.set(key(position), position);
  }

  SIGNAL(channel, signal) {
    channel.entries.set(signal.seq, signal);
    // A replay tells of the past, and the state is known already.
    if (signal.seq <= channel.seq) return;
    channel.seq = signal.seq;
    signal.live = true;
    if (channel.entries.size > 2 * KEPT) for (const seq of [...channel.entries.keys()].slice(0, KEPT)) channel.entries.delete(seq);
    if (signal.ticket === undefined && Number(signal.volume) === 0) {
      for (const [each, position] of channel.positions) if (position.symbol === signal.symbol) channel.positions.delete(each);
    } else if (Number(signal.volume) === 0) channel.positions.delete(key(signal));
    else channel.positions.set(key(signal), signal);
  }

  // A pause is told behind this.
  SYNCED(channel, { channel: name }) {
    channel.synced = true;
    channel.paused = null;
    if (name === this.charted) this.replay(name);
  }

  PAUSED(channel, { mode }) {
    channel.paused = mode;
  }

  RESUMED(channel) {
    channel.paused = null;
  }

  STATUS(channel, { publisher }) {
    channel.up = publisher === "up";
  }

  ERROR(channel) {
    channel.denied = true;
    channel.synced = false;
  }
}

function key({ symbol, ticket }) {
  return `${symbol} ${ticket ?? ""}`;
}
