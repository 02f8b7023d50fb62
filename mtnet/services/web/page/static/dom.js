// Elements whose content is always text: nothing that a peer says becomes markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each != null));
  return made;
}

// Returns a sentence whose `commands` look as they are typed.
export function prose(text) {
  return text.split("`").map((each, index) => (index % 2 ? element("code", {}, each) : each));
}

export function find(id) {
  return document.getElementById(id);
}

// A section of the page with a heading, which stays hidden until it has something to say.
export function panel(id, title, ...content) {
  const heading = element("h2", { id: `${id}-title` }, title);
  const made = element("section", { id, class: "panel", "aria-labelledby": heading.id }, heading, ...content);
  made.heading = heading;
  return made;
}

// What stands where there is nothing to say.
export const NONE = "\u2013";
// Rows of a table that are shown at once.
const MOST = 100;

// A table of rows by key. A column: `title`, `text(row)`, and optionally `class(row)`,
// `node(row)` in place of the text, `prose` (sentences with commands), `number` (right-aligned), `wide` (not on a phone), `name` (cut where it is long), `titled` (with its title on a phone, as numbers are), `hint` (more
// about the title; a column without a title has buttons), `none` (why a text is empty: a sentence, or made of the row), `more(row)` (more
// about a text that is not).
// On a phone a table of `cards` shows each row as a block, and the titles of its numbers alone.
// Of many rows the first `most` are shown, and the others when somebody asks for them: a browser
// takes half of its time to lay out a thousand that change.
export class Table {
  constructor(caption, columns, empty, cards = false, most = MOST) {
    this.columns = columns;
    this.most = most;
    this.whole = false;
    this.rows = new Map();
    this.body = element("tbody");
    this.empty = element("p", { class: "hint" }, ...prose(empty));
    const heads = columns.map((each) => element("th", { scope: "col", class: classes(each), title: each.hint }, each.title || element("span", { class: "unseen" }, "Actions")));
    const head = element("thead", {}, element("tr", {}, ...heads));
    this.table = element("table", {}, element("caption", { class: "unseen" }, caption), head, this.body);
    this.scroll = element("div", { class: cards ? "scroll cards" : "scroll", tabindex: "0", role: "group", "aria-label": caption }, this.table);
    this.others = element("button", { type: "button", click: () => this.toggle() });
    this.node = element("div", {}, this.scroll, this.others, this.empty);
    this.show([]);
  }

  toggle() {
    this.whole = !this.whole;
    this.show(this.pairs);
  }

  // Shows [key, row] pairs in their order; what has not changed is not touched.
  show(pairs) {
    const before = this.rows;
    this.rows = new Map();
    this.pairs = pairs;
    this.others.hidden = pairs.length <= this.most;
    this.others.textContent = this.whole ? `Show the first ${this.most}` : `Show all ${pairs.length}`;
    let place = this.body.firstChild;
    for (const [key, row] of this.whole ? pairs : pairs.slice(0, this.most)) {
      const known = before.get(key) ?? this.make();
      this.fill(known, row);
      before.delete(key);
      this.rows.set(key, known);
      if (place === known.node) place = place.nextSibling;
      else this.body.insertBefore(known.node, place);
    }
    for (const { node } of before.values()) node.remove();
    this.scroll.hidden = this.rows.size === 0;
    this.empty.hidden = this.rows.size !== 0;
  }

  make() {
    const cells = this.columns.map((each) => element("td", { "data-title": each.title }));
    return { cells, said: this.columns.map(() => undefined), node: element("tr", {}, ...cells) };
  }

  fill({ cells, said }, row) {
    for (const [index, each] of this.columns.entries()) {
      const [text, more] = content(each, row);
      const kind = classes(each, each.class ? each.class(row) : "", text === NONE ? "none" : "");
      if (said[index]?.text === text && said[index].kind === kind && said[index].more === more) continue;
      said[index] = { text, kind, more };
      cells[index].className = kind;
      cells[index].title = more;
      const at = parts(cells[index]).indexOf(document.activeElement);
      cells[index].replaceChildren(...made(each, row, text));
      parts(cells[index])[at]?.focus();
    }
  }
}

function made(column, row, text) {
  if (column.node && text !== NONE) return [column.node(row)];
  return column.prose ? prose(text) : [text];
}

// Returns what can have the focus in a cell; it is kept when the cell is drawn anew.
function parts(cell) {
  return [...cell.querySelectorAll("button, summary, input")];
}

// Returns the text of a cell, and what a pointer on it says; what is cut off can be read there.
function content(column, row) {
  const text = column.text(row);
  if (text === "" && column.none) return [NONE, typeof column.none === "string" ? column.none : column.none(row)];
  return [text, column.more?.(row) ?? (column.name ? text : "")];
}

function classes(column, ...more) {
  return [column.number && "number", column.wide && "wide", column.grow && "grow", column.name && "name", column.titled && "titled", ...more].filter(Boolean).join(" ");
}
