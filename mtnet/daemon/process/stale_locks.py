"""
Stale locks: files that a killed daemon leaves behind are removed, those of a running one are not.

Twisted asks only whether any process has the number in the file. After a restart of the machine,
and always in a container, another process has it.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from mtnet.daemon.control.client import answers
from mtnet.errors import StartError

DAEMONS = ("twistd", "mtnet")
"""The programs, scripts and modules that are a daemon, without folder, extension and version."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def clear_pidfile(path: Path) -> None:
    """
    Remove a file of a process number when it is empty, as a full disk leaves it, or when the
    process is this one, or not a daemon.

    A number that no process has is left to twistd, and so is a file that cannot be read.
    """
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return
    if not text or (text.isdigit() and _is_another_program(int(text))):
        with suppress(OSError):
            path.unlink()


def check_pidfile(path: Path) -> bool:
    """
    Say whether a process number can be written there; not while the disk is full.

    Raises:
        StartError: it never can.
    """
    trial = path.with_name(path.name + ".new")
    try:
        trial.write_bytes(b"%d" % os.getpid())
    except OSError as error:
        if error.errno in FULL:
            return False
        raise StartError(
            f"The process number cannot be written to {path} ({error.strerror}); name another "
            "file with twistd --pidfile."
        ) from error
    finally:
        with suppress(OSError):
            trial.unlink()
    return True


def clear_socket(path: Path) -> None:
    """Remove a Unix socket, and Twisted's lock of it, where nobody listens."""
    if answers(path):
        return
    lock = path.with_name(path.name + ".lock")
    with suppress(OSError):
        if lock.is_symlink():
            lock.unlink()
    with suppress(OSError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()


def _is_another_program(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # there is no such process, or no /proc
        return False
    return not _is_daemon([os.fsdecode(each) for each in command.split(b"\0")])


def _is_daemon(command: list[str]) -> bool:
    """
    Return whether a command line is of a daemon.

    The path of any program may hold the word mtnet, so folders do not count, and of programs other
    than Python their arguments neither.
    """
    names = [Path(each).stem.rstrip("0123456789") for each in command]
    looked = names if names[0].startswith(("python", "pypy")) else names[:1]
    return any(name in DAEMONS for name in looked)
