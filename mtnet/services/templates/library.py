"""
Versioned storage of templates on disk, with an index in memory.

On disk each (symbol, period, platform) has a folder named by a hash, with `key.json` and one
file for each version; its name holds the version, the time and the hash of the content, so no
input ever becomes a path and each file can be checked: when it is first served, and by
`check_next`, one by one, since the daemon must not wait for that before it listens.
"""

import json
import os
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import ENOSPC
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any

from zope.interface import implementer

from mtnet.errors import ConfigError, StartError, TemplateError
from mtnet.interfaces import IBackup, IStatus
from mtnet.services.templates.content import platform_of, prepare
from mtnet.services.templates.version import Key, Version
from mtnet.services.templates.wire import PERIODS, PLATFORMS, parse_period, parse_symbol
from mtnet.storage.files import TEMPORARY, atomic_file, sync

CACHE_SIZE = 8
"""Contents kept in memory; all connections that read one share it."""

_AGE = attrgetter("stored")
_FILE = re.compile(r"([0-9]{10})-([0-9]{1,16})-([0-9a-f]{64})\.tpl")
_KEY = "key.json"
_PROBE_FILE = "trial"
PROBE_BYTES = 65_536
"""Bytes that are written to find out whether the disk has room again: the usual template."""


@implementer(IStatus, IBackup)
class Library:
    """
    Versioned store with a content cache.

    Args:
        folder: where it lies; made when it does not exist.
        max_size: bytes of the largest template.
        versions: how many are kept of each key.
        keep_experts: keep chart-level `<expert>` blocks.
        default: `SYMBOL PERIOD` of the default template; empty = the newest upload.

    `store` and `check_next` may run in another thread, one call at a time; all else belongs to
    one thread.

    Raises:
        ConfigError: `default` is not `SYMBOL PERIOD`.
        StartError: the folder cannot be made or read.
    """

    obsolete = ()

    def __init__(
        self,
        folder: Path,
        max_size: int = 1_048_576,
        versions: int = 50,
        keep_experts: bool = False,
        default: str = "",
    ) -> None:
        self._folder, self._max_size, self._versions = folder, max_size, versions
        self._keep_experts, self._default = keep_experts, _default_key(default)
        self._lock = Lock()
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._refused, self._refusing = "", folder
        self._damaged: dict[Path, str] = {}
        self._newest: tuple[object, Version | None] = None, None
        try:
            self._make_folder()
            # Entries are replaced, never changed: a reader sees the old index or the new one.
            self._index = dict(self._load())
            self._unchecked = [each for versions in self._index.values() for each in versions]
        except OSError as error:
            raise StartError(
                f"The templates in {folder} cannot be read: {error.strerror}."
            ) from error

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno != ENOSPC:
                raise
            self._refused = f"The disk did not take the folder of templates: {error.strerror}."

    @property
    def damaged(self) -> list[str]:
        """A sentence for each file that is skipped, as far as it is known."""
        return list(self._damaged.values())

    def store(self, symbol: str, period: str, content: bytes, when: int) -> tuple[Version, bool]:
        """
        Store an upload unless it is the newest version already.

        Args:
            period: its name.
            when: milliseconds since the Unix epoch, UTC.

        Returns:
            The newest version, and whether it was created now.

        Raises:
            TemplateError: `symbol`, `period`, `size`, `template` or `server`; nothing is stored.
        """
        symbol, period = parse_symbol(symbol), parse_period(period)
        content = prepare(content, self._max_size, self._keep_experts)
        key, digest = Key(symbol, period, platform_of(content)), sha256(content).hexdigest()
        with self._lock:
            known = self._index.get(key, ())
            if known and known[-1].sha256 == digest and not self._is_damaged(known[-1]):
                return known[-1], False
            return self._add(key, content, digest, when), True

    def holds(self, symbol: str, period: str, content: bytes) -> bool:
        """
        Return whether `content` is a version that is kept.

        Raises:
            TemplateError: as `store` does.
        """
        content = prepare(content, self._max_size, self._keep_experts)
        key = Key(parse_symbol(symbol), parse_period(period), platform_of(content))
        digest = sha256(content).hexdigest()
        return any(version.sha256 == digest for version in self._index.get(key, ()))

    def get(
        self, symbol: str, period: str, version: int | None = None, platform: str | None = None
    ) -> Version:
        """
        Return a version; without `version` and `platform`, the newest one of either platform.

        Raises:
            TemplateError: `missing`.
        """
        platforms = PLATFORMS if platform is None else (platform,)
        found = [
            each
            for name in platforms
            for each in self._index.get(Key(symbol, period, name), ())
            if version in (None, each.version) and not self._is_damaged(each)
        ]
        if not found:
            number = "" if version is None else f" in version {version}"
            raise TemplateError("missing", f"There is no template for {symbol!r} {period}{number}.")
        return max(found, key=_AGE)

    def newest(self) -> Version:
        """
        Return the newest upload of all.

        Raises:
            TemplateError: `missing`.
        """
        index, (of, found) = self._index, self._newest
        if of is not index or (found is not None and self._is_damaged(found)):
            whole = (
                each
                for versions in index.values()
                for each in versions
                if not self._is_damaged(each)
            )
            found = max(whole, key=_AGE, default=None)
            self._newest = index, found
        if found is None:
            raise TemplateError("missing", "There is no template yet.")
        return found

    def default(self) -> Version:
        """
        Return the version for clients that send no request.

        Raises:
            TemplateError: `missing`.
        """
        return self.newest() if self._default is None else self.get(*self._default)

    def read(self, find: Callable[[], Version]) -> tuple[Version, bytes]:
        """
        Return the version that `find` returns, and its bytes; when they are damaged, `find` is
        called again, since it skips damaged versions.

        Raises:
            TemplateError: `missing`, or `server`: the disk cannot read it.
        """
        while True:
            version = find()
            content = self.content(version)
            if not self._is_damaged(version):
                return version, content
            self._cache.pop(version.file, None)

    def content(self, version: Version) -> bytes:
        """
        Return the bytes of a version; if they changed on the disk, the version is damaged.

        Raises:
            TemplateError: `missing`: pruned meanwhile; `server`: the disk cannot read it.
        """
        found = self._cache.pop(version.file, None)
        if found is None:
            found = self._read(version)
            self._compare(version, found)
        self._cache[version.file] = found
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return found

    def check_next(self) -> str | None:
        """
        Verify the hash of one more version that was there at the start.

        Returns:
            A sentence when it is damaged, and skipped from now on; else an empty one. None when all
            are verified: then the disk is probed, if it refused the last upload.
        """
        if not self._unchecked:
            self._probe_disk()
            return None
        version = self._unchecked.pop()
        if self._is_damaged(version):
            return ""
        with suppress(TemplateError):  # pruned meanwhile, or reported when it is served
            self._compare(version, self._read(version))
        return self._damaged.get(self._path(version), "")

    def listing(self) -> list[dict[str, Any]]:
        """Return the newest version of each key with the numbers kept, ready for JSON."""
        return [
            {**whole[-1].facts(), "versions": [each.version for each in whole]}
            for _, versions in sorted(self._index.items())
            if (whole := [each for each in versions if not self._is_damaged(each)])
        ]

    def health(self) -> dict[str, Any]:
        """Return the number of templates; not `healthy` while the disk refuses uploads."""
        return {
            "healthy": not self._refused,
            "trouble": self._refused or None,
            "templates": len(self._index),
        }

    def status(self) -> dict[str, Any]:
        """Return that, the number of versions, and the damaged files."""
        return {
            **self.health(),
            "versions": sum(map(len, self._index.values())),
            "damaged": self.damaged,
        }

    def _read(self, version: Version) -> bytes:
        try:
            return self._path(version).read_bytes()
        except FileNotFoundError as error:
            raise TemplateError(
                "missing", f"Version {version.version} is kept no longer."
            ) from error
        except OSError as error:
            raise TemplateError(
                "server", f"The disk does not give the template back: {error.strerror}."
            ) from error

    def _compare(self, version: Version, content: bytes) -> None:
        if sha256(content).hexdigest() != version.sha256:
            self._skip(self._path(version))

    def _skip(self, file: Path, why: str = "it is not what was stored") -> None:
        self._damaged[file] = f"{file} is skipped: {why}."

    def _is_damaged(self, version: Version) -> bool:
        return bool(self._damaged) and self._path(version) in self._damaged

    def _path(self, version: Version) -> Path:
        return self._folder / version.key.folder / version.file

    def _add(self, key: Key, content: bytes, digest: str, when: int) -> Version:
        # After the clock was set back, an upload must still be newer than the last one.
        last = max((versions[-1].stored for versions in self._index.values()), default=0)
        folder = self._folder / key.folder
        try:
            number = max((_number(name) for name in _names(folder)), default=0) + 1
            added = Version(key, number, len(content), digest, max(when, last + 1))
            self._write(folder, added, content)
        except OSError as error:
            _remove_unused(folder)
            self._refused = f"The disk did not take the template: {error.strerror}."
            self._refusing = folder
            raise TemplateError("server", self._refused) from error
        self._refused = ""
        kept = (*self._index.get(key, ()), added)[-self._versions :]
        self._index = {**self._index, key: kept}
        self._prune(folder)
        return added

    def backup(self, folder: Path) -> None:
        """Copy all versions; each file has its name once it is whole."""
        unfinished = shutil.ignore_patterns(f"*{TEMPORARY}")
        target = folder / self._folder.name
        shutil.copytree(self._folder, target, copy_function=_copy, ignore=unfinished)

    def _probe_disk(self) -> None:
        """Write a file where the disk refused one: the next upload may be far away."""
        if not self._refused:
            return
        folder = self._refusing if self._refusing.exists() else self._folder
        with self._lock, suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / _PROBE_FILE, b"\0" * PROBE_BYTES)
            (folder / _PROBE_FILE).unlink()
            self._refused = ""

    def _write(self, folder: Path, version: Version, content: bytes) -> None:
        if not folder.exists():
            folder.mkdir(parents=True)
            sync(self._folder)
        if version.key not in self._index:
            _write(folder / _KEY, json.dumps(version.key._asdict()).encode())
        _write(folder / version.file, content)

    def _prune(self, folder: Path) -> None:
        # A file that cannot be removed now is removed with the next version.
        with suppress(OSError):
            names = sorted(name for name in _names(folder) if _FILE.fullmatch(name))
            for name in names[: -self._versions]:
                (folder / name).unlink()

    def _load(self) -> Iterator[tuple[Key, tuple[Version, ...]]]:
        for folder in sorted(self._folder.iterdir() if self._folder.exists() else ()):
            for name in _names(folder):
                if name.endswith(TEMPORARY):
                    (folder / name).unlink()
            key = self._load_key(folder)
            versions = tuple(self._load_versions(folder, key)) if key else ()
            if key and versions:
                yield key, versions[-self._versions :]

    def _load_key(self, folder: Path) -> Key | None:
        try:
            key = Key(**json.loads((folder / _KEY).read_bytes()))
            if key.folder == folder.name and key.period in PERIODS:
                return key
        except (OSError, ValueError, TypeError):
            pass
        if any(_FILE.fullmatch(name) for name in _names(folder)):
            sentence = f"{folder} is skipped: its {_KEY} does not name its templates."
            self._damaged[folder] = sentence
        return None

    def _load_versions(self, folder: Path, key: Key) -> Iterator[Version]:
        for name in sorted(_names(folder)):
            parts = _FILE.fullmatch(name)
            if parts:
                try:
                    size = (folder / name).stat().st_size
                except OSError as error:
                    self._skip(folder / name, str(error.strerror))
                else:
                    yield Version(key, int(parts[1]), size, parts[3], int(parts[2]))


def _default_key(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    symbol, _, period = text.rpartition(" ")
    try:
        return parse_symbol(symbol), parse_period(period)
    except TemplateError as error:
        raise ConfigError(f"templates.default is SYMBOL PERIOD: {error}") from error


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _copy(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # an old version, which a new one has replaced meanwhile
        shutil.copy2(source, target)


def _number(name: str) -> int:
    parts = _FILE.fullmatch(name)
    return int(parts[1]) if parts else 0


def _write(file: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, also when the disk failed at the end."""
    try:
        with atomic_file(file, 0o666) as out:
            out.write(content)
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise


def _remove_unused(folder: Path) -> None:
    """Remove the folder of a key unless a version lies in it."""
    with suppress(OSError):
        if not any(_FILE.fullmatch(name) for name in _names(folder)):
            (folder / _KEY).unlink(missing_ok=True)
            folder.rmdir()
