"""Templates as a component: its metrics, and what a backup takes along."""

import pytest
from zope.interface.verify import verifyObject

from mtnet.interfaces import (
    IBackup,
    IFirstBytes,
    IHttpResources,
    IMetrics,
    IService,
    IStatus,
    IStreamListener,
    ITemplates,
)
from mtnet.services.templates.library import Library

TEMPLATE = b"<chart>\nnumber=1\n</chart>\n"
INTERFACES = (
    IService, IStreamListener, IFirstBytes, IHttpResources, IBackup, ITemplates,
)  # fmt: skip


@pytest.fixture
def component(env_with):
    return env_with().components.services["templates"]


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_component_keeps_its_interfaces(component, interface):
    assert verifyObject(interface, interface(component))


def test_the_library_reports_the_status(component):
    assert IStatus(component) is IBackup(component)


@pytest.mark.parametrize(
    ("head", "own"),
    [(b"FETCH EURUSD", True), (b"STORE ", True), (b"FET", None), (b"GET ", False), (b"<<", False)],
)
def test_first_bytes_of_raw_clients_are_recognized(component, head, own):
    assert IFirstBytes(component).recognize(head) is own


def test_metrics_count(component):
    read = {metric.name: metric.read for metric in IMetrics(component).metrics()}
    assert {name: read() for name, read in read.items()} == {
        "mtnet_templates_keys": 0,
        "mtnet_templates_versions": 0,
        "mtnet_templates_damaged": 0,
    }
    ITemplates(component).put("EURUSD", "H1", TEMPLATE)
    ITemplates(component).put("EURUSD", "H1", TEMPLATE + b"x")
    assert (read["mtnet_templates_keys"](), read["mtnet_templates_versions"]()) == (1, 2)


def test_a_backup_has_all_versions_and_nothing_unfinished(component, tmp_path):
    ITemplates(component).put("EURUSD", "H1", TEMPLATE)
    (folder,) = IBackup(component)._folder.iterdir()
    (folder / ".0000000002.1.new").write_bytes(b"half")
    IBackup(component).backup(tmp_path / "backup")
    copied = Library(tmp_path / "backup" / "templates")
    assert copied.read(lambda: copied.get("EURUSD", "H1"))[1] == TEMPLATE
    assert not list((tmp_path / "backup").rglob("*.new"))
