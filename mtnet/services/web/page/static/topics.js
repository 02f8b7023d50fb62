// Topics: the messages of one, or of all below a name, as they come; and one to send.

import { Table, element, panel } from "./dom.js";
import { moment } from "./format.js";

const KEPT = 50;
// An ERROR names with it what it answers.
const ID = "topic";

export class Topics {
  constructor(connection, changed) {
    this.connection = connection;
    this.changed = changed;
    this.joined = "";
    this.messages = [];
    this.count = 0;
    this.shows = ["topics", "clock"];
    this.topic = element("input", { name: "topic", maxlength: "64", spellcheck: "false", autocomplete: "off", placeholder: "desk/*", required: true });
    this.data = element("input", { name: "data", maxlength: "6000", autocomplete: "off" });
    this.send = element("button", { type: "button", click: () => this.post() }, "Send");
    this.form = element("form", { class: "tools", submit: (event) => this.join(event) },
      element("label", {}, "Topic ", this.topic), element("button", { type: "submit" }, "Join"),
      element("label", {}, "Message ", this.data), this.send);
    this.state = element("p", { class: "hint", role: "status" }, "Join a topic such as desk/eurusd, or all below a name: desk/*.");
    this.table = new Table(
      "Messages of topics",
      [
        { title: "Time", text: (row) => moment(row.time) },
        { title: "Topic", text: (row) => row.topic, name: true },
        { title: "From", text: (row) => row.from ?? "", name: true },
        { title: "Key", text: (row) => row.key ?? "", name: true, wide: true, none: "It is kept under no key." },
        { title: "Message", text: (row) => row.data, grow: true },
      ],
      "",
    );
    this.table.scroll.classList.add("tall");
    this.node = panel("topics", "Topics", this.form, this.state, this.table.node);
    this.node.hidden = true;
  }

  join(event) {
    event.preventDefault();
    this.leave();
    this.joined = this.topic.value;
    this.connection.want("topic", { verb: "JOIN", topic: this.joined, id: ID }, { verb: "LEAVE", topic: this.joined });
  }

  leave() {
    if (this.joined) this.connection.drop("topic");
    this.joined = "";
    this.messages = [];
    this.changed("topics");
  }

  post() {
    if (this.form.reportValidity() && this.connection.open) this.connection.say({ verb: "SEND", topic: this.topic.value, data: this.data.value, id: ID });
  }

  heard(message) {
    this[message.verb]?.(message);
  }

  WELCOME({ services }) {
    this.node.hidden = !services.includes("topics");
    if (this.node.hidden) this.leave();
    // A new session has joined nothing, and is sent the values anew.
    this.messages = [];
  }

  JOINED({ topic, members }) {
    this.state.textContent = `Joined ${topic}: ${members} ${members === 1 ? "member" : "members"}.`;
    this.messages = [];
    this.changed("topics");
  }

  MESSAGE(message) {
    this.count += 1;
    this.messages = [[String(this.count), message], ...this.messages].slice(0, KEPT);
    this.changed("topics");
  }

  ERROR({ id, text }) {
    if (id === ID) this.state.textContent = text;
  }

  SENT({ topic, receivers }) {
    this.data.value = "";
    this.state.textContent = `Sent to ${receivers} ${receivers === 1 ? "member" : "members"} of ${topic}.`;
  }

  show() {
    this.table.show(this.messages);
  }
}
