"""
The web port's own resources, and the tree of those of all components (`docs/protocols.md`, HTTP).

Every answer is JSON or what a component serves; an error is `{"error": code, "text": sentence}`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from mtnet import __version__
from mtnet.errors import ConfigError
from mtnet.net.http import BodyLimit, Handler, HttpRequest, MethodResource, NotFound


class HealthResource(MethodResource):
    """
    `/healthz`: 200, or 503 when somebody must act.

    Args:
        health: an `IHealth`.
    """

    isLeaf = True

    def __init__(self, health: Any) -> None:
        super().__init__()
        self._health = health

    def methods(self, request: HttpRequest) -> Mapping[bytes, Handler]:
        return {} if request.postpath else {b"GET": self._get}

    def _get(self, request: HttpRequest) -> None:
        report = self._health.health()
        request.reply_json(200 if report.get("healthy", True) else 503, report)


class VersionResource(MethodResource):
    """`/version`: the name and version of this program."""

    isLeaf = True

    def methods(self, request: HttpRequest) -> Mapping[bytes, Handler]:
        return {} if request.postpath else {b"GET": self._get}

    def _get(self, request: HttpRequest) -> None:
        request.reply_json(200, {"name": "mtnet", "version": __version__})


def resource_tree(providers: Mapping[str, Any], names: Collection[str]) -> NotFound:
    """
    Return the root of the resources of some components; its limits are the largest of theirs.

    Args:
        providers: `IHttpResources` by name of the component.
        names: of the components.

    Raises:
        ConfigError: two components have a resource of one path.
    """
    root, owners = NotFound(), dict[bytes, str]()
    timeouts = [0.0]
    for name in names:
        for path, resource in providers[name].resources().items():
            if path in owners:
                raise ConfigError(
                    f"The HTTP path /{path.decode()} of {name} is also that of {owners[path]}."
                )
            owners[path] = name
            root.putChild(path, resource)
            limit = getattr(resource, "body_limit", BodyLimit())
            root.body_limit = max(root.body_limit, limit, key=lambda each: each.size)
            timeouts.append(getattr(resource, "stall_timeout", None) or 0.0)
    root.stall_timeout = max(timeouts) or None
    return root
