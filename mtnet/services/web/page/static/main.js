// The page: it joins the connection, what is watched, and the panels.

import { Accounts } from "./accounts.js";
import { Alerts } from "./alerts.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { element, find } from "./dom.js";
import { Events } from "./events.js";
import { moment, now, setClock, zone } from "./format.js";
import { Pause } from "./pause.js";
import { Pauses } from "./pauses.js";
import { People } from "./people.js";
import { Channels, Positions } from "./positions.js";
import { Rows } from "./rows.js";
import { Session } from "./session.js";
import { Signals } from "./signals.js";
import { Senders } from "./sources.js";
import { Sound } from "./sound.js";
import { showSummary } from "./summary.js";
import { Templates } from "./templates.js";
import { Terminals } from "./terminals.js";
import { Topics } from "./topics.js";
import { Views } from "./views.js";

// Seconds between two looks at the clock, for "12 s ago".
const AGES = 5;
// Milliseconds between two pictures: nobody reads faster, and candles move four times a second.
const PICTURE = 250;

// What the first sentence is made of.
const SUMMED = ["status", "alerts", "events", "pauses", "connection", "clock"];

const session = new Session(restart);
const rows = new Rows(soon);
const connection = new Connection(state, heard);
const signals = new Signals(connection, soon);
const pauses = new Pauses(signals, soon);
const sound = new Sound();
// The state of the connection, and its words.
let connected = { word: "asking", text: "Connecting …" };
// When the server said its last word.
let last = 0;
// What has changed since the last picture.
const fresh = new Set();
// From top to bottom; of two lists the panels of the first stand on the left, of the second on the right.
const layout = [
  new People(session),
  [[new Chart(connection, signals, session)], [new Positions(signals), new Channels(signals, new Pause(session), pauses), new Alerts(session), new Senders()]],
  new Views(signals),
  new Terminals(soon),
  [[new Events()], [new Topics(connection, soon), new Templates(session)]],
  new Accounts(session),
];
const panels = layout.flat(2);
let drawn = 0;

// Shows what has changed once with the next picture, however often it has changed till then.
function soon(what) {
  if (fresh.size === 0) setTimeout(() => requestAnimationFrame(picture), Math.max(0, drawn + PICTURE - performance.now()));
  fresh.add(what);
}

// Shows everything at once: what a login may not see is gone with it.
function show() {
  fresh.add("all");
  picture(performance.now());
}

function picture(time) {
  drawn = time;
  const changed = new Set(fresh);
  fresh.clear();
  const whole = changed.has("all");
  if (whole || SUMMED.some((what) => changed.has(what))) showSummary(rows, pauses, connected, session.mayPause);
  if (connected.word === "open" && rows.parts.status.size > 0) sound.show(rows);
  if (last) showLast();
  if (whole || changed.has("status")) signals.follow(rows.channels);
  for (const each of panels) if (whole || each.shows.some((what) => changed.has(what))) each.show(rows);
}

// A page that is frozen shows an old time, one where nothing happens a new one. It stands outside
// of what is read out.
function showLast() {
  const shown = find("heard");
  const text = `${connected.word === "open" ? ", " : ", last heard at "}${moment(last)}`;
  if (shown.textContent === text) return;
  shown.textContent = text;
  shown.title = `The last word of the server came then. ${zone()}`;
}

function place(part) {
  if (!Array.isArray(part)) return part.node;
  return element("div", { class: "columns" }, ...part.map((each) => element("div", { class: "column" }, ...each.map(place))));
}

function state(word, text) {
  const shown = find("connection");
  shown.textContent = text;
  shown.className = word;
  document.body.classList.toggle("old", word === "waiting" || word === "asking");
  connected = { word, text };
  soon("connection");
  if (word === "login") {
    rows.clear();
    show();
    session.open(text);
  }
}

// A sentence of the operator for people; it stays until somebody has read it.
function notice({ text }) {
  const shown = find("notice");
  shown.hidden = false;
  shown.firstChild.textContent = `${moment(now())} ${text}`;
}

function heard(message) {
  last = now();
  soon("heard");
  if (message.verb === "WELCOME") return void welcomed(message);
  if (message.verb === "NOTICE") notice(message);
  else if (message.verb === "STATE" || message.verb === "CHANGED") rows.take(message);
  else if (message.verb === "ERROR" && !message.channel && !message.id) find("connection").textContent = message.text;
  spread(message);
}

// The login may have ended since the last connection: who it is now decides what is asked for.
async function welcomed(message) {
  setClock(message.time);
  await session.load();
  spread(message);
  show();
}

function spread(message) {
  signals.heard(message);
  pauses.heard(message);
  for (const each of panels) each.heard?.(message);
}

function restart() {
  for (const name of signals.channels.keys()) connection.drop(`channel ${name}`);
  signals.clear();
  rows.clear();
  show();
  connection.restart();
}

find("notice").querySelector("button").addEventListener("click", () => (find("notice").hidden = true));
find("main").append(...layout.map(place));
connection.want("status", { verb: "WATCH", what: ["status", "events", "alerts"] }, { verb: "WATCH", what: [] });
setInterval(() => document.hidden || soon("clock"), AGES * 1000);
await session.load();
connection.start();
show();
