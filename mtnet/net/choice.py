"""
Which service a connection is for, where several have one port.

Pure: first bytes in, a name out.
"""

from mtnet.net.foreign import COMMANDS, HTTP_METHODS, can_become, starts_with

WORDS = {"signals": (b"<<",), "web": HTTP_METHODS, "templates": COMMANDS}
"""How the clients of a service begin; those of ticks begin with anything else."""
OTHERS = "ticks"

_ALL = tuple(word for words in WORDS.values() for word in words)


def choose(head: bytes) -> str | None:
    """Return the service that the first bytes `head` are for; None = more bytes will tell."""
    for service, words in WORDS.items():
        if starts_with(head, words):
            return service
    return None if can_become(head, _ALL) else OTHERS
