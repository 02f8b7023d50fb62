"""The web port's own routes: health, version, and the description of the API."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from msgspec import Struct

from mtnet import __version__
from mtnet.net.http.openapi import describe
from mtnet.net.http.route import Answer, HttpRequest, Route
from mtnet.services.web.logins.cookie import cookie_name


class Version(Struct):
    """The name and the version of this program."""

    name: str
    version: str


class DaemonResources:
    """
    Routes by which the daemon tells everybody about itself.

    Args:
        health: an `IHealth`.
        routes: returns all routes of the port.
    """

    def __init__(self, health: Any, routes: Callable[[], Iterable[Route]]) -> None:
        self._health, self._routes = health, routes

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/healthz",
                handler=self._get_health,
                summary="The health of the daemon: 503 when somebody must act.",
                answers={200: dict[str, Any], 503: dict[str, Any]},
            ),
            Route(
                method="GET",
                path="/version",
                handler=self._get_version,
                summary="The version of the daemon.",
                answers={200: Version},
            ),
            Route(
                method="GET",
                path="/v1/openapi.json",
                handler=self._get_description,
                summary="This description of the API (OpenAPI 3.1).",
                answers={200: dict[str, Any]},
            ),
        ]

    def _get_health(self, request: HttpRequest) -> Answer:
        report = self._health.health()
        return Answer(200 if report.get("healthy", True) else 503, report)

    def _get_version(self, request: HttpRequest) -> Version:
        return Version("mtnet", __version__)

    def _get_description(self, request: HttpRequest) -> dict[str, Any]:
        return self._description

    @cached_property
    def _description(self) -> dict[str, Any]:
        cookies = {"cookie": cookie_name(False), "secure_cookie": cookie_name(True)}
        return describe(self._routes(), __version__, cookies)
