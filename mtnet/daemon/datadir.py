"""The data folder: made, checked, and locked against a second daemon."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mtnet.errors import JournalError, NotAskedError, StartError
from mtnet.storage.space import Space
from mtnet.storage.sqlite import FileIdentity, copy_database, has_free_space

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no advisory locks of this kind
    fcntl = None  # type: ignore[assignment]


ACCOUNTS = "accounts.sqlite"
"""The file of accounts in a data folder."""


class DataFolder:
    """
    The locked data folder, and the files in it that belong to no component.

    Attributes:
        space: of its disk at the last `check_space`; None = unknown.

    Raises:
        StartError: it cannot be made or written, or another daemon uses it.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.accounts = self.path / ACCOUNTS
        self.bans = self.path / "bans.sqlite"
        self.control = self.path / "control"
        self.alive = self.path / "alive"
        self.doubted = self.path / "alive.doubted"
        self.unfinished = self.path / "restore.unfinished"
        self.obsolete = (self.accounts.name, self.bans.name)
        self._room = True
        self.space: Space | None = None
        try:
            make_folder(self.path)
            check_permissions(self.path)
            self._lock = self._lock_file(self.path / "lock")
        except BlockingIOError as error:
            raise StartError(
                f"Another mtnet runs on the data folder {path}; name one of its own with --data."
            ) from error
        except OSError as error:
            raise StartError(
                f"The data folder {path} cannot be used ({error.strerror}); name another one "
                "with --data."
            ) from error

    def _lock_file(self, path: Path) -> IO[str]:
        # The lock belongs to the open file, which a daemon's fork inherits; it ends with
        # the process, however that ends.
        file = path.open("a", encoding="ascii")
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
        return file

    def replaced(self) -> str | None:
        """Return the trouble when the folder was removed or replaced; None = it was not."""
        try:
            if FileIdentity.of(self.path / "lock") == FileIdentity.of(self._lock.fileno()):
                return None
        except OSError as error:
            return f"The data folder cannot be looked at: {error.strerror}"
        return (
            "The data folder was removed, moved or replaced while the daemon runs; nothing is "
            "stored until it is back"
        )

    def backup(self, folder: Path) -> None:
        """
        Copy accounts and bans; as of `IBackup`.

        Raises:
            JournalError: one of them is damaged, or the disk is full or failed.
        """
        for each in (self.accounts, self.bans):
            if each.exists():
                copy_database(each, folder / each.name)

    def check_restored(self) -> None:
        """
        Check that no restore was cut short here.

        Raises:
            StartError: some files are those of a backup, and others are not.
        """
        if self.unfinished.exists():
            raise StartError(
                f"A restore to {self.path} was cut short: run `mtnet restore --force FOLDER` again."
            )

    @contextmanager
    def opening(self) -> Iterator[None]:
        """
        Turn the error of a file that cannot be opened into a reason not to start.

        Raises:
            StartError: names what helps.
        """
        try:
            yield
        except NotAskedError as error:
            raise StartError(str(error)) from error
        except JournalError as error:
            remedy = "Restore it from a backup, or name another --data."
            if not has_free_space(self.path):
                remedy = "Make room on the disk of the data folder."
            raise StartError(f"{error} {remedy}") from error

    def clear_control(self) -> None:
        """Remove the control socket that a killed daemon left behind."""
        if self.control.exists():
            os.unlink(self.control)

    def last_run(self) -> int:
        """
        Return when a daemon ran here last, by its clock.

        Returns:
            Milliseconds since the Unix epoch; 0 = unknown.
        """
        try:
            return self.alive.stat().st_mtime_ns // 1_000_000
        except OSError:
            return 0

    def record_run(self, when: int, right: bool, doubted_since: int) -> None:
        """
        Note that a daemon runs; blocks.

        Args:
            when: wall time, milliseconds since the Unix epoch.
            right: whether the time can be trusted.
            doubted_since: the first start with a doubted clock; 0 = none.
        """
        with suppress(OSError):  # these are hints
            if right:
                self._record_time(when)
            self._record_doubt(doubted_since, when)

    def _record_time(self, when: int) -> None:
        if not self.alive.exists():
            os.close(os.open(self.alive, os.O_CREAT, 0o600))
        os.utime(self.alive, ns=(when * 1_000_000, when * 1_000_000))

    def _record_doubt(self, first: int, last: int) -> None:
        if not first:
            self.doubted.unlink(missing_ok=True)
            return
        with open(os.open(self.doubted, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(f"{first} {last}\n")
            file.truncate()

    def doubted_runs(self) -> tuple[int, int]:
        """
        Return the times of the runs whose clock was doubted, by that clock.

        Returns:
            The first start and the last time, milliseconds since the Unix epoch; 0 = none.
        """
        try:
            first, last = map(int, self.doubted.read_text("ascii").split())
        except (OSError, ValueError):
            return 0, 0
        return first, last

    def check_space(self) -> None:
        """Look whether the disk has room; blocks, for as long as a network file system hangs."""
        self._room, self.space = has_free_space(self.path), Space.of(self.path)

    def health(self) -> dict[str, Any]:
        """
        Return whether the disk had room at the last `check_space`; without room, stored data is
        still served.
        """
        if self._room:
            return {"healthy": True, "trouble": None}
        text = "The disk of the data folder is full: what it holds is served, and no more stored."
        return {"healthy": False, "trouble": text}

    def release(self) -> None:
        """Let another daemon use the folder."""
        self._lock.close()


def make_folder(path: Path) -> None:
    """
    Make a data folder that its owner alone can read, if it is not there.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def check_permissions(path: Path) -> None:
    """
    Refuse a data folder whose files others on this machine can read: logins lie there.

    Raises:
        StartError: names each of them, and what closes them.
    """
    if os.name != "posix":
        return
    names = [*path.glob("*.sqlite*"), *path.glob("*.heads")]
    opened = [each for each in names if each.exists() and each.stat().st_mode & stat.S_IRWXO]
    if opened:
        raise StartError(
            f"Other users can open {', '.join(map(str, opened))}; "
            f"`chmod o-rwx {' '.join(map(str, opened))}` closes that."
        )
