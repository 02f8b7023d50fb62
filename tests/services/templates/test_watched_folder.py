"""The watched folder."""

import os

import pytest
from template_samples import CHART

from mtnet.interfaces import ITemplates
from mtnet.services.templates.watched_folder import Entry, StableFileDetector, WatchedFolderService

OLD = Entry("a.tpl", 10, 1)


@pytest.fixture
def watched(tmp_path, env_with, clock):
    """Watch a folder; it has `drop(name, content)`, `wait(seconds)`, `library`, `start()`."""

    class Watched:
        def __init__(self):
            self.folder = tmp_path / "inbox"
            self.folder.mkdir()
            self.env = env_with(f"templates.folder={self.folder}")
            self.library = self.env.find(ITemplates).library
            self.service = None

        def start(self):
            self.service = WatchedFolderService(self.env.of("templates"), self.library)
            self.service.startService()

        def drop(self, name, content):
            (self.folder / name).write_bytes(content)

        def wait(self, seconds=2):
            clock.pump([1] * seconds)

        def keys(self):
            return [(each["symbol"], each["period"]) for each in self.library.listing()]

    found = Watched()
    yield found
    if found.service is not None:
        found.service.stopService()


def test_a_file_is_ready_once_when_it_stood_still():
    scanner = StableFileDetector(1.0)
    assert scanner.ready([OLD], 0.0) == []
    assert scanner.ready([OLD], 0.9) == []
    assert scanner.ready([OLD], 1.0) == [OLD]
    assert scanner.ready([OLD], 5.0) == []


@pytest.mark.parametrize("new", [OLD._replace(size=11), OLD._replace(mtime=2)])
def test_a_file_that_grows_or_is_touched_waits_anew(new):
    scanner = StableFileDetector(1.0)
    scanner.ready([OLD], 0.0)
    assert scanner.ready([new], 1.0) == []
    assert scanner.ready([new], 2.0) == [new]


def test_a_file_that_went_and_came_back_is_ready_again():
    scanner = StableFileDetector(1.0)
    listings = [[OLD], [OLD], [], [OLD], [OLD]]
    ready = [scanner.ready(listing, when) for when, listing in enumerate(listings)]
    assert ready == [[], [OLD], [], [], [OLD]]


def test_a_file_that_could_not_be_taken_is_offered_again():
    scanner = StableFileDetector(0.0)
    assert scanner.ready([OLD], 0.0) == [OLD]
    scanner.retry(OLD)
    assert scanner.ready([OLD], 1.0) == [OLD]


def test_a_file_named_by_symbol_and_period_is_published(watched, mt5, mt5_stored, clock):
    watched.start()
    watched.drop("EUR_USD_H4.tpl", mt5)
    clock.advance(1)
    assert watched.keys() == []
    watched.wait()
    assert watched.keys() == [("EUR_USD", "H4")]
    assert watched.library.content(watched.library.newest()) == mt5_stored


@pytest.mark.parametrize("name", ["mine.tpl", "my_template.TPL", "_H1.tpl", "SAL_TBL_1.tpl"])
def test_a_file_of_another_name_is_read_for_its_own_key(watched, name):
    watched.start()
    watched.drop(name, CHART.encode())
    watched.wait(3)
    assert watched.keys() == [("EURUSD", "H1")]


@pytest.mark.parametrize("name", ["mt4-default.tpl", "mt4-macd-alma.tpl", "mt4-xard-m30.tpl"])
def test_a_real_template_comes_out_as_it_came_in(watched, real_data, name):
    content = (real_data / name).read_bytes()
    watched.start()
    watched.drop("GBPUSD_H1.tpl", content)
    watched.wait(3)
    assert watched.library.content(watched.library.get("GBPUSD", "H1")) == content


def test_a_changed_file_is_the_next_version(watched):
    watched.start()
    for number in range(3):
        watched.drop("GBPUSD_M5.tpl", f"<chart>\nn={number}{'x' * number}\n".encode())
        watched.wait(3)
    assert watched.library.newest().version == 3


def test_what_is_no_template_is_refused_with_one_line(watched, warnings):
    watched.start()
    watched.drop("GBPUSD_M5.tpl", b"hello")
    watched.drop("notes.txt", b"no business of ours")
    (watched.folder / "folder.tpl").mkdir()
    watched.wait(10)
    assert [event["name"] for event in warnings()] == ["GBPUSD_M5.tpl"]


def test_links_are_refused_and_not_followed(watched, warnings, tmp_path):
    (tmp_path / "secret.tpl").write_bytes(CHART.encode())
    (watched.folder / "EURUSD_H1.tpl").symlink_to(tmp_path / "secret.tpl")
    os.mkfifo(watched.folder / "EURUSD_M1.tpl")
    watched.start()
    watched.wait(5)
    assert watched.keys() == []
    assert ["links are not followed" in event["refusal"] for event in warnings()] == [True]


def test_an_oversize_file_is_refused_without_being_read_whole(watched, warnings):
    watched.start()
    watched.drop("EURUSD_H1.tpl", b"<chart>\n" + b"x" * 2_000_000)
    watched.wait(3)
    assert "2000008 bytes, and templates.max_size allows" in warnings()[0]["refusal"]


def test_a_file_that_was_there_at_the_start_does_not_come_back_over_a_newer_upload(watched):
    first, second = b"<chart>\nn=1\n", b"<chart>\nn=2\n"
    watched.library.store("EURUSD", "H1", first, 0)
    watched.library.store("EURUSD", "H1", second, 0)
    watched.drop("EURUSD_H1.tpl", first)
    watched.start()
    watched.wait(3)
    assert watched.library.newest().version == 2
    watched.drop("EURUSD_H1.tpl", first + b"\n")
    watched.wait(3)
    assert watched.library.newest().version == 3


def test_a_folder_that_is_not_there_is_told_once_and_watched_on(watched, warnings, mt5):
    watched.folder.rmdir()
    watched.start()
    watched.wait(5)
    assert len(warnings()) == 1
    watched.folder.mkdir()
    watched.drop("EURUSD_H1.tpl", mt5)
    watched.wait(3)
    assert watched.keys() == [("EURUSD", "H1")]


def test_a_bug_is_logged_and_the_folder_watched_on(watched, mt5, monkeypatch, warnings):
    with monkeypatch.context() as patch:
        patch.setattr(
            "mtnet.services.templates.watched_folder.StableFileDetector.ready", lambda *args: 1 / 0
        )
        watched.start()
        watched.wait()
    assert {event["log_level"].name for event in warnings()} == {"critical"}
    watched.drop("EURUSD_H1.tpl", mt5)
    watched.wait(3)
    assert watched.keys() == [("EURUSD", "H1")]


def test_a_full_disk_is_told_once_and_tried_again(watched, mt5, monkeypatch, warnings):
    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        watched.start()
        watched.drop("EURUSD_H1.tpl", mt5)
        watched.wait(9)
    assert (watched.keys(), len(warnings())) == ([], 1)
    watched.wait()
    assert watched.keys() == [("EURUSD", "H1")]
