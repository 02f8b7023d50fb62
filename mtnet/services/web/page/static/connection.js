// The one WebSocket of the page. It comes back by itself, and asks for nothing while nobody looks.

const FIRST = 1_000;
const LONGEST = 30_000;
// After these errors it makes no sense to come back before somebody has logged in.
const LOGIN = new Set(["login", "banned", "sessions", "expired"]);

export class Connection {
  // `changed(state, text)`: "waiting", "open", "login" or "asleep". `heard(message)`: each message.
  constructor(changed, heard) {
    this.changed = changed;
    this.heard = heard;
    this.wishes = new Map();
    this.delay = FIRST;
    this.socket = null;
    this.open = false;
    this.refused = "";
    document.addEventListener("visibilitychange", () => this.seen());
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
  }

  // Comes back as whom the cookie says now.
  restart() {
    this.delay = FIRST;
    const former = this.socket;
    if (former === null) return this.start();
    former.onmessage = former.onclose = null;
    former.close();
    this.open = false;
    this.socket = null;
    this.start();
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
      this.changed("open", "Live");
      for (const { on } of this.wishes.values()) this.say(on);
    } else if (!this.refused) this.start();
  }

  take(message) {
    if (message.verb === "WELCOME") {
      this.open = true;
      this.delay = FIRST;
      this.changed("open", "Live");
      this.heard(message);
      if (!document.hidden) for (const { on } of this.wishes.values()) this.say(on);
      return;
    }
    if (message.verb === "ERROR" && LOGIN.has(message.code)) this.refused = message.text;
    this.heard(message);
  }

  closed(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.open = false;
    if (this.refused) return this.changed("login", this.refused);
    const wait = this.delay * (0.5 + Math.random() / 2);
    this.delay = Math.min(LONGEST, this.delay * 2);
    this.changed("waiting", "No connection: what is shown is old");
    this.timer = setTimeout(() => this.start(), wait);
  }
}
