"""What tests share: an authority and connections to servers in memory, and a follower."""

import pytest
from follower_harness import Harness
from tls_dialling import dialler
from tls_samples import Authority


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def dial(clock, authority):
    return dialler(clock, authority)


@pytest.fixture
def harness():
    """A follower, its server, and what it was told; files on other clients have their own."""
    return Harness()


@pytest.fixture
def quick(monkeypatch):
    """Connect again after hundredths of a second."""
    monkeypatch.setattr("mtnet.client.core.session.backoff", lambda attempt: 0.01)
    monkeypatch.setattr("mtnet.client.core.lines.backoff", lambda attempt: 0.01)
