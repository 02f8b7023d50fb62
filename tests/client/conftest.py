"""What the tests of TLS share: an authority, and connections to servers in memory."""

import pytest
from tls_dialling import dialler
from tls_samples import Authority


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def dial(clock, authority):
    return dialler(clock, authority)
