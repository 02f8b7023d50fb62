// Accounts, for a login with admin; and sessions of browsers, for every login.

import { ask } from "./api.js";
import { Table, element, panel } from "./dom.js";
import { day, moment } from "./format.js";

export class Accounts {
  constructor(session) {
    this.session = session;
    this.accounts = [];
    this.sessions = [];
    this.error = element("p", { class: "bad", role: "alert" });
    this.table = new Table(
      "Accounts",
      [
        { title: "Account", text: (row) => row.name, class: () => "name" },
        { title: "Rights", text: (row) => row.grants.join(", "), grow: true },
        { title: "Tokens", text: (row) => String(row.tokens), number: true },
        { title: "Last login", text: (row) => (row.last ? moment(row.last) : "never"), number: true },
        { title: "", text: (row) => (row.disabled ? "disabled" : ""), class: () => "warning" },
      ],
      "There are no accounts.",
    );
    this.logins = new Table(
      "Logins of browsers",
      [
        { title: "Login", text: (row) => row.login, class: () => "name" },
        { title: "Since", text: (row) => moment(row.since), number: true },
        { title: "Until", text: (row) => day(row.until), number: true },
        { title: "From", text: (row) => row.host },
        { title: "Browser", text: (row) => row.agent, class: () => "name", wide: true },
        { title: "", text: (row) => `${row.id} ${row.current}`, node: (row) => this.button(row) },
      ],
      "",
    );
    this.people = element("div", {}, this.table.node);
    this.node = panel("accounts", "Accounts", this.people, element("h3", {}, "Logins of browsers"), this.logins.node, this.error);
  }

  async load() {
    const { login, admin } = this.session;
    this.sessions = login === null ? [] : await ask("GET", "/v1/sessions");
    this.accounts = admin ? await ask("GET", "/v1/accounts") : [];
  }

  heard(message) {
    if (message.verb === "WELCOME") void this.load();
  }

  show() {
    this.node.hidden = this.session.login === null;
    this.people.hidden = !this.session.admin;
    this.table.show(this.accounts.map((row) => [row.name, row]));
    this.logins.show(this.sessions.map((row) => [row.id, row]));
  }

  button(row) {
    if (row.current) return "this one";
    return element("button", { type: "button", click: () => this.end(row.id) }, "End");
  }

  async end(id) {
    this.error.textContent = "";
    try {
      await ask("DELETE", `/v1/sessions?id=${id}`);
      await this.load();
      this.show();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }
}
