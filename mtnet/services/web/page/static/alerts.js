// Alerts with the incidents that go on; an admin can mute them.

import { ask } from "./api.js";
import { Table, element, panel } from "./dom.js";
import { ago } from "./format.js";

const MUTE = 3_600;

export class Alerts {
  constructor(session) {
    this.session = session;
    this.error = element("p", { class: "bad", role: "alert", hidden: true });
    this.table = new Table(
      "Alerts",
      [
        { title: "Alert", text: (row) => row.name, name: true },
        { title: "When", text: (row) => row.when, wide: true },
        { title: "Goes on", text: incidents, grow: true, prose: true, class: (row) => (row.incidents.length ? "warning" : "") },
        { title: "", text: (row) => `${row.muted}${session.admin}`, node: (row) => this.button(row) },
      ],
      "No alerts are set, so nobody is told when this page is closed. The section `[alerts.NAME]` of the configuration sets them.",
    );
    this.shows = ["alerts", "clock"];
    this.node = panel("alerts", "Alerts", this.table.node, this.error);
  }

  show(rows) {
    this.table.show([...rows.parts.alerts]);
  }

  button(row) {
    if (!this.session.admin) return row.muted ? "muted" : "";
    const seconds = row.muted ? 0 : MUTE;
    return element("button", { type: "button", click: () => this.mute(row.name, seconds) }, row.muted ? "Unmute" : "Mute for 1 h");
  }

  async mute(name, seconds) {
    this.error.hidden = true;
    try {
      await ask("POST", `/v1/alerts/${encodeURIComponent(name)}/mute`, { seconds });
    } catch (error) {
      this.error.textContent = error.message;
      this.error.hidden = false;
    }
  }
}

function incidents(row) {
  const said = row.incidents.map((each) => `${each.text} (for ${ago(each.since)})`);
  return said.join(" ") || "no";
}
