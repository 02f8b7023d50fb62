"""Accounts by HTTP, for a login with the right `admin` (`docs/http.md`)."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.access.rights import ADMIN
from mtnet.errors import AccountError, HttpError
from mtnet.net.http.route import HttpRequest, Route

Command = Callable[[Mapping[str, Any]], "Deferred[Any]"]


class AccountPath(Struct):
    """An account."""

    account: Annotated[str, Meta(max_length=64)]


class TokenPath(Struct):
    """A token of an account."""

    account: Annotated[str, Meta(max_length=64)]
    token: Annotated[str, Meta(pattern="^[0-9a-f]{8}$", examples=["0a1b2c3d"])]


class AccountRow(Struct):
    """
    An account.

    Attributes:
        password: whether it can log in by password.
        tokens: how many it has.
        last: when it last logged in, milliseconds since the Unix epoch, UTC.
    """

    name: str
    grants: list[str]
    disabled: bool
    password: bool
    tokens: int
    last: int | None


class TokenRow(Struct):
    """
    A token of an account; times are milliseconds since the Unix epoch, UTC.

    Attributes:
        grants: None = those of its account.
        expires: None = never.
        last: when it last logged in; None = never.
    """

    id: str
    label: str
    grants: list[str] | None
    created: int
    expires: int | None
    last: int | None


class AccountResources:
    """
    The routes below `/v1/accounts`.

    Args:
        commands: the owner's commands on accounts, by name.
    """

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/v1/accounts",
                handler=self._list,
                summary="All accounts.",
                right=ADMIN,
                login=True,
                answers={200: list[AccountRow]},
            ),
            Route(
                method="GET",
                path="/v1/accounts/{account}/tokens",
                handler=self._tokens,
                summary="The tokens of an account, without their secrets.",
                params=AccountPath,
                right=ADMIN,
                login=True,
                answers={200: list[TokenRow]},
                errors=(404,),
            ),
            Route(
                method="DELETE",
                path="/v1/accounts/{account}/tokens/{token}",
                handler=self._withdraw,
                summary="Withdraw a token: its connections close, and it logs in no more.",
                params=TokenPath,
                right=ADMIN,
                login=True,
                errors=(404,),
            ),
        ]

    def _list(self, request: HttpRequest) -> "Deferred[Any]":
        return self._commands["account list"]({})

    def _tokens(self, request: HttpRequest, path: AccountPath) -> "Deferred[Any]":
        found = self._commands["account show"]({"name": path.account})
        return found.addCallbacks(lambda row: row["tokens"], _missing)

    def _withdraw(self, request: HttpRequest, path: TokenPath) -> "Deferred[None]":
        asked = {"name": path.account, "token": path.token}
        done = self._commands["account untoken"](asked)
        return done.addCallbacks(lambda _: None, _missing)


def _missing(failure: Failure) -> None:
    failure.trap(AccountError)
    raise HttpError(404, "missing", str(failure.value))
