"""What whoever runs the daemon can do with accounts: the commands of the control socket."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mtnet.access.accounts.login_history import Login
from mtnet.access.accounts.model import Account, Accounts, Directory, Token
from mtnet.access.accounts.passwords import check_password
from mtnet.access.accounts.store import AccountStore, unknown
from mtnet.clock import DAY_MS, WallClock
from mtnet.errors import AccountError, JournalError, WireError
from mtnet.values import Json

LONGEST = 36_500
"""Days of the longest token."""
SHOWN = 100
"""Networks that are told of one account, the last first."""

Stored = tuple[Directory, list[Login], dict[str, int]]
"""What is on disk: the accounts, the logins, and the last use of tokens by their id."""


class Arguments(msgspec.Struct, frozen=True):
    """
    The arguments of all commands; each reads those that it knows.

    Attributes:
        grants: None = nothing was said of them.
        days: until a token expires; None = never.
        token: an id.
    """

    name: str = ""
    grants: list[str] | None = None
    password: str = ""
    label: str = ""
    days: float | None = None
    token: str = ""

    def __repr__(self) -> str:
        return f"Arguments({self.name!r})"  # whoever prints it, the password stays out


Command = Callable[[Arguments], Coroutine[Any, Any, Json]]


class AccountCommands:
    """
    Changes accounts on disk, and then in the running daemon.

    Args:
        in_thread: calls what blocks in the one thread of `records`.
        now: wall time, and whether it may be believed.
        hash: returns the PHC string of a password, and does not block.
    """

    log = Logger()

    def __init__(
        self,
        accounts: Accounts,
        records: AccountStore,
        in_thread: Callable[..., "Deferred[Any]"],
        now: WallClock,
        hash: Callable[[str], "Deferred[str]"],
    ) -> None:
        self._accounts, self._records, self._in_thread = accounts, records, in_thread
        self._now, self._hash = now, hash

    def commands(self) -> dict[str, Callable[[Mapping[str, Json]], "Deferred[Json]"]]:
        """
        Return what can be asked for through the control socket; `Arguments` has the arguments.

        A change is answered by what the account is then, `account token` by the token's id and
        secret, `account remove` by None. They fail with AccountError when they are refused,
        WireError when an argument is of another type, and JournalError.
        """
        does: dict[str, Command] = {
            "list": self._list,
            "show": self._show,
            "add": self._add,
            "passwd": self._passwd,
            "token": self._issue,
            "untoken": self._withdraw,
            "grant": self._granting(self._records.grant),
            "revoke": self._granting(self._records.revoke),
            "disable": self._switching(self._records.disable),
            "enable": self._switching(self._records.enable),
            "remove": self._remove,
        }
        return {f"account {name}": partial(_begin, do) for name, do in does.items()}

    async def reload(self) -> None:
        """Read the accounts anew; they stay as they were when the disk does not give them."""
        try:
            directory = await self._in_thread(self._records.directory)
        except JournalError as error:
            self.log.error("{error} The accounts stay as they were.", error=error)
            return
        self._accounts.replace(directory)
        self.log.info("The accounts were read anew: {count}.", count=len(directory.accounts))

    async def flush(self) -> None:
        """Store who logged in and which tokens were used; close what tokens let in that expired."""
        if self._now.right:
            self._accounts.expire(self._now())
        done = self._accounts.used()
        if not any(done):
            return
        try:
            await self._in_thread(self._records.note, *done)
        except JournalError as error:
            self._accounts.put_back(*done)
            self.log.warn("{error} The last logins are stored later.", error=error)

    async def rehash(self, name: str, old: str, new: str) -> None:
        """
        Store a password in another form; nobody is logged out by it.

        Raises:
            JournalError: the disk does not keep it; the old form is as good.
        """
        await self._change(self._records.rehash, name, old, new)

    # The commands

    async def _list(self, asked: Arguments) -> Json:
        return list(_rows(await self._stored()).values())

    async def _show(self, asked: Arguments) -> Json:
        stored = await self._stored()
        row = _rows(stored).get(asked.name)
        if row is None:
            raise AccountError(unknown(asked.name, stored[0].accounts))
        return {**row, **_details(asked.name, stored)}

    async def _add(self, asked: Arguments) -> Json:
        password = await self._hashed(asked.password) if asked.password else ""
        return await self._told(self._records.add, asked, asked.grants or [], password, self._now())

    async def _passwd(self, asked: Arguments) -> Json:
        password = await self._hashed(asked.password)
        return await self._told(self._records.set_password, asked, password, self._now())

    async def _issue(self, asked: Arguments) -> Json:
        now = self._now()
        expires = None if asked.days is None else now + _milliseconds(asked.days)
        values = asked.label, asked.grants, expires, now
        id, secret = await self._change(self._records.issue, asked.name, *values)
        return {"id": id, "secret": secret}

    async def _withdraw(self, asked: Arguments) -> Json:
        return await self._told(self._records.withdraw, asked, asked.token)

    async def _remove(self, asked: Arguments) -> None:
        await self._change(self._records.remove, asked.name)

    def _granting(self, change: Callable[..., None]) -> Command:
        return lambda asked: self._told(change, asked, asked.grants or [])

    def _switching(self, change: Callable[..., None]) -> Command:
        return lambda asked: self._told(change, asked)

    # How they do it

    async def _hashed(self, password: str) -> str:
        check_password(password)
        return await self._hash(password)

    async def _told(self, change: Callable[..., Json], asked: Arguments, *values: object) -> Json:
        await self._change(change, asked.name, *values)
        account = self._accounts.get(asked.name)
        return account and _row(account)  # another command may have removed it meanwhile

    async def _change(self, change: Callable[..., Json], name: str, *values: object) -> Json:
        result, directory = await self._in_thread(self._changed, change, name, *values)
        self._accounts.replace(directory)
        self.log.info("Account {name!r}: {change} is done.", name=name, change=change.__name__)
        return result

    def _changed(
        self, change: Callable[..., Json], name: str, *values: object
    ) -> tuple[Json, Directory]:
        # In one turn of the thread, so that no older directory ever follows a newer one.
        return change(name, *values), self._records.directory()

    async def _stored(self) -> Stored:
        await self.flush()
        stored: Stored = await self._in_thread(self._read)
        return stored

    def _read(self) -> Stored:
        return *self._records.load(), self._records.uses()


def _begin(command: Command, asked: Mapping[str, Json]) -> "Deferred[Json]":
    try:
        arguments = msgspec.convert(asked, type=Arguments)
    except msgspec.ValidationError as error:
        raise WireError("request", f"An argument cannot be used: {error}.") from error
    return Deferred.fromCoroutine(command(arguments))


def _milliseconds(days: float) -> int:
    if not 0 < days <= LONGEST:
        raise AccountError(f"A token lasts more than 0 days and at most {LONGEST}, not {days:g}.")
    return round(days * DAY_MS)


# What is told: no secret, and no digest of one


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


def _details(name: str, stored: Stored) -> dict[str, Json]:
    directory, logins, uses = stored
    account = directory.accounts[name]
    return {
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
