"""What the tests of templates share."""

import pytest
from template_samples import BLOCK, CHART, mt5_bytes


@pytest.fixture
def mt5():
    """An MT5 template as it is uploaded."""
    return mt5_bytes(CHART)


@pytest.fixture
def mt5_stored():
    """What is stored of it."""
    return mt5_bytes(CHART.replace(BLOCK, ""))
