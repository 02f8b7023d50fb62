// The one WebSocket of the page. It comes back by itself, and asks for nothing while nobody looks.

const FIRST = 1_000;
const LONGEST = 30_000;
// After these errors it makes no sense to come back before somebody has logged in.
const LOGIN = new Set(["login", "banned", "sessions", "expired"]);
// Milliseconds without a message after which the server is asked for a sign of life, and after which
// it counts as gone: as long as a follower believes what it sees.
const QUIET = 5_000;
const SILENCE = 12_000;
// Milliseconds between two looks at that.
const LOOK = 1_000;

export class Connection {
  // `changed(state, text)`: "asking", "open" (what is shown is so now), "waiting" (for the server),
  // "login" or "asleep".
  // `heard(message)`: each message.
  constructor(changed, heard) {
    this.changed = changed;
    this.heard = heard;
    this.wishes = new Map();
    this.delay = FIRST;
    this.socket = null;
    this.open = false;
    this.refused = "";
    this.last = 0;
    this.pinged = false;
    document.addEventListener("visibilitychange", () => this.seen());
    setInterval(() => document.hidden || this.look(), LOOK);
  }

  start() {
    this.refused = "";
    if (document.hidden || this.socket !== null) return;
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = (this.socket = new WebSocket(`${scheme}://${location.host}/ws`, "mtnet.v2"));
    socket.onopen = () => this.say({ verb: "HELLO", v: "2", client: "mtnet page" });
    socket.onmessage = (event) => this.take(JSON.parse(event.data));
    socket.onclose = () => this.closed(socket);
    this.alive();
  }

  // Comes back as whom the cookie says now.
  restart() {
    this.delay = FIRST;
    this.leave();
    this.start();
  }

  leave() {
    const former = this.socket;
    if (former === null) return;
    former.onopen = former.onmessage = former.onclose = null;
    former.close();
    this.open = false;
    this.socket = null;
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  // Asks for something whenever somebody looks; `off` ends it.
  want(key, on, off) {
    this.wishes.set(key, { on, off });
    if (this.open && !document.hidden) this.say(on);
  }

  drop(key) {
    const wish = this.wishes.get(key);
    this.wishes.delete(key);
    if (wish !== undefined && this.open && !document.hidden) this.say(wish.off);
  }

  seen() {
    if (document.hidden) {
      if (this.open) for (const { off } of this.wishes.values()) this.say(off);
      this.changed("asleep", "Nobody looks");
    } else if (this.open) {
      this.changed("asking", "Asking what is new …");
      this.alive();
      for (const { on } of this.wishes.values()) this.say(on);
    } else if (!this.refused) this.start();
  }

  take(message) {
    this.alive();
    if (message.verb === "WELCOME") {
      this.open = true;
      this.delay = FIRST;
      this.changed("asking", "Asking how it is …");
      this.heard(message);
      if (!document.hidden) for (const { on } of this.wishes.values()) this.say(on);
      return;
    }
    // What stood here before is replaced, or may not be seen.
    if (message.verb === "STATE" || message.code === "denied") this.changed("open", "Live");
    if (message.verb === "ERROR" && LOGIN.has(message.code)) this.refused = message.text;
    this.heard(message);
  }

  alive() {
    this.last = Date.now();
    this.pinged = false;
  }

  // A server that hangs, a network that is cut, or this machine asleep closes nothing: silence tells it.
  look() {
    if (this.socket === null) return;
    const silent = Date.now() - this.last;
    if (silent > SILENCE) {
      this.leave();
      this.retry(`The server has said nothing for ${Math.round(silent / 1000)} s`);
    } else if (this.open && silent > QUIET && !this.pinged) {
      this.pinged = true;
      this.say({ verb: "PING" });
    }
  }

  closed(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.open = false;
    if (this.refused) return this.changed("login", this.refused);
    this.retry("No connection to the server");
  }

  retry(why) {
    const wait = this.delay * (0.5 + Math.random() / 2);
    this.delay = Math.min(LONGEST, this.delay * 2);
    this.changed("waiting", why);
    this.timer = setTimeout(() => this.start(), wait);
  }
}
