"""The library: versions on disk."""

import errno
import os
import threading

import pytest
from template_samples import CHART, mt5_bytes
from zope.interface.verify import verifyObject

from mtnet.errors import ConfigError, StartError, TemplateError
from mtnet.interfaces import IStatus
from mtnet.services.templates.library import Library

WHEN = 1_700_000_000_000


def content(number, platform="mt4"):
    text = f"<chart>\nsymbol=EURUSD\nnumber={number}\n</chart>\n"
    return mt5_bytes(text) if platform == "mt5" else text.encode()


@pytest.fixture
def opened(tmp_path):
    """Open the library in the test's folder, as after a restart."""
    return lambda **settings: Library(tmp_path / "templates", **settings)


def files(tmp_path):
    return sorted(
        os.path.join(where, name)
        for where, folders, names in os.walk(tmp_path / "templates")
        for name in [*names, *folders]
    )


def store(library, number, symbol="EURUSD", period="H1", platform="mt4", when=WHEN):
    version, _ = library.store(symbol, period, content(number, platform), when)
    return version


def code(call, *args, **options):
    with pytest.raises(TemplateError) as caught:
        call(*args, **options)
    return caught.value.code


def test_it_reports_about_itself(opened):
    assert verifyObject(IStatus, opened())
    assert opened().health() == {"healthy": True, "trouble": None, "templates": 0}


def test_versions_count_from_one_for_each_symbol_period_and_platform(opened):
    library = opened()
    assert [store(library, n).version for n in range(3)] == [1, 2, 3]
    assert store(library, 0, symbol="GBPUSD").version == 1
    assert store(library, 0, period="M5").version == 1
    assert store(library, 0, platform="mt5").version == 1


def test_content_of_the_newest_version_is_not_stored_again(opened):
    library = opened()
    first = library.store("EURUSD", "H1", content(1), WHEN)
    again = library.store("EURUSD", "16385", content(1) + b"\0", WHEN + 5)
    assert (first[1], again) == (True, (first[0], False))
    store(library, 2)
    assert store(library, 1).version == 3


def test_what_was_stored_survives_a_restart(opened):
    before = opened()
    versions = [store(before, n, platform=p) for n in range(3) for p in ("mt4", "mt5")]
    after = opened()
    assert after.listing() == before.listing()
    assert [after.content(version) for version in versions] == [
        content(n, p) for n in range(3) for p in ("mt4", "mt5")
    ]
    assert after.newest() == before.newest() == versions[-1]
    assert after.damaged == []


def test_old_versions_are_pruned_and_their_numbers_are_not_used_again(opened, tmp_path):
    library = opened(versions=2)
    versions = [store(library, n) for n in range(5)]
    assert library.listing()[0]["versions"] == [4, 5]
    assert len(files(tmp_path)) == 4  # the folder, its key and two versions
    assert code(library.get, "EURUSD", "H1", 3) == "missing"
    assert code(library.content, versions[0]) == "missing"
    assert store(opened(versions=2), 9).version == 6


def test_a_version_is_found_by_number_and_by_platform(opened):
    library = opened()
    old, wide, newest = (store(library, n, platform=p) for n, p in enumerate(("mt4", "mt5", "mt4")))
    assert library.get("EURUSD", "H1") == newest
    assert library.get("EURUSD", "H1", platform="mt5") == wide
    assert library.get("EURUSD", "H1", 1, "mt4") == old
    assert library.get("EURUSD", "H1", 1) == wide
    for missing in (("EURUSD", "M1"), ("GBPUSD", "H1"), ("EURUSD", "H1", 7)):
        assert code(library.get, *missing) == "missing"


def test_the_default_is_what_is_configured_and_else_the_newest_upload(opened):
    library = opened()
    assert code(library.default) == "missing"
    first, second = store(library, 1, symbol="UK 100"), store(library, 2)
    assert library.default() == second
    assert opened(default="UK 100 16385").default() == first
    assert code(opened(default="EURUSD M1").default) == "missing"


def test_an_upload_is_the_newest_although_the_clock_was_set_back(opened):
    library = opened()
    store(library, 1, when=WHEN)
    late = store(library, 2, symbol="GBPUSD", when=WHEN - 60_000)
    assert library.newest() == late == opened().newest()


@pytest.mark.parametrize("default", ["EURUSD", "EURUSD M7", "A|B H1", " H1"])
def test_a_default_that_is_no_key_is_a_configuration_error(opened, default):
    with pytest.raises(ConfigError, match=r"templates\.default is SYMBOL PERIOD"):
        opened(default=default)


@pytest.mark.parametrize(
    ("symbol", "period", "upload", "expected"),
    [
        ("A|B", "H1", content(1), "symbol"),
        ("EURUSD", "M7", content(1), "period"),
        ("EURUSD", "H1", b"text", "template"),
        ("EURUSD", "H1", content(1) * 30, "size"),
    ],
)
def test_what_is_refused_leaves_nothing_on_disk(opened, tmp_path, symbol, period, upload, expected):
    library = opened(max_size=1000)
    assert code(library.store, symbol, period, upload, WHEN) == expected
    assert files(tmp_path) == []


@pytest.mark.parametrize("symbol", ["../../etc/passwd", "..", "/", "C:\\x", "CON", "a" * 32])
def test_no_symbol_becomes_a_path(opened, tmp_path, symbol):
    assert store(opened(), 1, symbol=symbol).key.symbol == symbol
    assert os.listdir(tmp_path) == ["templates"]
    assert [len(name) for name in os.listdir(tmp_path / "templates")] == [32]
    assert opened().get(symbol, "H1").version == 1


def test_a_size_limit_is_met_to_the_byte(opened):
    exact = content(1)
    assert opened(max_size=len(exact)).store("A", "H1", exact + b"\0", WHEN)[1]
    assert code(opened(max_size=len(exact) - 1).store, "A", "H1", exact, WHEN) == "size"


def test_experts_are_kept_when_that_is_configured(opened):
    version, _ = opened(keep_experts=True).store("A", "H1", CHART.encode(), WHEN)
    assert opened().content(version) == CHART.encode()


def test_a_file_that_a_kill_left_unfinished_is_removed(opened, tmp_path):
    version = store(opened(), 1)
    folder = tmp_path / "templates" / version.key.folder
    (folder / (version.file.replace("1-", "2-") + ".new")).write_bytes(b"half")
    library = opened()
    assert library.get("EURUSD", "H1") == version
    assert sorted(os.listdir(folder)) == [version.file, "key.json"]


def test_a_damaged_version_is_reported_and_skipped_and_its_number_not_used_again(opened, tmp_path):
    library = opened()
    first, second = store(library, 1), store(library, 2)
    file = tmp_path / "templates" / second.key.folder / second.file
    file.write_bytes(b"<chart>\nrotten")
    library = opened()
    assert library.read(library.newest) == (first, content(1))
    assert library.get("EURUSD", "H1") == first
    assert [second.file in sentence for sentence in library.damaged] == [True]
    assert library.listing()[0]["versions"] == [1]
    assert store(library, 2).version == 3


def test_nothing_is_left_where_the_only_version_is_damaged(opened, tmp_path):
    version = store(opened(), 1)
    (tmp_path / "templates" / version.key.folder / version.file).write_bytes(b"")
    library = opened()
    assert code(library.read, lambda: library.get("EURUSD", "H1")) == "missing"
    assert (library.listing(), len(library.damaged)) == ([], 1)


def test_nothing_is_read_before_it_is_served_or_checked(opened, monkeypatch):
    library = opened()
    for number in range(3):
        store(library, number)
    with monkeypatch.context() as patch:
        patch.setattr(Library, "_read", None)
        library = opened()
        assert library.newest().version == 3


def test_each_version_is_checked_once_in_the_end(opened, tmp_path):
    library = opened()
    versions = [store(library, n) for n in range(3)]
    rotten = tmp_path / "templates" / versions[1].key.folder / versions[1].file
    rotten.write_bytes(b"rotten")
    library = opened()
    found = [library.check_next() for _ in range(5)]
    assert sorted(map(str, found)) == sorted(["", "", *library.damaged, "None", "None"])
    assert str(rotten) in library.damaged[0]
    assert library.listing()[0]["versions"] == [1, 3]


@pytest.mark.parametrize(
    "key", [b"", b"[]", b"{}", b'{"symbol": "GBPUSD", "period": "H1", "platform": "mt4"}']
)
def test_a_damaged_key_is_reported_and_the_next_upload_mends_it(opened, tmp_path, key):
    version = store(opened(), 1)
    (tmp_path / "templates" / version.key.folder / "key.json").write_bytes(key)
    library = opened()
    assert (len(library.damaged), library.listing()) == (1, [])
    assert store(library, 2).version == 2
    assert opened().listing()[0]["versions"] == [1, 2]


def test_foreign_files_among_the_templates_are_left_alone(opened, tmp_path):
    store(opened(), 1)
    (tmp_path / "templates" / "README").write_text("hello")
    (tmp_path / "templates" / "backup").mkdir()
    library = opened()
    assert (len(library.listing()), library.damaged) == (1, [])
    assert (tmp_path / "templates" / "README").exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_told_and_leaves_nothing_behind(opened, tmp_path, monkeypatch, step):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    library = opened()
    store(library, 1)
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (type(tmp_path), "replace")}[step], full)
        assert code(store, library, 2) == "server"
        assert code(store, library, 1, symbol="GBPUSD") == "server"
        assert library.health()["healthy"] is False
        assert "No space left" in library.status()["trouble"]
    assert files(tmp_path) == before
    assert library.get("EURUSD", "H1").version == 1
    assert store(library, 2).version == 2
    assert library.health()["healthy"] is True


def test_a_disk_that_takes_files_again_is_healthy_though_nobody_uploads(
    opened, tmp_path, monkeypatch
):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    library = opened()
    store(library, 1)
    before = files(tmp_path)
    while library.check_next() is not None:
        pass
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert code(store, library, 2) == "server"
        assert library.check_next() is None
        assert library.health()["healthy"] is False
    assert library.check_next() is None
    assert library.health() == {"healthy": True, "trouble": None, "templates": 1}
    assert files(tmp_path) == before


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "templates").write_text("a file")
    with pytest.raises(StartError, match="cannot be read"):
        Library(tmp_path / "templates")


def test_a_template_that_vanished_from_the_disk_is_told(opened, tmp_path):
    version = store(opened(), 1)
    library = opened()
    file = tmp_path / "templates" / version.key.folder / version.file
    file.unlink()
    file.mkdir()
    assert code(library.content, version) == "server"


def test_contents_are_read_from_disk_once_and_shared(opened):
    library = opened()
    version = store(library, 1)
    assert library.content(version) is library.content(version)


def test_readers_see_whole_versions_while_another_thread_stores(opened):
    library = opened(versions=3)
    store(library, 0)
    writer = threading.Thread(target=lambda: [store(library, n) for n in range(1, 60)])
    writer.start()
    while writer.is_alive():
        for entry in library.listing():
            assert 1 <= len(entry["versions"]) <= 3
            assert entry["version"] == entry["versions"][-1]
    writer.join()
    assert library.newest().version == 60
