"""Access control of the daemon: its files, its threads, and the table of what needs descriptors."""

from twisted.logger import Logger

from mtnet.access.accounts.authenticator import Threads
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.config.schema import Access
from mtnet.daemon.process.machine import Machine
from mtnet.daemon.registry import connection_limits, permissions

HASHER_NICENESS = 5
"""Of the thread that hashes passwords of unknown networks: password guessing keeps it busy
without pause, and on one CPU it would take half of it."""

log = Logger()


def open_access(settings: Access, machine: Machine) -> AccessControl:
    """
    Read accounts and bans, and store them from time to time; blocks.

    Raises:
        ConfigError: `[access]` names an invalid right or network.
        JournalError: a file cannot be read.
    """
    known = permissions()
    unknown_networks = machine.make_worker("mtnet-hasher", HASHER_NICENESS)
    known_networks = machine.make_worker("mtnet-logins")
    access = AccessControl(
        settings.with_defaults(connection_limits()),
        AccountStore(machine.folder.accounts, known),
        BanStore(machine.folder.bans),
        Threads(unknown_networks, known_networks, machine.disk),
        machine.reactor,
        machine.now,
        known,
    )
    access.load()
    machine.repeat(settings.save_interval, "The note of logins and bans", access.flush)
    return access


def warn_of_few_descriptors(access: AccessControl, services: set[str], limit: int | None) -> None:
    """
    Log that the system allows fewer connections than the configuration, where strangers connect.

    Args:
        services: those that listen.
        limit: connections that there are descriptors for; None = unknown.
    """
    most = sum(access.settings.limits(name).total or 0 for name in services)
    exposed = not access.accounts.empty or access.anonymous.configured
    if limit is not None and limit < most and exposed:
        log.warn(
            "There is room for {room} connections, and access.connections allows {most}: "
            "raise the hard limit of open files (`ulimit -Hn`, LimitNOFILE= of systemd)",
            room=limit,
            most=most,
        )
