"""The options of `twistd mtnet`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from twisted.python import usage

from mtnet.config.schema import Config
from mtnet.daemon.configuration import load
from mtnet.daemon.process.stale_locks import check_pidfile, clear_pidfile
from mtnet.errors import StartError


class Options(usage.Options):
    """Command-line options; `load` joins them with file and environment."""

    synopsis = "[options]"
    longdesc = (
        "Hosts templates and signals for MetaTrader terminals. With no options everything "
        "runs on loopback: templates on 8080, signals on 8081, the web service on 8083. "
        "Example: mtnet run --listen signals=tcp:8081 --set access.anonymous=follow"
    )
    optFlags: ClassVar = [["check", None, "Check configuration and plugins, start nothing."]]
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration, a TOML file."],
        ["data", "d", None, "The data folder."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"], self["set"] = [], []

    def opt_listen(self, text: str) -> None:
        """NAME=ENDPOINT or NAME=off: where a service listens; repeat it for several."""
        self["listen"].append(text)

    def opt_set(self, text: str) -> None:
        """SECTION.KEY=VALUE: one setting, such as signals.pace=0."""
        self["set"].append(text)

    def opt_version(self) -> None:
        """Print the version of mtnet and exit."""
        from mtnet import __version__

        raise SystemExit(print(f"mtnet {__version__}"))

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse, and end the process with one sentence where that fails."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(f"mtnet: {error}; see `mtnet run --help`.") from error
        if self.parent is not None and self.parent.get("pidfile"):
            _check_pidfile(self.parent)

    def load(self) -> Config:
        """
        Return the configuration that the options ask for.

        Raises:
            ConfigError: a setting is wrong.
        """
        file = None if self["config"] is None else Path(self["config"])
        return load(file, os.environ, self["set"], self["listen"], self["data"])


def _check_pidfile(twistd: usage.Options) -> None:
    # twistd looks at it before it asks for the service, and writes it after the fork.
    path = Path(twistd["pidfile"])
    clear_pidfile(path)
    try:
        written = check_pidfile(path)
    except StartError as error:
        raise SystemExit(f"mtnet: {error}") from error
    if not written:
        sys.stderr.write(f"mtnet: The disk is full: there will be no {path}.\n")
        twistd["pidfile"] = ""
