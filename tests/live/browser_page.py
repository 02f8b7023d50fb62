"""A tab of Chromium with the page, and those that it shows."""

import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

from mtnet.daemon.control.client import ask

PASSWORD = "correct horse"
MARKUP = "<img src=x onerror=alert(1)>"
ESCAPED = MARKUP.replace("<", "%3C").replace(">", "%3E")
VIOLATIONS = """
globalThis.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """A tab with the page, and all that its console said and its WebSocket sent."""

    def __init__(self, tab, port):
        self.tab, self.said, self.sent, self.heard = tab, [], [], []
        tab.on("console", lambda message: self.said.append(message.text))
        tab.on("pageerror", lambda error: self.said.append(str(error)))
        tab.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        tab.on("websocket", self._watch)
        # Chromium reports a violation of the policy here, and not always on the console.
        tab.add_init_script(VIOLATIONS)
        self.url = f"http://127.0.0.1:{port}/"
        tab.goto(self.url)

    def _watch(self, opened):
        opened.on("framesent", lambda data: self.sent.append(json.loads(data)))
        opened.on("framereceived", lambda data: self.heard.append(json.loads(data)))

    def shows(self, selector, text, milliseconds=10_000):
        """Wait until an element has a text."""
        found = self.tab.locator(selector).filter(has_text=text).first
        found.wait_for(timeout=milliseconds)
        return found

    def hears(self, verb, times):
        """Wait until so many messages of a verb have come."""
        for _ in range(500):
            if sum(each.get("verb") == verb for each in self.heard) >= times:
                return
            self.tab.wait_for_timeout(20)
        raise AssertionError(f"{verb} did not come {times} times")

    def trouble(self):
        """Return what the console said, and what the policy forbade."""
        return self.said + self.tab.evaluate("globalThis.violations")

    def hide(self, hidden):
        """Let the page believe that nobody looks at it."""
        script = """hidden => {
            Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
        self.tab.evaluate(script, hidden)

    def log_in(self, name, password=PASSWORD):
        self.tab.fill("#login-name", name)
        self.tab.fill("#login-password", password)
        self.tab.click("#login-form button[type=submit]")


def tick(daemon, price, symbol=b"EURUSD"):
    with daemon.dial("ticks") as connection:
        connection.sendall(b"%b %b\nSYNC:\n" % (symbol, price))
        assert connection.recv(512).startswith(b"OK: SYNC")


def publish(connection, number, volume):
    said = f"<<PUBLISH|id=p{number}|symbol=EURUSD|volume={volume}|comment={ESCAPED}>>"
    connection.sendall(said.encode())


def provider(daemon, name="desk"):
    connection = daemon.dial("signals")
    connection.sendall(f"<<HELLO|v=2|name={name}|client={ESCAPED}>>".encode())
    return connection


def command(daemon, name, /, **arguments):
    """Run a command of the control socket; return its answer."""
    return ask(daemon.data / "control", name, **arguments)


def account(daemon, name, role):
    """Add an account before the daemon runs."""
    words = [sys.executable, "-m", "mtnet", "account", "add", "--data", str(daemon.data)]
    typed = f"{PASSWORD}\n".encode()
    subprocess.run([*words, "--role", role, name], input=typed, check=True, capture_output=True)


class Session:
    """A session of dialect 2 that answers PING, and keeps what it was sent."""

    def __init__(self, daemon, **hello):
        self._connection = daemon.dial("signals")
        self.frames = []
        self.say("HELLO", v=2, **hello)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def say(self, verb, **fields):
        text = "|".join([verb, *(f"{key}={value}" for key, value in fields.items())])
        self._connection.sendall(f"<<{text}>>".encode())

    def close(self):
        self._connection.close()
        self._reader.join()

    def _read(self):
        data = b""
        with suppress(OSError):
            while more := self._connection.recv(65_536):
                *frames, data = (data + more).split(b">>")
                for frame in frames:
                    self.frames.append(frame.partition(b"<<")[2].decode())
                    if self.frames[-1].startswith("PING"):
                        self.say("PONG")


@contextmanager
def session(daemon, **hello):
    """Open a session, and close it at the end."""
    opened = Session(daemon, **hello)
    try:
        yield opened
    finally:
        opened.close()
