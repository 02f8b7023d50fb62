"""Which services are installed: the files on the path of `mtnet.plugins`."""

from importlib import import_module
from pkgutil import iter_modules

from twisted.plugin import getPlugins

import mtnet.plugins
from mtnet.errors import ConfigError
from mtnet.imtnet import IStreamPlugin


def installed() -> dict[str, IStreamPlugin]:
    """
    Return the stream services by name.

    Raises:
        ConfigError: two of them have one name.
    """
    found: dict[str, IStreamPlugin] = {}
    for plugin in getPlugins(IStreamPlugin, mtnet.plugins):
        if plugin.name in found:
            raise ConfigError(
                f"Two plugins are named {plugin.name}: {found[plugin.name]!r} and {plugin!r}."
            )
        found[plugin.name] = plugin
    return dict(sorted(found.items()))


def broken() -> list[str]:
    """Import every plugin file; return a sentence for each that cannot be."""
    sentences = []
    for module in iter_modules(mtnet.plugins.__path__, "mtnet.plugins."):
        try:
            import_module(module.name)
        except Exception as error:
            sentences.append(f"The plugin {module.name} cannot be imported: {error!r}.")
    return sentences
