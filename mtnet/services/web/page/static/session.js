// As whom the page has logged in, by a cookie that scripts cannot read.

import { ask } from "./api.js";
import { find } from "./dom.js";

export class Session {
  // `changed()` is called after a login, and after a logout.
  constructor(changed) {
    this.changed = changed;
    this.login = null;
    this.rights = [];
    const dialog = find("login");
    find("login-open").addEventListener("click", () => this.open(""));
    find("login-cancel").addEventListener("click", () => dialog.close());
    find("logout").addEventListener("click", () => this.end());
    find("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin();
    });
  }

  // Whether somebody with every right has logged in: the machine alone is not enough.
  get admin() {
    return this.login !== null && this.rights.includes("admin");
  }

  // Whether channels can be paused from here: by an admin, and from this machine without a login.
  get mayPause() {
    return this.rights.includes("admin");
  }

  // Whether followers, and what became of signals there, may be seen.
  get maySeeFollowers() {
    return this.rights.some((each) => each === "admin" || each === "read" || each.startsWith("read:status"));
  }

  // Learns from the server whom the cookie belongs to.
  async load() {
    const { login, rights } = await ask("GET", "/v1/login");
    this.login = login ?? null;
    this.rights = rights;
    find("whom").textContent = login ?? "";
    find("login-open").hidden = this.login !== null;
    find("logout").hidden = this.login === null;
  }

  open(why) {
    const dialog = find("login");
    find("login-why").textContent = why;
    find("login-error").textContent = "";
    if (!dialog.open) dialog.showModal();
  }

  async begin() {
    const [name, password] = [find("login-name"), find("login-password")];
    try {
      await ask("POST", "/v1/login", { login: name.value, password: password.value });
    } catch (error) {
      find("login-error").textContent = error.message;
      return;
    }
    password.value = "";
    find("login").close();
    await this.load();
    this.changed();
  }

  async end() {
    await ask("POST", "/v1/logout");
    await this.load();
    this.changed();
  }
}
