"""How many connections there can be."""

import subprocess
import sys

import pytest

from mtnet.daemon.ports import RESERVE

resource = pytest.importorskip("resource", reason="Windows counts descriptors otherwise.")
PROGRAM = """
import resource
from mtnet.daemon.ports import raise_limit
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_becomes_the_hard_one():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1_000))

    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], preexec_fn=limit, capture_output=True, check=True
    )
    assert found.stdout.split() == [str(1_000 - RESERVE).encode(), b"1000", b"1000"]
