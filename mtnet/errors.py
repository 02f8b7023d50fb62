"""
The exception hierarchy: every error that mtnet raises on purpose.

::

    MtnetError              a sentence: the fault, its place, a correct example
    ├── ConfigError         the configuration or the command line; the daemon does not start
    │   └── CertificateError    a certificate or key that cannot be served
    ├── StartError          the machine: a port in use, a locked or unreadable data folder
    ├── WireError           bad input from a peer; carries a code and the offending bytes
    │   ├── PolicyError     a valid signal that its channel refuses at present
    │   └── FrameError      an unreadable stream; the connection ends
    ├── TemplateError       a template that is refused or missing; carries a code
    ├── HttpError           an HTTP request that is refused; carries the status and a code
    ├── AccountError        a change of accounts, or a password, that is refused
    ├── JournalError        the disk refused to store or to return the state
    │   ├── NotAskedError       the disk was not asked, so certainly nothing is stored
    │   ├── DamageError         the stored entries of a channel are not those written
    │   ├── PrunedError         the requested entries have been pruned
    │   └── MissingPackageError a package is not installed; nothing is wrong with the disk
    └── ClientError         a server that is unreachable or that refused
        └── RefusedError        a signal that a server refused; carries the code

Library errors (`ValueError` of `int`, `sqlite3.Error`, `msgspec.ValidationError` …) are
converted where they arise and never cross a module.
"""

QUOTED = 80
"""Maximum number of a peer's bytes in an error or a log line."""


def quote(data: bytes) -> str:
    """
    Return `data` as quoted text, cut to `QUOTED` bytes. Bytes that are not UTF-8 and unprintable
    characters are escaped.
    """
    shown = data[:QUOTED].decode("utf-8", "surrogateescape")
    return f"'{''.join(map(_escape, shown))}'" + ("…" if len(data) > QUOTED else "")


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return repr(character)[1:-1]


class MtnetError(Exception):
    """The root of the hierarchy; its `str()` is one sentence for a person."""


class ConfigError(MtnetError):
    """A setting is unknown, of the wrong type or out of range; names section and key."""


class CertificateError(ConfigError):
    """
    A certificate or its key cannot be served; the sentence names the file.

    A running daemon keeps the certificate that it served before.
    """


class StartError(MtnetError):
    """The daemon cannot start on this machine in its present state."""


class WireError(MtnetError):
    """
    Input from a peer cannot be used.

    Attributes:
        code: one word for programs (`frame`, `field`, `symbol`, `volume` …).
        offending: the bytes themselves; `str()` shows at most `QUOTED` of them.
        until, closed: see `PolicyError`.
    """

    until = ""
    closed = False

    @property
    def is_offence(self) -> bool:
        """Whether the client is at fault, and not our disk or the policy of a channel."""
        return self.code != "server"

    def __init__(self, code: str, text: str, offending: bytes = b"") -> None:
        super().__init__(f"{text}: {quote(offending)}" if offending else text)
        self.code = code
        self.offending = offending


class PolicyError(WireError):
    """
    A well-formed signal is refused by the policy of its channel; this is not an offence.

    Attributes:
        until: a temporary reason: `frozen` or `close_only` (the channel is paused), `holder` (a
            publisher of dialect 2 holds it), `owner` (a newer classic publisher set the
            symbol); empty = the reason does not end by itself.
        closed: the previous position is closed, and the opening on the other side was refused.
    """

    def __init__(self, code: str, text: str, offending: bytes = b"", until: str = "") -> None:
        super().__init__(code, text, offending)
        self.until, self.closed = until, False

    @property
    def is_offence(self) -> bool:
        """Never."""
        return False


class FrameError(WireError):
    """The stream is unreadable from here on, and the connection ends."""


class TemplateError(MtnetError):
    """
    A template is refused or missing.

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
        logged: the sentence for the log, which may name files of the server; the text is for the
            client.
    """

    def __init__(self, status: int, code: str, text: str, logged: str = "") -> None:
        super().__init__(text)
        self.status, self.code, self.logged = status, code, logged or text


class AccountError(MtnetError):
    """A change of accounts, or a password, is refused; nothing changed. Quotes no secret."""


class JournalError(MtnetError):
    """The disk refused the state; nothing was stored, unless the raiser documents otherwise."""


class NotAskedError(JournalError):
    """
    The disk is full, or the files are no longer where they were opened.

    The disk was not asked to write, so certainly nothing is stored.
    """


class DamageError(JournalError):
    """
    The stored entries of a channel were changed, or some are missing.

    Attributes:
        channel: the damaged channel; others may be undamaged.
    """

    def __init__(self, channel: str, text: str) -> None:
        super().__init__(text)
        self.channel = channel


class PrunedError(JournalError):
    """The requested entries have been pruned; a snapshot replaces them."""


class MissingPackageError(JournalError):
    """
    Stored files, or a format, need a package that is not installed.

    The sentence says how it is installed, and names no file: clients may read it.
    """


class ClientError(MtnetError):
    """A server is unreachable, did not answer, or refused."""


class RefusedError(ClientError):
    """
    A server refused a signal.

    Attributes:
        code: of its ERROR (`field`, `denied`, `id` …).
        closed: the signal was a reversal: the previous position is closed, and the opening on
            the other side was refused.
    """

    def __init__(self, code: str, text: str, closed: bool = False) -> None:
        also = " What stood there before is closed, and nothing is opened." if closed else ""
        super().__init__(f"{text} ({code}).{also}")
        self.code, self.closed = code, closed
