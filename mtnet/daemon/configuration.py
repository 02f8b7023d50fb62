"""The configuration of the daemon, with the sections of all installed components."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mtnet.config import loader
from mtnet.config.renamed import Warn
from mtnet.config.schema import Config
from mtnet.daemon.registry import installed


def sections() -> dict[str, Any]:
    """
    Return the settings types of the installed components, by the names of their sections.

    Raises:
        ConfigError: two plugins have one name.
    """
    found = {name: plugin.settings for name, plugin in installed().items()}
    return {name: kind for name, kind in found.items() if kind is not None}


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
    listens: Iterable[str] = (),
    data: str | None = None,
    warn: Warn = loader.print_warning,
) -> Config:
    """
    Return the configuration; the arguments are those of `mtnet.config.loader.load`.

    Raises:
        ConfigError: a setting is wrong.
    """
    return loader.load(file, environ, sets, listens, data, warn, sections=sections())
