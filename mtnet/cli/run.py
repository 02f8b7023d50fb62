"""`mtnet run` and `mtnet check`: twistd in the foreground."""

import sys
from collections.abc import Callable, Iterator

from twisted.application.app import run as run_application
from twisted.application.service import ServiceMaker
from twisted.python.runtime import platform
from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]

Subcommand = tuple[str, None, Callable[[], object], str]


class RunOptions(ServerOptions):
    """twistd's options with mtnet as the only thing to run, called `run`."""

    synopsis = "Usage: mtnet"

    @property
    def subCommands(self) -> Iterator[Subcommand]:
        """Yield mtnet itself: twistd's plugin search misses it in some editable installs."""
        maker = ServiceMaker("mtnet", "mtnet.daemon.tap", "Run the daemon.", "mtnet")
        self.loadedPlugins = {"run": maker}
        yield "run", None, lambda: maker.options(), maker.description


def run(arguments: list[str]) -> None:
    """Run the daemon until it is stopped; `arguments` are those of `twistd mtnet`."""
    pidfile = [] if platform.isWindows() else ["--pidfile="]
    # twistd reads its command line from here and nowhere else.
    sys.argv = ["mtnet", "--nodaemon", *pidfile, "run", *arguments]
    run_application(runApp, RunOptions)


def check(arguments: list[str]) -> None:
    """Check what `run` would do with the same arguments, and start nothing."""
    run(["--check", *arguments])
