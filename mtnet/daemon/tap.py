"""
The plugin that twistd loads to run the daemon.

A SIGHUP asks for what a start does anyway, and would end a process that does not expect it; what
is imported here takes longer than all else until then.
"""

from mtnet.daemon.process.hangup import ignore_hangups

ignore_hangups()

from mtnet.service import Options, makeService  # noqa: E402

__all__ = ["Options", "makeService"]
