"""Indicators: values that terminals compute, for those that follow."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IServicePlugin
from mtnet.services.indicators.settings import IndicatorSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IAlwaysNamed)
class Indicators:
    """The plugin of values of indicators."""

    name = "indicators"
    description = "values of indicators, from terminals to followers"
    settings = IndicatorSettings
    shared = False
    permissions = ("follow", "publish")
    roles: ClassVar = {"analyst": ("follow:indicators", "publish:indicators")}
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {"stream": None}
    command = "mtnet.cli.indicators.command"

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.indicators.component import build

        return build(env)


indicators = Indicators()
