// Two tones when something new goes wrong. Off until somebody wants it; a browser plays nothing
// before somebody has clicked or typed on a page, so until then it makes no sound either.

import { find } from "./dom.js";

const KEY = "mtnet sound";
// Hertz of the tones, and the seconds that each takes.
const TONES = [880, 660];
const LENGTH = 0.18;
const VOLUME = 0.2;

export class Sound {
  constructor() {
    this.button = find("sound");
    this.on = remembered();
    this.known = null;
    this.rung = 0;
    this.button.addEventListener("click", () => this.toggle());
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => this.wake());
    this.tell();
  }

  toggle() {
    this.on = !this.on;
    remember(this.on);
    this.wake();
    if (this.on) this.play();
  }

  // The first click or key makes sounds possible.
  wake() {
    if (this.on && !this.player && globalThis.AudioContext) this.player = new AudioContext();
    void this.player?.resume(); // Some browsers suspend it, as behind a locked screen.
    this.tell();
  }

  tell() {
    const ready = this.player || !this.on;
    this.button.textContent = this.on ? (ready ? "Sound on" : "Sound on after a click") : "Sound off";
    this.button.setAttribute("aria-pressed", String(this.on));
  }

  // Sounds when there is an urgent one that was not there before; what is there at first is no news.
  show(rows) {
    const urgent = troubles(rows);
    const fresh = this.known && [...urgent].some((each) => !this.known.has(each));
    this.known = urgent;
    if (fresh && this.on) this.play();
  }

  play() {
    if (!this.player) return;
    this.rung += 1;
    this.button.dataset.rung = String(this.rung);
    const begin = this.player.currentTime;
    for (const [index, tone] of TONES.entries()) this.sound(tone, begin + index * LENGTH);
  }

  sound(tone, begin) {
    const [source, gain] = [this.player.createOscillator(), this.player.createGain()];
    source.frequency.value = tone;
    gain.gain.setValueAtTime(VOLUME, begin);
    gain.gain.linearRampToValueAtTime(0, begin + LENGTH);
    source.connect(gain).connect(this.player.destination);
    source.start(begin);
    source.stop(begin + LENGTH);
  }
}

// Returns who is in trouble, and the incidents of alerts that nobody has muted.
function troubles(rows) {
  const people = rows.participants.filter(([, row]) => row.status === "error" || row.status === "offline");
  const alerts = [...rows.parts.alerts].filter(([, row]) => !row.muted);
  return new Set([
    ...people.map(([key]) => key),
    ...alerts.flatMap(([name, row]) => row.incidents.map((each) => `${name} ${each.subject}`)),
  ]);
}

// A browser may keep nothing, as in a private window.
function remembered() {
  try {
    return localStorage.getItem(KEY) === "on";
  } catch {
    return false;
  }
}

function remember(on) {
  try {
    localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // It is off again the next time.
  }
}
