"""
Receivers: the services that take messages to people, by their URLs, through apprise.

A URL may hold a password or a key in any of its parts. So people are shown its scheme alone.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from threading import get_ident
from typing import Any, Protocol

from mtnet.errors import ConfigError
from mtnet.services.notify.settings import Target

NAME = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
EXAMPLE = "ntfy://ntfy.sh/my-topic"
INSTALL = "pip install 'mtnet-hub[notify]'"
MASKED = "…"
SHORT = 4
"""Characters of a part of a URL below which it is masked as a whole word only: `80`, `me`."""
MAX_REASON = 200
"""Characters of a reason that are kept."""

_logger = logging.getLogger("apprise")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PARTS = re.compile(r"[^/?#&=:@,]+")


class Receiver(Protocol):
    """
    A receiver of messages.

    Attributes:
        id: does not change while its name and URL stay the same.
        target: its [notify.NAME].
        label: how people are shown it.
    """

    id: str
    target: str
    label: str

    def deliver(self, title: str, text: str) -> str | None:
        """Send one message; blocks. Return why it was not taken, or None."""


class AppriseReceiver:
    """Adapter: one URL as a receiver, without redirects."""

    def __init__(self, target: str, url: str, sender: Any) -> None:
        self.target, self.label = target, label(url)
        self.id = sha256(f"{target}\0{url}".encode()).hexdigest()[:16]
        self._secrets, self._sender = secrets(url), sender

    def deliver(self, title: str, text: str) -> str | None:
        """Send one message; blocks. Return why it was not taken, or None."""
        from apprise import NotifyFormat, NotifyType
        from apprise.conversion import convert_between

        with _Warnings() as warnings:
            try:
                # `Apprise` would do it in threads of its own, for which an exit waits.
                shown = self._sender.notify_format
                taken = self._sender.notify(
                    body=convert_between(NotifyFormat.TEXT, shown, content=text),
                    title=title,
                    notify_type=NotifyType.INFO,
                    body_format=NotifyFormat.TEXT,
                )
            except Exception as error:  # of one of more than a hundred senders
                return self._masked(f"{type(error).__name__}: {error}")
        return None if taken else self._masked("; ".join(warnings.texts) or "no reason is known")

    def _masked(self, reason: str) -> str:
        return mask(reason, self._secrets)[:MAX_REASON]


class _Warnings(logging.Handler):
    """Collects what apprise warns of in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._thread = get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.texts.append(record.getMessage())

    def __enter__(self) -> "_Warnings":
        _logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _logger.removeHandler(self)


def open_receivers(targets: Mapping[str, Target]) -> list[Receiver]:
    """
    Return the receivers of a configuration.

    Raises:
        ConfigError: apprise is not installed, or does not know a URL; or a name is invalid.
    """
    for name in targets:
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"[notify.{name}]: a name has 1 to 32 of A-Z a-z 0-9 . _ -. Example: [notify.ops]"
            )
    return [each for name, target in targets.items() for each in _open(name, target)]


def _open(name: str, target: Target) -> list[Receiver]:
    apprise = _apprise()
    # Only this keeps a receiver from sending a message on to a server inside the network.
    asset = apprise.AppriseAsset(http_redirects=False, secure_logging=True, app_id="mtnet")
    found: dict[str, Receiver] = {}
    for number, url in enumerate(target.urls, 1):
        sender = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if sender is None:
            raise ConfigError(
                f"notify.{name}.urls: number {number} ({label(url)}) is no URL that apprise can "
                f"use. Example: {EXAMPLE}"
            )
        sender.redirects = False
        receiver = AppriseReceiver(name, url, sender)
        found[receiver.id] = receiver
    return list(found.values())


def _apprise() -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(
            f"[notify] needs the package apprise, which is not installed: {INSTALL}"
        ) from error
    if not hasattr(apprise.AppriseAsset, "http_redirects"):
        raise ConfigError(
            f"[notify] needs apprise 2.3 or later, which follows no redirects on demand: {INSTALL}"
        )
    # Its warnings, which may quote a URL, would go to stderr.
    _logger.propagate = False
    _logger.addHandler(logging.NullHandler())
    return apprise


def label(url: str) -> str:
    """Return a URL as people are shown it: without any part that may be a secret."""
    found = _SCHEME.match(url)
    return f"{found[1] if found else ''}://{MASKED}"


def secrets(url: str) -> list[str]:
    """Return the parts of a URL that may be secrets, the longest first."""
    rest = url.partition("://")[2]
    return sorted({rest, *_PARTS.findall(rest)} - {""}, key=len, reverse=True)


def mask(text: str, secrets: Sequence[str]) -> str:
    """Return a sentence without these texts."""
    for each in secrets:
        whole = re.escape(each)
        text = re.sub(whole if len(each) > SHORT else rf"\b{whole}\b", MASKED, text)
    return text
