"""SIGHUP before the daemon can do what it asks for."""

import signal


def ignore_hangups() -> None:
    """Let SIGHUP not end this process; the daemon has a handler of its own once it runs."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
