// Accounts and tokens, for a login with admin; and sessions of browsers, for every login.

import { ask } from "./api.js";
import { Table, element, panel } from "./dom.js";
import { day, moment, now, until } from "./format.js";

// Accounts of which tokens are asked for at once; of the others `mtnet account show` tells them.
const MOST = 50;
// Milliseconds in which a second click confirms.
const CONFIRM = 5_000;
// Milliseconds before its end from which a token needs attention.
const SOON = 7 * 86_400_000;

// Events after which accounts are asked for anew, and the milliseconds between two such requests.
const KINDS = new Set(["account_changed", "login_accepted"]);
const PAUSE = 20_000;

export class Accounts {
  constructor(session) {
    this.session = session;
    this.clear();
    this.error = element("p", { class: "bad", role: "alert" });
    this.table = new Table(
      "Accounts",
      [
        { title: "Account", text: (row) => row.name, name: true },
        { title: "Rights", text: (row) => row.grants.join(", "), grow: true },
        { title: "Tokens", text: (row) => String(row.tokens), number: true },
        { title: "Last login", text: (row) => (row.last ? moment(row.last) : "never"), number: true },
        { title: "State", text: (row) => (row.disabled ? "disabled" : ""), none: "It may log in.", class: () => "warning" },
      ],
      "There are no accounts.",
    );
    this.keys = new Table(
      "Tokens",
      [
        { title: "Account", text: (row) => row.account, name: true },
        { title: "Token", text: (row) => row.label || row.id, name: true },
        { title: "Rights", text: (row) => row.grants?.join(", ") ?? "as its account", grow: true },
        { title: "Expires", text: expiry, number: true, class: (row) => (row.expires && row.expires - now() < SOON ? "warning" : "") },
        { title: "Last used", text: (row) => (row.last ? moment(row.last) : "never"), number: true, wide: true },
        { title: "", text: (row) => row.id, node: (row) => this.revoking(row) },
      ],
      "There are no tokens.",
      true,
    );
    this.logins = new Table(
      "Logins of browsers",
      [
        { title: "Login", text: (row) => row.login, name: true },
        { title: "Since", text: (row) => moment(row.since), number: true },
        { title: "Expires", text: (row) => `${day(row.until)}, ${until(row.until)}`, number: true },
        { title: "From", text: (row) => row.host },
        { title: "Browser", text: (row) => row.agent, name: true, wide: true },
        { title: "", text: (row) => `${row.id} ${row.current}`, node: (row) => this.ending(row) },
      ],
      "",
      true,
    );
    this.people = element("div", {}, this.table.node, element("h3", {}, "Tokens"), this.keys.node);
    this.shows = ["clock", "events"];
    this.newest = 0;
    this.due = 0;
    this.node = panel("accounts", "Accounts", this.people, element("h3", {}, "Logins of browsers"), this.logins.node, this.error);
  }

  clear() {
    this.accounts = [];
    this.tokens = [];
    this.sessions = [];
  }

  async load() {
    const { login, admin } = this.session;
    this.clear();
    if (login !== null) this.sessions = await ask("GET", "/v1/sessions");
    if (!admin) return;
    this.accounts = await ask("GET", "/v1/accounts");
    const owners = this.accounts.filter((each) => each.tokens > 0).slice(0, MOST);
    const found = await Promise.all(owners.map(({ name }) => tokensOf(name)));
    this.tokens = found.flat().sort((a, b) => (a.expires ?? Infinity) - (b.expires ?? Infinity));
  }

  heard(message) {
    if (message.verb === "WELCOME") void this.attempt(() => this.load());
  }

  // Asks again when an account has changed, or somebody has logged in.
  refresh(rows) {
    const newest = [...rows.parts.events.values()].reduce((most, each) => (KINDS.has(each.kind) ? Math.max(most, each.number) : most), 0);
    if (newest <= this.newest || Date.now() < this.due) return;
    const first = this.newest === 0;
    this.newest = newest;
    this.due = Date.now() + PAUSE;
    if (!first) void this.attempt(() => this.load());
  }

  show(rows) {
    this.node.hidden = this.session.login === null;
    if (rows && this.session.admin) this.refresh(rows);
    this.people.hidden = !this.session.admin;
    this.table.show(this.accounts.map((row) => [row.name, row]));
    this.keys.show(this.tokens.map((row) => [`${row.account} ${row.id}`, row]));
    this.logins.show(this.sessions.map((row) => [row.id, row]));
  }

  revoking({ account, id, label }) {
    const path = `/v1/accounts/${encodeURIComponent(account)}/tokens/${id}`;
    return confirmed("Revoke", `Revoke the token ${label || id} of ${account}`, () => this.remove(path));
  }

  ending(row) {
    if (row.current) return "this one";
    return confirmed("End", `End the login of ${row.login} from ${row.host}`, () => this.remove(`/v1/sessions?id=${row.id}`));
  }

  remove(path) {
    return this.attempt(async () => {
      await ask("DELETE", path);
      await this.load();
    });
  }

  async attempt(work) {
    this.error.textContent = "";
    try {
      await work();
    } catch (error) {
      this.error.textContent = error.message;
    }
    this.show();
  }
}

async function tokensOf(account) {
  const found = await ask("GET", `/v1/accounts/${encodeURIComponent(account)}/tokens`);
  return found.map((row) => ({ ...row, account }));
}

function expiry({ expires }) {
  return expires ? `${day(expires)}, ${until(expires)}` : "never";
}

// Returns a button that acts at the second click.
function confirmed(text, label, act) {
  let sure = false;
  const button = element("button", { type: "button", "aria-label": label, click: () => {
    if (sure) return void act();
    sure = true;
    button.textContent = `${text}: sure?`;
    setTimeout(() => {
      sure = false;
      button.textContent = text;
    }, CONFIRM);
  } }, text);
  return button;
}
