"""
The clients as state machines, without sockets, threads and clocks.

Bytes and moments go in, bytes, events and deadlines come out. `mtnet.client` runs them on Twisted,
`mtnet.client.aio` on asyncio and `mtnet.client.sync` in a thread.
"""
