"""
Contexts: servers by name, each with its authorities and login, and no password.

They are kept in `$XDG_CONFIG_HOME/mtnet/contexts.json`, which only its owner reads.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from mtnet.errors import ClientError, JournalError
from mtnet.storage.files import replace_file


class Context(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A server, and how it is reached.

    Attributes:
        server: of every service that is not in `services`; empty = of none.
        services: servers of single services.
        ca: file of the authorities that are trusted; None = those of the machine.
        login: None = anonymous.
    """

    server: str = ""
    services: dict[str, str] = {}
    ca: str | None = None
    login: str | None = None


class Contexts(Struct, frozen=True, forbid_unknown_fields=True):
    """
    All contexts.

    Attributes:
        current: the name of the one that commands use by default; None = none.
    """

    contexts: dict[str, Context] = {}
    current: str | None = None

    def named(self, name: str) -> Context:
        """
        Return a context.

        Raises:
            ClientError: there is none of that name.
        """
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none"
            raise ClientError(
                f"There is no context {name!r} (known: {known}). Example: mtnet context add "
                "home --server secure:fx.example:8081 --login alice"
            )
        return self.contexts[name]


def path() -> Path:
    """Return the path of the file."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path("~/.config").expanduser()) / "mtnet" / "contexts.json"


def load() -> Contexts:
    """
    Read the file; without one there are no contexts.

    Raises:
        ClientError: it cannot be read, or holds something else.
    """
    try:
        return msgspec.json.decode(path().read_bytes(), type=Contexts)
    except FileNotFoundError:
        return Contexts()
    except (OSError, msgspec.MsgspecError) as error:
        raise ClientError(
            f"{path()} cannot be read as contexts ({error}). Correct it, or move it away and add "
            "them again. Example: mtnet context add home --server secure:fx.example:8081"
        ) from error


def save(contexts: Contexts) -> None:
    """
    Replace the file.

    Raises:
        ClientError: it cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(contexts), indent=2) + b"\n"
    try:
        path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path(), text)
    except (OSError, JournalError) as error:
        raise ClientError(f"The contexts cannot be kept: {error}") from error
