"""Runs `twistd` with every byte in Twisted's buffers: no connection shows its socket."""

from twisted.scripts.twistd import run

from mtnet.net.output import queue

vars(queue)["direct_writer"] = lambda *_: None
run()
