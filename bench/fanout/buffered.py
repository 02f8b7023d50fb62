"""Runs `twistd` with every byte in Twisted's buffers: no connection shows its socket."""

from twisted.scripts.twistd import run

from mtnet.net.output import buffer

buffer.straight = lambda *_: None
run()  # type: ignore[no-untyped-call]
