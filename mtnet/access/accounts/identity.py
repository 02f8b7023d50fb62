"""The account that a session has logged in as."""

from typing import NamedTuple

from mtnet.access.rights import Rights


class Identity(NamedTuple):
    """
    An account that has logged in.

    Attributes:
        rights: those of the account, or of the token that was shown.
    """

    name: str
    rights: Rights
