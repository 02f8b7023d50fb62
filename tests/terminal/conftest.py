"""What the tests of MQL5 programs share."""

import pytest
from translator.compiler import Compiler, missing


@pytest.fixture(scope="session")
def compiler():
    """g++ with the flags of the tests; without it the tests skip."""
    sentence = missing()
    if sentence:
        pytest.skip(sentence)
    return Compiler()
