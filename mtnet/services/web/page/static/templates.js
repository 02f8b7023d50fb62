// Templates, for download.

import { ask } from "./api.js";
import { Table, element, panel } from "./dom.js";
import { bytes, moment } from "./format.js";

export class Templates {
  constructor(session) {
    this.session = session;
    this.rows = [];
    this.table = new Table(
      "Templates",
      [
        { title: "Symbol", text: (row) => row.symbol, name: true },
        { title: "Period", text: (row) => row.period },
        { title: "For", text: (row) => row.platform.toUpperCase() },
        { title: "Version", text: (row) => String(row.version), number: true },
        { title: "Size", text: (row) => bytes(row.size), number: true },
        { title: "Stored", text: (row) => moment(row.stored), number: true, wide: true },
        { title: "", text: (row) => row.sha256, node: download },
      ],
      "There are no templates yet.",
    );
    this.shows = ["clock", "status"];
    this.known = 0;
    this.table.scroll.classList.add("tall");
    this.node = panel("templates", "Templates", this.table.node);
  }

  async load() {
    const may = this.session.rights.some((each) => each === "admin" || each.startsWith("fetch"));
    this.rows = may ? await ask("GET", "/templates") : [];
    this.node.hidden = !may;
    this.show();
  }

  heard(message) {
    if (message.verb === "WELCOME") void this.load();
  }

  show(rows) {
    const count = rows?.parts.status.get("service/templates")?.templates ?? this.known;
    if (count !== this.known) {
      this.known = count;
      void this.load();
    }
    this.table.show(this.rows.map((row) => [`${row.symbol} ${row.period} ${row.platform}`, row]));
  }
}

function download(row) {
  const path = `/templates/${encodeURIComponent(row.symbol)}/${row.period}?platform=${row.platform}`;
  return element("a", { href: path, download: `${row.symbol}_${row.period}.tpl` }, "Download");
}
