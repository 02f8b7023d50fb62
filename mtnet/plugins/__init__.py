"""
Plugins of the services that the daemon can host, one file for each.

Other packages add a file of their own to this path; see `docs/extending.md`.
"""

from twisted.plugin import pluginPackagePaths

from mtnet.daemon.editable import plugin_folders

__path__.extend(pluginPackagePaths(__name__))
__path__.extend(plugin_folders(__name__, __path__))
__all__: list[str] = []
