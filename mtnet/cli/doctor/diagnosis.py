"""The work of `mtnet doctor`."""

import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from ipaddress import ip_address
from threading import Thread
from typing import TypeVar

from mtnet.cli.doctor.findings import (
    WRONG,
    Finding,
    Target,
    allow_list,
    judge,
    resolved,
    unresolved,
)
from mtnet.cli.doctor.ports import DEFAULTS
from mtnet.cli.doctor.probe import PortReport, probe_port, resolve
from mtnet.cli.output import print_result
from mtnet.clock import system_time
from mtnet.errors import CertificateError, ClientError
from mtnet.net.tls.authority import chain_pem, parse_name
from mtnet.net.tls.certificates import read_certificates

NAME = 10.0
"""Seconds for the resolution of a name."""
PORTS = 60.0
"""Seconds for all ports together; a server that answers needs two."""
ADDRESSES = 8
"""Addresses of a name that are looked at."""

T = TypeVar("T")

_TARGET = re.compile(r"(?:\[([^][]+)\]|([^][:]+))(?::([0-9]{1,5}))?", re.ASCII)


def doctor(arguments: Namespace) -> None:
    """
    Print the findings.

    Raises:
        ClientError: the host is invalid.
        CertificateError: the file of `--ca` holds no certificate.
        SystemExit: something is wrong.
    """
    host, port = parse_target(arguments.target)
    authorities = None
    if arguments.ca is not None:
        authorities = chain_pem(read_certificates(arguments.ca)).decode("ascii")
    found = list(find(host, port, str(arguments.ca or ""), authorities))
    wrong = [finding for finding in found if finding.level == WRONG]
    report = {"host": host, "healthy": not wrong, "findings": [asdict(each) for each in found]}
    print_result(arguments, report, "\n".join(_lines(found)))
    if wrong:
        raise SystemExit(1)


def parse_target(text: str) -> tuple[str, int | None]:
    """
    Return the host, as in certificates, and the port if there is one.

    Raises:
        ClientError: it is neither HOST nor HOST:PORT.
    """
    with suppress(ValueError):
        return parse_name(str(ip_address(text))), None
    found = _TARGET.fullmatch(text)
    port = int(found[3]) if found and found[3] else None
    try:
        if found is None or "*" in text or (port is not None and not 0 < port < 65_536):
            raise CertificateError
        return parse_name(found[1] or found[2]), port
    except CertificateError as error:
        raise ClientError(
            f"Invalid target {text!r}: expected HOST or HOST:PORT. Examples: fx.example, "
            "fx.example:8081, [2001:db8::7]:8081"
        ) from error


def find(host: str, port: int | None, ca: str, authorities: str | None) -> Iterator[Finding]:
    """Probe a server, and yield the findings."""
    (resolution,) = in_threads([partial(resolve, host)], NAME)
    if not resolution.done():
        yield from (unresolved(host, f"no answer within {NAME:g} s"), allow_list(host))
        return
    try:
        addresses = resolution.result()
    except OSError as error:
        yield from (unresolved(host, error.strerror or str(error)), allow_list(host))
        return
    if addresses != [host]:
        yield resolved(host, addresses)
    target = Target(host, port is not None, ca, system_time())
    ports = DEFAULTS if port is None else (port,)
    yield from judge(target, probe_all(host, addresses[:ADDRESSES], ports, authorities))


def probe_all(
    host: str, addresses: list[str], ports: tuple[int, ...], authorities: str | None
) -> list[PortReport]:
    """Probe all ports of all addresses at once."""
    places = [(address, port) for address in addresses for port in ports]
    looks = [partial(probe_port, host, address, port, authorities) for address, port in places]
    seen = in_threads(looks, PORTS)
    return [
        each.result()
        if each.done()
        else PortReport(*place, failure=f"no end of it within {PORTS:g} s")
        for each, place in zip(seen, places, strict=True)
    ]


def in_threads(calls: "Sequence[Callable[[], T]]", seconds: float) -> "list[Future[T]]":
    """
    Run all calls at once, each in a daemon thread; wait for so many seconds at most.

    A call that hangs stays behind, and does not keep the process alive.
    """
    futures: list[Future[T]] = [Future() for _ in calls]
    for call, future in zip(calls, futures, strict=True):
        Thread(target=_fulfil, args=(future, call), daemon=True).start()
    wait(futures, seconds)
    return futures


def _fulfil(future: "Future[T]", call: "Callable[[], T]") -> None:
    try:
        future.set_result(call())
    except Exception as error:
        future.set_exception(error)


def _lines(found: list[Finding]) -> Iterator[str]:
    for finding in found:
        yield _clean(f"{finding.level.upper():<5}  {finding.about}: {finding.text}")
        if finding.todo:
            yield _clean(f"       Do: {finding.todo}")
    wrong = sum(finding.level == WRONG for finding in found)
    yield f"{wrong} to be done." if wrong else "Nothing is wrong."


def _clean(text: str) -> str:
    """Escape control characters, which could control the user's terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
