"""
Every error that mtnet raises on purpose.

::

    MtnetError              a sentence: what was wrong, where, what would have been right
    ├── ConfigError         the configuration or the command line; the daemon does not start
    │   └── CertificateError    a certificate or key that cannot be served
    ├── StartError          the machine: a port in use, a locked or unreadable data folder
    ├── WireError           what a peer sent; carries a code and the offending bytes
    │   ├── PolicyError     a signal that its channel does not take now
    │   └── FrameError      the stream itself cannot be read any further
    ├── TemplateError       a template that is refused, or is not there; carries a code
    ├── HttpError           an HTTP request that is refused; carries the status and a code
    ├── AccountError        a change of accounts, or a password, that is refused
    ├── JournalError        the disk did not take, or did not give back, the state
    │   ├── NotAskedError       nothing was asked of the disk, so certainly nothing is stored
    │   ├── DamageError         what is stored of a channel is not what was written
    │   └── PrunedError         entries that were asked for are kept no longer
    └── ClientError         a server that could not be reached or that refused
        └── RefusedError        a signal that a server refused; carries the code

Library errors (`ValueError` of `int`, `sqlite3.Error`, `msgspec.ValidationError` …) are
converted where they arise and never cross a module.
"""

QUOTED = 80
"""Bytes of a peer's input that an error or a log line repeats at most."""


def quote(data: bytes) -> str:
    """
    Return `data` as text between quotes, cut to `QUOTED` bytes; what is no UTF-8 or cannot be
    printed is escaped.
    """
    shown = data[:QUOTED].decode("utf-8", "surrogateescape")
    return f"'{''.join(map(_escape, shown))}'" + ("…" if len(data) > QUOTED else "")


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return repr(character)[1:-1]


class MtnetError(Exception):
    """The root: `str()` of it is one sentence for a person."""


class ConfigError(MtnetError):
    """A setting that is unknown, of the wrong type or out of range; names section and key."""


class CertificateError(ConfigError):
    """
    A certificate, or its key, cannot be served; the sentence names the file.

    A daemon that runs goes on with what it served before.
    """


class StartError(MtnetError):
    """The daemon cannot start on this machine as it is now."""


class WireError(MtnetError):
    """
    What a peer sent cannot be used.

    Attributes:
        code: one word for programs (`frame`, `field`, `symbol`, `volume` …).
        offending: the bytes themselves; `str()` shows at most `QUOTED` of them.
    """

    def __init__(self, code: str, text: str, offending: bytes = b"") -> None:
        super().__init__(f"{text}: {quote(offending)}" if offending else text)
        self.code = code
        self.offending = offending


class PolicyError(WireError):
    """
    A signal is well formed, and who sets what in its channel does not let it be: no offence.

    Attributes:
        until: the reason that ends some day: `frozen` or `close_only` (the channel is paused),
            `holder` (a publisher of dialect 2 holds it), `owner` (a newer classic publisher set
            the symbol); empty = none does by itself.
        closed: the position that stood there is closed; its opening anew was refused.
    """

    def __init__(self, code: str, text: str, offending: bytes = b"", until: str = "") -> None:
        super().__init__(code, text, offending)
        self.until, self.closed = until, False


class FrameError(WireError):
    """The connection cannot be read any further and ends."""


class TemplateError(MtnetError):
    """
    A template is refused, or is not there.

    Attributes:
        code: `template`, `size`, `symbol`, `period` (refused), `missing`, or `server` (the disk
            failed; nothing was stored).
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class HttpError(MtnetError):
    """
    An HTTP request is refused.

    Attributes:
        status: of the answer.
        code: one word for programs.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


class AccountError(MtnetError):
    """A change of accounts, or a password, is refused; nothing was changed. Quotes no secret."""


class JournalError(MtnetError):
    """The disk refused the state; nothing of it was stored, unless the raiser says otherwise."""


class NotAskedError(JournalError):
    """
    The disk is full, or the files are not where they were opened.

    Nothing was asked of the disk, so certainly nothing is stored.
    """


class DamageError(JournalError):
    """
    What is stored of a channel is not what was written, or not all of it.

    Attributes:
        channel: the one that it is about; others may be whole.
    """

    def __init__(self, channel: str, text: str) -> None:
        super().__init__(text)
        self.channel = channel


class PrunedError(JournalError):
    """Entries that were asked for are kept no longer; a snapshot stands in for them."""


class ClientError(MtnetError):
    """A server could not be reached, did not answer, or refused."""


class RefusedError(ClientError):
    """
    A server refused a signal.

    Attributes:
        code: that of its ERROR (`field`, `denied`, `id` …).
        closed: the position that stood there is closed all the same: it was to be turned, and
            what should have been opened on the other side was refused.
    """

    def __init__(self, code: str, text: str, closed: bool = False) -> None:
        also = " What stood there before is closed, and nothing is opened." if closed else ""
        super().__init__(f"{text} ({code}).{also}")
        self.code, self.closed = code, closed
