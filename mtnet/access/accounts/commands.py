"""The owner's commands on accounts: the control socket's part of `mtnet account`."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec

from mtnet.access.accounts.login_history import Login
from mtnet.access.accounts.model import Account, Accounts, Directory, Token
from mtnet.access.accounts.passwords import check_password
from mtnet.access.accounts.store import AccountStore, unknown
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.durations import DAY_MS
from mtnet.errors import AccountError, JournalError, WireError
from mtnet.late_logger import LateLogger
from mtnet.values import Json

LONGEST = 36_500
"""Days of the longest token."""
SHOWN = 100
"""Networks that are shown of one account, the last first."""

Stored = tuple[Directory, list[Login], dict[str, int]]
"""The content of the file: the accounts, the logins, and the last use of tokens by their id."""


class Arguments(msgspec.Struct, frozen=True):
    """
    The arguments of all commands; each reads those that it knows.

    Attributes:
        grants: None = not given.
        days: until a token expires; None = never.
        token: an id.
        who: the one who asks.
    """

    name: str = ""
    grants: list[str] | None = None
    password: str = ""
    label: str = ""
    days: float | None = None
    token: str = ""
    who: str = ""

    def __repr__(self) -> str:
        return f"Arguments({self.name!r})"  # without the password


Command = Callable[[Arguments], Coroutine[Any, Any, Json]]


class AccountCommands:
    """
    Changes accounts on disk, and then in the running daemon.

    Args:
        in_thread: runs a blocking function in the one thread of `store`.
        now: wall time, and whether it can be trusted.
        hash: returns the PHC string of a password, and does not block.
        security_log: logs each change.
    """

    log = LateLogger()

    def __init__(
        self,
        accounts: Accounts,
        store: AccountStore,
        in_thread: Callable[..., Awaitable[Any]],
        now: WallClock,
        hash: Callable[[str], Awaitable[str]],
        security_log: SecurityLog,
    ) -> None:
        self._accounts, self._store, self._in_thread = accounts, store, in_thread
        self._now, self._hash, self._security_log = now, hash, security_log
        self._reported: set[tuple[str, str]] = set()

    def commands(self) -> dict[str, Callable[[Mapping[str, Json]], Coroutine[Any, Any, Json]]]:
        """
        Return the commands for the control socket; `Arguments` has their arguments.

        A change is answered by the account as it is then, `account token` by the token's id and
        secret, `account remove` by None. They fail with AccountError when they are refused,
        WireError when an argument has the wrong type, and JournalError.
        """
        table: dict[str, Command] = {
            "list": self._list,
            "show": self._show,
            "add": self._add,
            "passwd": self._passwd,
            "token": self._issue,
            "untoken": self._withdraw,
            "grant": self._granting(self._store.grant),
            "revoke": self._granting(self._store.revoke),
            "disable": self._switching(self._store.disable),
            "enable": self._switching(self._store.enable),
            "remove": self._remove,
        }
        return {f"account {name}": partial(_begin, command) for name, command in table.items()}

    def load(self) -> None:
        """
        Read the file; blocks, so it is for the time before the first connection.

        Raises:
            JournalError: the file cannot be read.
        """
        directory, logins = self._store.load()
        self._accounts.load(directory, logins)
        self._accounts.expire(self._now())
        self._now.compare("the newest account or token", directory.newest)
        self._report_unknown()

    async def reload(self) -> None:
        """Read the accounts again; they stay as they are when the disk fails."""
        try:
            directory = await self._in_thread(self._store.directory)
        except JournalError as error:
            self.log.error("{error} The accounts stay as they were.", error=error)
            return
        self._accounts.replace(directory)
        self.log.info("The accounts were reloaded: {count}.", count=len(directory.accounts))
        self._report_unknown()

    def _report_unknown(self) -> None:
        """Log each grant of a service that is not installed, once."""
        for name, grant in sorted(self._store.grants.unknown - self._reported):
            self.log.warn(
                "The account {name} is granted {grant}, which no installed service knows, and has "
                "no right by it. `mtnet account revoke {name} {grant}` removes it.",
                name=name,
                grant=grant,
            )
        self._reported |= self._store.grants.unknown

    async def flush(self) -> None:
        """Store logins and uses of tokens; close the connections of expired tokens."""
        if self._now.right:
            self._accounts.expire(self._now())
        done = self._accounts.used()
        if not any(done):
            return
        try:
            await self._in_thread(self._store.note, *done)
        except JournalError as error:
            self._accounts.put_back(*done)
            self.log.warn("{error} The last logins are stored later.", error=error)

    async def rehash(self, name: str, old: str, new: str) -> None:
        """
        Store another hash of the same password; nobody is logged out by it.

        Raises:
            JournalError: the disk fails; the old hash stays valid.
        """
        await self._change(self._store.rehash, Arguments(name), old, new)

    # The commands

    async def _list(self, arguments: Arguments) -> Json:
        return list(_rows(await self._stored()).values())

    async def _show(self, arguments: Arguments) -> Json:
        return _shown(arguments.name, await self._stored())

    async def _add(self, arguments: Arguments) -> Json:
        password = await self._hashed(arguments.password) if arguments.password else ""
        grants = arguments.grants or []
        return await self._changed_row(self._store.add, arguments, grants, password, self._now())

    async def _passwd(self, arguments: Arguments) -> Json:
        password = await self._hashed(arguments.password)
        return await self._changed_row(self._store.set_password, arguments, password, self._now())

    async def _issue(self, arguments: Arguments) -> Json:
        now = self._now()
        expires = None if arguments.days is None else now + _milliseconds(arguments.days)
        values = arguments.label, arguments.grants, expires, now
        id, secret = await self._change(self._store.issue, arguments, *values)
        return {"id": id, "secret": secret}

    async def _withdraw(self, arguments: Arguments) -> Json:
        return await self._changed_row(self._store.withdraw, arguments, arguments.token)

    async def _remove(self, arguments: Arguments) -> None:
        await self._change(self._store.remove, arguments)

    def _granting(self, change: Callable[..., None]) -> Command:
        return lambda arguments: self._changed_row(change, arguments, arguments.grants or [])

    def _switching(self, change: Callable[..., None]) -> Command:
        return lambda arguments: self._changed_row(change, arguments)

    # A change

    async def _hashed(self, password: str) -> str:
        check_password(password)
        return await self._hash(password)

    async def _changed_row(
        self, change: Callable[..., Json], arguments: Arguments, *values: object
    ) -> Json:
        await self._change(change, arguments, *values)
        account = self._accounts.get(arguments.name)
        return account and _row(account)  # another command may have removed it meanwhile

    async def _change(
        self, change: Callable[..., Json], arguments: Arguments, *values: object
    ) -> Json:
        name, word = arguments.name, change.__name__.replace("_", "-")
        result, only = await self._in_thread(_run, self._store, change, name, *values)
        self._accounts.change(name, only)
        self._security_log.account_changed(name, word, arguments.who)
        return result

    async def _stored(self) -> Stored:
        await self.flush()
        stored: Stored = await self._in_thread(self._read)
        return stored

    def _read(self) -> Stored:
        return *self._store.load(), self._store.uses()


def _run(
    store: AccountStore, change: Callable[..., Json], name: str, *values: object
) -> tuple[Json, Directory]:
    # In one turn of the thread, so that no older account ever follows a newer one.
    return change(name, *values), store.only(name)


def _begin(command: Command, arguments: Mapping[str, Json]) -> Coroutine[Any, Any, Json]:
    try:
        read = msgspec.convert(arguments, type=Arguments)
    except msgspec.ValidationError as error:
        raise WireError("request", f"Invalid argument: {error}.") from error
    return command(read)


def _milliseconds(days: float) -> int:
    if not 0 < days <= LONGEST:
        raise AccountError(f"A token lasts more than 0 days and at most {LONGEST}, not {days:g}.")
    return round(days * DAY_MS)


# The answers: no secret, and no digest of one


def _row(account: Account) -> dict[str, Json]:
    return {
        "name": account.name,
        "grants": list(account.grants),
        "disabled": account.disabled,
        "password": bool(account.password),
    }


def _rows(stored: Stored) -> dict[str, dict[str, Json]]:
    directory, logins, uses = stored
    tokens = directory.tokens.values()
    count = Counter(token.account for token in tokens)
    last = {login.name: login.when for login in logins}
    for token in tokens:
        if token.id in uses:
            last[token.account] = max(last.get(token.account, 0), uses[token.id])
    return {
        name: {**_row(account), "tokens": count[name], "last": last.get(name)}
        for name, account in directory.accounts.items()
    }


def _shown(name: str, stored: Stored) -> dict[str, Json]:
    directory, logins, uses = stored
    account = directory.accounts.get(name)
    if account is None:
        raise AccountError(unknown(name, directory.accounts))
    return {
        **_rows(stored)[name],
        "rights": list(account.rights),
        "created": account.created,
        "changed": account.changed,
        "tokens": [_token(t, uses) for t in directory.tokens.values() if t.account == name],
        "networks": _networks(name, logins),
    }


def _token(token: Token, uses: dict[str, int]) -> dict[str, Json]:
    return {
        "id": token.id,
        "label": token.label,
        "grants": None if token.grants is None else list(token.grants),
        "created": token.created,
        "expires": token.expires,
        "last": uses.get(token.id),
    }


def _networks(name: str, logins: list[Login]) -> list[dict[str, Json]]:
    found = [login for login in reversed(logins) if login.name == name]
    return [{"network": login.network, "last": login.when} for login in found[:SHOWN]]
