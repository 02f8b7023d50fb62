// A person pauses a channel or a view, or closes all of it; its name is typed, since money hangs on it.

import { ask } from "./api.js";
import { element, find } from "./dom.js";

const ACTIONS = {
  pause: "It takes only what reduces positions.",
  freeze: "It takes nothing at all, not even a closing; closings are made when this ends.",
  flatten: "Every position is closed and every order removed, at the followers too. Then it takes only what reduces positions.",
  resume: "It takes everything again. Its provider sends all that it holds.",
};

export class Pause {
  constructor(session) {
    this.session = session;
    this.channel = "";
    this.dialog = find("pause");
    find("pause-action").addEventListener("change", () => this.check());
    find("pause-name").addEventListener("input", () => this.check());
    find("pause-cancel").addEventListener("click", () => this.dialog.close());
    find("pause-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.act();
    });
  }

  // Returns a button that opens the dialog; nothing for those who may not pause.
  // `stopped`: whether the channel is paused, or a limit has closed it.
  button(channel, stopped) {
    if (!this.session.mayPause) return "";
    const [action, title] = stopped ? ["resume", `Resume or close ${channel}`] : ["pause", `Pause or close ${channel}`];
    return element("button", { type: "button", "aria-label": title, click: () => this.open(channel, action, title) }, stopped ? "Resume …" : "Pause …");
  }

  open(channel, action, title) {
    this.channel = channel;
    find("pause-title").textContent = title;
    find("pause-action").value = action;
    find("pause-name").value = "";
    find("pause-error").textContent = "";
    this.check();
    this.dialog.showModal();
  }

  check() {
    find("pause-text").textContent = ACTIONS[find("pause-action").value];
    find("pause-do").disabled = find("pause-name").value !== this.channel;
  }

  async act() {
    const action = find("pause-action").value;
    try {
      await ask("POST", `/v1/channels/${encodeURIComponent(this.channel)}/${action}`, { confirm: this.channel });
    } catch (error) {
      find("pause-error").textContent = error.message;
      return;
    }
    this.dialog.close();
  }
}
