"""Status reports: what `mtnet status` and `/healthz` show."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from zope.interface import implementer

from mtnet import __version__
from mtnet.access.anonymous import AnonymousAccess
from mtnet.daemon.ports import BoundListener
from mtnet.interfaces import IHealth
from mtnet.redact import PathRedactor


@implementer(IHealth)
class HealthReport:
    """
    Joins the health of all parts.

    Attributes:
        parts: return the health of one part each, by its name, see `IStatus.health`.
        components: returns the health of every component.
        whole: returns all that the daemon knows about itself.
    """

    def __init__(self) -> None:
        self.parts: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self.components: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
        self.whole: Callable[[], Mapping[str, Any]] = self.health

    def health(self) -> dict[str, Any]:
        """Return whether everything is healthy, what is not, and each part; with paths."""
        parts = self._read_parts()
        causes = _causes(parts)
        causes["warnings"] += _sentences(parts, "in_trouble")
        return {"healthy": not causes["trouble"], **causes, **parts}

    def causes(self) -> dict[str, list[str]]:
        """Return what is not healthy, and warnings of parts but of nobody there; with paths."""
        return _causes(self._read_parts())

    def _read_parts(self) -> dict[str, Mapping[str, Any]]:
        return {**self.components(), **{name: part() for name, part in self.parts.items()}}

    def status(self) -> Mapping[str, Any]:
        """Return all that the daemon knows about itself; with paths."""
        return self.whole()


@implementer(IHealth)
class PublicHealth:
    """Filter: the reports without the folders of this machine, for `/healthz` and HTTP."""

    def __init__(self, report: HealthReport, redactor: PathRedactor) -> None:
        self._report, self._redactor = report, redactor

    def health(self) -> dict[str, Any]:
        """Return the report that strangers may read."""
        report: dict[str, Any] = self._redactor.report(self._report.health())
        return report

    def causes(self) -> dict[str, list[str]]:
        """Return what is not healthy, and warnings, for strangers."""
        report: dict[str, list[str]] = self._redactor.report(self._report.causes())
        return report

    def status(self) -> dict[str, Any]:
        """Return the report that those with the right `admin` may read."""
        report: dict[str, Any] = self._redactor.report(self._report.status())
        return report


class ListenerTable:
    """The listeners, as the daemon prints them at its start and `mtnet status` shows them."""

    def __init__(self, bound: Sequence[BoundListener], anonymous: AnonymousAccess) -> None:
        self._bound, self._anonymous = bound, anonymous

    def rows(self) -> list[dict[str, str]]:
        """Return one row for each listener."""
        return [bound.report(self._anonymous) for bound in self._bound]

    def text(self, data: str, accounts: bool, networks: Mapping[str, Iterable[str]]) -> str:
        """
        Return the table with a heading, and hints below.

        Args:
            data: the path of the data folder.
            accounts: whether anybody can log in.
            networks: the rights of `access.networks`.
        """
        rows = [("SERVICE", "ADDRESS", "SECURITY", "LOOPBACK MAY", "WITHOUT LOGIN")]
        rows += [tuple(row.values()) for row in self.rows()]  # type: ignore[misc]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        head = f"mtnet {__version__}, data in {data}"
        return "\n".join([head, *lines, *self._hints(accounts, networks)])

    def _hints(self, accounts: bool, networks: Mapping[str, Iterable[str]]) -> Iterable[str]:
        if not any(row["strangers"] for row in self.rows()):
            yield "Loopback only: programs of this machine may do everything, others nothing."
        elif accounts:
            yield "Accounts may do more after a login: `mtnet account list` shows them."
        for network, rights in networks.items():
            yield f"In addition, {network} may {', '.join(rights) or 'nothing'}."
        tried = [each for each in self._bound if each.welcomes and not each.listener.proxied]
        if tried:
            # The most specific one: of a shared port it is less clear what will be shown.
            yield f"Try: {min(tried, key=lambda each: len(each.verbs)).example_command()}"


def _causes(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    return {
        "trouble": [
            f"{name}: {_cause(part)}" for name, part in parts.items() if not part["healthy"]
        ],
        "warnings": _sentences(parts, "warning"),
    }


def _sentences(parts: Mapping[str, Mapping[str, Any]], key: str) -> list[str]:
    return [f"{name}: {part[key]}" for name, part in parts.items() if part.get(key)]


def _cause(part: Mapping[str, Any]) -> str:
    """Return why a part is not healthy: its own sentence, else what it names."""
    if part.get("trouble"):
        return str(part["trouble"])
    for key in ("damaged", "diverged", "full"):
        found = part.get(key)
        if found:
            return f"{', '.join(map(str, found))}: {key}" if isinstance(found, list) else key
    return "not healthy; the log says why"
