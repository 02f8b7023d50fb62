"""
Signals over HTTP for the clients, without sockets and clocks: long polls and POSTs on one side, the
frames of a session on the other.

`mtnet.client.aio`, and `endpoint` for Twisted, run it, for servers such as `https://fx.example`.
"""
