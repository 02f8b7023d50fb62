"""
Client of the control socket `DATA/control`, for programs without a reactor.

It imports no Twisted, which takes longer than the command itself.
"""

import socket
from pathlib import Path

import msgspec

from mtnet.errors import ClientError, quote
from mtnet.values import Json

MAX_ANSWER = 16_777_216
"""Bytes of an answer's line that `ask` reads at most."""
TIMEOUT = 5.0
"""Seconds that `ask` waits each time that the daemon neither takes nor gives a byte."""
BROKEN = "The daemon failed at this command; its log says why."


def answers(path: Path) -> bool:
    """Say whether somebody listens at `path`; who cannot be asked for other reasons may."""
    if not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def ask(path: Path, command: str, wait: float | None = TIMEOUT, **arguments: Json) -> Json:
    """
    Ask the daemon behind the socket at `path`; blocks, for programs without a reactor.

    Args:
        wait: seconds until an answer must come; None = however long the command takes.

    Raises:
        ClientError: nobody answers, the answer is a refusal, or none came in time.
    """
    request = msgspec.json.encode({**arguments, "command": command}) + b"\n"
    try:
        line = _exchange(path, request, wait)
    except OSError as error:
        raise ClientError(_explain(path, error, wait)) from error
    if not line.endswith(b"\n"):
        raise ClientError(f"The daemon on {path} broke off its answer; its log may say why.")
    return _result(path, line)


def _exchange(path: Path, request: bytes, wait: float | None) -> bytes:
    if not hasattr(socket, "AF_UNIX"):
        raise ClientError("This system has no Unix sockets, so a daemon cannot be asked here.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(wait)
        connection.connect(str(path))
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            return answer.readline(MAX_ANSWER)


def _result(path: Path, line: bytes) -> Json:
    try:
        answer = msgspec.json.decode(line, type=dict[str, Json])
    except msgspec.DecodeError as error:
        raise ClientError(
            f"Invalid answer on {path}: expected that of a mtnet daemon, got {quote(line)}."
        ) from error
    if answer.get("ok") is not True:
        raise ClientError(str(answer.get("error", BROKEN)))
    return answer.get("result")


_SENTENCES: tuple[tuple[type[OSError], str], ...] = (
    (
        FileNotFoundError,
        "No daemon answers on {path}: start one with `mtnet run`, or name its data folder "
        "with --data.",
    ),
    (
        ConnectionRefusedError,
        "The daemon that made {path} is gone: start one with `mtnet run`, or name another "
        "data folder with --data.",
    ),
    (PermissionError, "{path} belongs to another user: ask as the user that runs the daemon."),
    (TimeoutError, "The daemon on {path} did not answer within {wait:g} s."),
    (OSError, "{path} cannot be asked: {reason}."),
)


def _explain(path: Path, error: OSError, wait: float | None) -> str:
    sentence = next(text for kind, text in _SENTENCES if isinstance(error, kind))
    return sentence.format(path=path, reason=error.strerror or error, wait=wait or TIMEOUT)
