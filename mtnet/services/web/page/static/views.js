// Views: channels made of others, and how; told to admins alone.

import { Table, panel } from "./dom.js";

// Settings that have a column of their own.
const SHOWN = new Set(["mode", "struck", "sources", "follower"]);

export class Views {
  constructor() {
    this.table = new Table(
      "Views",
      [
        { title: "View", text: (row) => row.name, class: () => "name" },
        { title: "Of", text: (row) => row.sources.join(", "), class: () => "name" },
        { title: "Mode", text: (row) => row.mode.replaceAll("_", " "), class: (row) => (row.mode === "on" ? "" : "warning") },
        { title: "Follower", text: (row) => row.follower ?? "", class: () => "name", wide: true },
        { title: "Settings", text: (row) => row.struck || settings(row), grow: true, class: (row) => (row.struck ? "error" : "") },
      ],
      "",
    );
    this.node = panel("views", "Views", this.table.node);
  }

  show(rows) {
    const pairs = rows.below("service/signals/views/");
    this.node.hidden = pairs.length === 0;
    this.table.show(pairs.map(([name, row]) => [name, { ...row, name }]));
  }
}

// Returns the settings that say anything; lists and objects as JSON.
function settings(row) {
  const own = Object.entries(row).filter(([key, value]) => key !== "name" && !SHOWN.has(key) && says(value));
  return own.map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

function says(value) {
  if (value == null || value === false || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
