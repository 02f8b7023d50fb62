"""
What the daemon can host: one file for each service.

Other packages add a file of their own to this path; see `docs/extending.md`.
"""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
