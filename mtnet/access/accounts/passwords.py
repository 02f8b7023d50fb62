"""Passwords: what is allowed as one, their hashes, and a cache of verified ones."""

import os
from base64 import b64encode
from collections import OrderedDict
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from unicodedata import category

from mtnet.access.accounts.model import PREFIX
from mtnet.errors import AccountError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 8
"""Characters."""
LONGEST = 128
"""Bytes in UTF-8, so that nothing a stranger sends makes the hash slow."""
DUMMY_HASH = "$argon2id$v=19$m=19456,t=2,p=1${}${}".format(
    *(b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
)
"""Dummy hash checked for unknown logins, so that they take as long as known ones. No password
matches it."""
CACHED = 4_096
"""Verified passwords that are kept."""


@cache
def hasher() -> "PasswordHasher":
    """
    Return Argon2id, 19 MiB and two passes: OWASP's recommendation, in some 20 ms of one core.

    It is imported late, as most commands on accounts see no password.
    """
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hash_password(text: str) -> str:
    """Return the PHC string to store for a password; blocks for some 20 ms."""
    return hasher().hash(text)


def check_password(text: str) -> None:
    """
    Refuse a text that cannot be a password.

    Raises:
        AccountError: it is too short or too long, or not plain text. The error does not quote
            it.
    """
    if len(text) < SHORTEST:
        raise AccountError(
            f"The password has {len(text)} characters; it must have {SHORTEST} or more."
        )
    if any(category(each) in ("Cc", "Cs") for each in text):
        raise AccountError(
            "The password contains a control character, which not every terminal can send."
        )
    if len(text.encode()) > LONGEST:
        raise AccountError(f"The password is longer than {LONGEST} bytes in UTF-8.")
    if text.startswith(PREFIX):
        raise AccountError(f"The password begins with {PREFIX}, as only tokens do.")


def matches(hashed: str, password: str) -> bool:
    """Return whether a password has this hash; takes 15 ms and 19 MiB."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password.encode("utf-8", "surrogateescape")) > LONGEST:
        password, hashed = "", DUMMY_HASH
    try:
        return hasher().verify(hashed, password.encode("utf-8", "surrogateescape"))
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(hashed: str) -> bool:
    """Return whether a hash has weaker parameters than today's."""
    return hasher().check_needs_rehash(hashed)


class PasswordCache:
    """
    Bounded cache of verified passwords.

    It holds keyed hashes, under a key that lasts as long as the process.

    Args:
        lifetime: seconds for which an entry is valid.
    """

    def __init__(self, lifetime: float, capacity: int = CACHED) -> None:
        self._lifetime, self._capacity, self._key = lifetime, capacity, os.urandom(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def add(self, name: str, password: str, hashed: str, when: float) -> None:
        """Remember that a password has this hash."""
        self._until[self._digest(name, password, hashed)] = when + self._lifetime
        while len(self._until) > self._capacity:
            self._until.popitem(last=False)

    def holds(self, name: str, password: str, hashed: str, when: float) -> bool:
        """Return whether a password is known to have this hash."""
        digest = self._digest(name, password, hashed)
        if self._until.get(digest, when) > when:
            return True
        self._until.pop(digest, None)
        return False

    def _digest(self, *texts: str) -> bytes:
        parts = (text.encode("utf-8", "surrogateescape") for text in texts)
        return blake2b(b"\0".join(parts), key=self._key, digest_size=32).digest()
