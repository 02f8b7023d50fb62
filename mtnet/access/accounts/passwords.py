"""What a password may be, and what is stored of it."""

import os
from base64 import b64encode
from collections import OrderedDict
from hashlib import blake2b
from unicodedata import category

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mtnet.access.accounts.model import PREFIX
from mtnet.errors import AccountError

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Argon2id, 19 MiB and two passes: what OWASP asks for, in some 20 ms of one core."""
SHORTEST = 8
"""Characters."""
LONGEST = 128
"""Bytes in UTF-8; nothing that a stranger sends makes the hash slow."""
DUMMY_HASH = "$argon2id$v=19$m=19456,t=2,p=1${}${}".format(
    *(b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
)
"""What the password of a login is held against that nobody has: it costs the same, and nothing
fits it."""
REMEMBERED = 4_096
"""Passwords that were right of late and are known again without a hash."""


def hash_password(text: str) -> str:
    """Return what is stored of a password, a PHC string; it blocks for some 20 ms."""
    return HASHER.hash(text)


def check_password(text: str) -> None:
    """
    Refuse what shall be no password.

    Raises:
        AccountError: it is too short or too long, or no plain text. It is not quoted.
    """
    if len(text) < SHORTEST:
        raise AccountError(
            f"The password has {len(text)} characters; it must have {SHORTEST} or more."
        )
    if any(category(each) in ("Cc", "Cs") for each in text):
        raise AccountError("The password holds a control character, which not every terminal has.")
    if len(text.encode()) > LONGEST:
        raise AccountError(f"The password is longer than {LONGEST} bytes in UTF-8.")
    if text.startswith(PREFIX):
        raise AccountError(f"The password begins with {PREFIX}, as only tokens do.")


def matches(hashed: str, password: str) -> bool:
    """Say whether a password is the one that was hashed; takes 15 ms and 19 MiB."""
    if len(password.encode("utf-8", "surrogateescape")) > LONGEST:
        password, hashed = "", DUMMY_HASH
    try:
        return HASHER.verify(hashed, password.encode("utf-8", "surrogateescape"))
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(hashed: str) -> bool:
    """Say whether a password was hashed more cheaply than it would be today."""
    return HASHER.check_needs_rehash(hashed)


class PasswordCache:
    """
    Passwords that were right of late.

    They are kept as keyed hashes, under a key that lasts as long as the process.

    Args:
        lasts: seconds that one is remembered.
    """

    def __init__(self, lasts: float, most: int = REMEMBERED) -> None:
        self._lasts, self._most, self._key = lasts, most, os.urandom(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def add(self, name: str, password: str, hashed: str, when: float) -> None:
        """Remember a password that fits its hash."""
        self._until[self._digest(name, password, hashed)] = when + self._lasts
        while len(self._until) > self._most:
            self._until.popitem(last=False)

    def holds(self, name: str, password: str, hashed: str, when: float) -> bool:
        """Say whether it is known that a password fits its hash."""
        digest = self._digest(name, password, hashed)
        if self._until.get(digest, when) > when:
            return True
        self._until.pop(digest, None)
        return False

    def _digest(self, *texts: str) -> bytes:
        parts = (text.encode("utf-8", "surrogateescape") for text in texts)
        return blake2b(b"\0".join(parts), key=self._key, digest_size=32).digest()
