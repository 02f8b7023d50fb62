"""What the tests of templates share."""

import pytest
from template_samples import BLOCK, CHART, mt5_bytes
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher


@pytest.fixture
def mt5():
    """An MT5 template as it is uploaded."""
    return mt5_bytes(CHART)


@pytest.fixture
def mt5_stored():
    """What is stored of it."""
    return mt5_bytes(CHART.replace(BLOCK, ""))


@pytest.fixture
def log():
    """The log lines of the test."""
    observer = EventLoggingObserver()
    globalLogPublisher.addObserver(observer)
    yield observer
    globalLogPublisher.removeObserver(observer)


@pytest.fixture
def warnings(log):
    """Return the warnings so far."""
    return lambda: [event for event in log if event["log_level"].name != "info"]
