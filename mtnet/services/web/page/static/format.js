// Numbers and times as people read them.

let skew = 0;

// The server's clock, told in its greeting: the browser's may be wrong.
export function setClock(time) {
  skew = time - Date.now();
}

export function now() {
  return Date.now() + skew;
}

const STEPS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 1) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const [size, unit] = STEPS.find(([each]) => seconds >= each);
  return `${Math.floor(seconds / size)} ${unit}`;
}

export function ago(time) {
  return time ? duration(Math.max(1000, now() - time)) : "";
}

// How old something is that goes on and on, in steps, so that a new one changes nothing.
export function age(time) {
  return time && now() - time < 60_000 ? "< 1 min" : ago(time);
}

// A delay with two digits, from 10 ms on: what is less is noise.
export function delay(milliseconds) {
  if (milliseconds < 10) return "< 10 ms";
  return duration(milliseconds < 1000 ? Number(milliseconds.toPrecision(milliseconds < 100 ? 1 : 2)) : milliseconds);
}

export function moment(time) {
  const date = new Date(time);
  const clock = date.toLocaleTimeString([], { hour12: false });
  return now() - time < 43_200_000 ? clock : `${day(time)} ${clock}`;
}

// The time zone of this browser, with what it is ahead of UTC.
export function zone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const own = utc(-new Date().getTimezoneOffset() * 60_000);
  return timeZone === "UTC" || !timeZone ? own : `${timeZone}, ${own}`;
}

// A clock by what it is ahead of UTC, in milliseconds.
export function utc(ahead) {
  const minutes = Math.round(Math.abs(ahead) / 60_000);
  if (minutes === 0) return "UTC";
  const rest = minutes % 60 ? `:${String(minutes % 60).padStart(2, "0")}` : "";
  return `UTC${ahead < 0 ? "\u2212" : "+"}${Math.floor(minutes / 60)}${rest}`;
}

// The date as people of every country read it: 2026-11-30.
export function day(time) {
  if (!time) return "";
  const date = new Date(time);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((each) => String(each).padStart(2, "0")).join("-");
}

// How long it is until a time, as "in 3 d"; past times are "over".
export function until(time) {
  const left = time - now();
  return left > 0 ? `in ${duration(left)}` : "over";
}

export function count(number) {
  return number == null ? "" : Number(number).toLocaleString("en").replaceAll(",", "\u2009");
}

export function signed(volume) {
  return volume.startsWith("-") ? `\u2212${volume.slice(1)}` : `+${volume}`;
}

export function bytes(size) {
  return size < 1024 ? `${size} B` : `${Math.round(size / 1024)} KiB`;
}
