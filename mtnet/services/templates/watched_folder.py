"""
A watched folder: a `.tpl` file that is saved or copied there is published.

`SYMBOL_PERIOD.tpl`, with the name of a period such as H1, is published for these; for any other
file, the symbol and the period in the template count.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.daemon.environment import Environment
from mtnet.errors import TemplateError
from mtnet.interfaces import ISignals
from mtnet.recurring import RecurringCall
from mtnet.services.templates.content import SUFFIX, key_of_file, too_large
from mtnet.services.templates.library import Library
from mtnet.services.templates.version import Version
from mtnet.services.templates.wire import SLACK


class Entry(NamedTuple):
    """A file as a listing shows it: `size` in bytes, `mtime` in ns; a link has neither."""

    name: str
    size: int
    mtime: int
    link: bool = False


class ImportResult(NamedTuple):
    """The result of one file: a version, or a sentence why it is refused."""

    name: str
    version: Version | None
    refusal: str = ""


class StableFileDetector:
    """
    Debouncer: finds files that are whole, since their size and time did not change for a while.

    Args:
        still: seconds without a change.
    """

    def __init__(self, still: float) -> None:
        self._still = still
        self._seen: dict[str, tuple[Entry, float]] = {}
        self._taken: dict[str, Entry] = {}

    def ready(self, entries: Iterable[Entry], when: float) -> list[Entry]:
        """Return each file once per change, when it is whole; `when` in seconds."""
        listed = {entry.name: entry for entry in entries}
        self._taken = {name: self._taken[name] for name in listed.keys() & self._taken.keys()}
        self._seen = {name: self._since(entry, when) for name, entry in listed.items()}
        found = [
            entry
            for name, (entry, since) in sorted(self._seen.items())
            if when - since >= self._still and self._taken.get(name) != entry
        ]
        self._taken.update((entry.name, entry) for entry in found)
        return found

    def retry(self, entry: Entry) -> None:
        """Return `entry` again although it did not change: it could not be published."""
        self._taken.pop(entry.name, None)

    def _since(self, entry: Entry, when: float) -> tuple[Entry, float]:
        seen = self._seen.get(entry.name)
        return seen if seen and seen[0] == entry else (entry, when)


class FolderImporter:
    """
    Publisher of the files in a folder; every method blocks.

    Args:
        max_size: bytes of the largest template.
        still: seconds without a change before a file is published.
        now: milliseconds since the Unix epoch, UTC.
        codepage: how a symbol is read that is not UTF-8.
    """

    def __init__(
        self,
        folder: Path,
        library: Library,
        max_size: int,
        still: float,
        now: Callable[[], int],
        codepage: str,
    ) -> None:
        self._folder, self._library, self._max_size = folder, library, max_size
        self._codepage = codepage
        self._detector, self._now = StableFileDetector(still), now
        self._old: set[Entry] | None = None
        self._failing: set[str] = set()

    def scan(self, when: float) -> list[ImportResult]:
        """
        Publish the files that are ready at `when` (monotonic seconds).

        Raises:
            OSError: the folder cannot be listed.
        """
        entries = list(self._entries())
        if self._old is None:
            self._old = set(entries)
        ready = self._detector.ready(entries, when)
        return [outcome for entry in ready if (outcome := self._take(entry)) is not None]

    def _entries(self) -> Iterator[Entry]:
        with os.scandir(self._folder) as listing:
            for item in listing:
                if not item.name.lower().endswith(SUFFIX):
                    continue
                if item.is_symlink():
                    yield Entry(item.name, 0, 0, link=True)
                elif item.is_file(follow_symlinks=False):
                    facts = item.stat(follow_symlinks=False)
                    yield Entry(item.name, facts.st_size, facts.st_mtime_ns)

    def _take(self, entry: Entry) -> ImportResult | None:
        try:
            outcome = self._store(entry)
            self._failing.discard(entry.name)
            return outcome
        except TemplateError as error:
            known = entry.name in self._failing
            if error.code == "server":
                self._failing.add(entry.name)
                self._detector.retry(entry)
            return None if known else ImportResult(entry.name, None, str(error))
        except OSError as error:
            return ImportResult(entry.name, None, f"It cannot be read: {error.strerror}.")

    def _store(self, entry: Entry) -> ImportResult | None:
        content = self._read(entry)
        symbol, period = key_of_file(entry.name, content, self._codepage)
        # A file that was here before the start is published only if the library does not have it:
        # it must not replace versions that were uploaded since.
        if entry in (self._old or ()) and self._library.holds(symbol, period, content):
            return None
        version, created = self._library.store(symbol, period, content, self._now())
        return ImportResult(entry.name, version) if created else None

    def _read(self, entry: Entry) -> bytes:
        if entry.link:
            raise TemplateError("template", "It is a link, and links are not followed.")
        if entry.size > self._max_size + SLACK:
            raise too_large(entry.size, self._max_size)
        # The name may have become a link or a pipe since it was listed.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        flags |= getattr(os, "O_BINARY", 0)
        with open(os.open(self._folder / entry.name, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TemplateError("template", "Invalid template: expected an ordinary file.")
            return file.read(self._max_size + SLACK + 1)


class WatchedFolderService(Service):
    """Scans `[templates] folder`, if there is one, every `scan` seconds."""

    log = Logger()

    def __init__(self, env: Environment, library: Library) -> None:
        settings = env.section
        self._env, self._library, self._folder = env, library, settings.folder
        what = "The look at the folder of templates"
        self._calls = RecurringCall(what, self._scan, settings.scan, env.clock)
        self._trouble = ""

    def startService(self) -> None:
        super().startService()
        if self._folder:
            self._calls.start()

    def stopService(self) -> None:
        super().stopService()
        self._calls.stop()

    @cached_property
    def _importer(self) -> FolderImporter:
        settings, codepage = self._env.section, self._env.find(ISignals).codepage
        return FolderImporter(
            Path(self._folder),
            self._library,
            settings.max_size,
            settings.scan,
            self._env.now,
            codepage,
        )

    def _scan(self) -> "Deferred[None]":
        looked = self._env.worker()(self._importer.scan, self._env.clock.seconds())
        return looked.addCallbacks(self._report, self._failed)

    def _report(self, outcomes: list[ImportResult]) -> None:
        self._trouble = ""
        for name, version, refusal in outcomes:
            if version is None:
                self.log.warn("The file {name!r} is refused. {refusal}", name=name, refusal=refusal)
            else:
                self.log.info(
                    "The file {name!r} is version {version} of {symbol!r} {period}.",
                    name=name,
                    version=version.version,
                    symbol=version.key.symbol,
                    period=version.key.period,
                )

    def _failed(self, failure: Failure) -> None:
        if not failure.check(OSError):
            self.log.failure("The folder {folder!r} is watched on.", failure, folder=self._folder)
            return
        trouble = failure.getErrorMessage()
        # One line per trouble, not one per look.
        if trouble != self._trouble:
            self.log.warn(
                "The folder {folder!r} cannot be read: {trouble}",
                folder=self._folder,
                trouble=trouble,
            )
        self._trouble = trouble
