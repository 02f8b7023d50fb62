"""REPORT and SPEC of one session."""

from mtnet.errors import WireError
from mtnet.services.signals.reports.registry import Reported, TerminalKey, plain
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.session.session import Session


class Reporting:
    """
    Handler of REPORT and SPEC; of a session without a login they are shown, and nothing more.

    Args:
        store: remembers what terminals with a login tell.

    Attributes:
        shown: the last REPORT as JSON values, for `mtnet signals status`.
        reported: the same with its time; None = there was none.
    """

    __slots__ = ("_session", "_store", "reported", "shown")

    def __init__(self, session: Session, store: ReportStore) -> None:
        self._session, self._store = session, store
        self.shown: dict[str, object] = {}
        self.reported: Reported | None = None

    def report(self, report: Report) -> None:
        """REPORT: remember it, without an answer."""
        key = self._key()
        if key is not None:
            self._store.report(key, report, self._session.now())
        self.shown, self.reported = plain(report), Reported(report, self._session.now())

    def describe(self, spec: Spec) -> None:
        """SPEC: remember it, without an answer."""
        key = self._key()
        if key is not None:
            self._store.describe(key, spec, self._session.now())

    def _key(self) -> TerminalKey | None:
        """
        Return whose terminal it is; None = nobody's that logged in.

        Raises:
            WireError: `field`; settings name a terminal LOGIN/NAME.
        """
        login, name = self._session.login, self._session.name
        if "/" in name:
            right = "A terminal that reports has a name without /; HELLO named it"
            raise WireError("field", right, name.encode())
        return TerminalKey(login, name) if login else None
