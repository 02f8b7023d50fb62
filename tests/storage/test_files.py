"""Files are there whole under their names, or not at all."""

import os

import pytest

from mtnet.errors import JournalError
from mtnet.storage.files import TEMPORARY, atomic_file, replace_file, replace_files, sync

NO_SPACE = OSError(28, "No space left on device")


def fail(*_):
    raise NO_SPACE


def names(folder):
    return sorted(os.listdir(folder))


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "small"
    replace_file(path, b"one")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(JournalError, match=r"small cannot be written: No space left on device"):
        replace_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["small"]


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "export.csv"
    with atomic_file(path) as file:
        file.write(b"half")
        (unfinished,) = names(tmp_path)
        assert unfinished.endswith(TEMPORARY)
        file.write(b" and half")
    assert names(tmp_path) == ["export.csv"]
    assert path.read_bytes() == b"half and half"


def test_a_file_whose_writer_fails_is_as_it_was(tmp_path):
    path = tmp_path / "export.csv"
    path.write_bytes(b"old")

    def write():
        with atomic_file(path) as file:
            file.write(b"new")
            raise ValueError("A line cannot be read.")

    with pytest.raises(ValueError, match="cannot be read"):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["export.csv"]


def test_permissions_are_those_that_were_asked_for_less_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "a", 0o666) as file:
            file.write(b"a")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_replaces_no_file_of_several(tmp_path, monkeypatch, step):
    old = {tmp_path / "key": b"old key", tmp_path / "certificate": b"old certificate"}
    replace_files(old)
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"):
        replace_files({path: b"new" for path in old})
    assert {path: path.read_bytes() for path in old} == old
    assert names(tmp_path) == ["certificate", "key"]


def test_files_are_renamed_in_their_order_once_all_are_on_the_disk(tmp_path, monkeypatch):
    order, rename = [], os.replace

    def watched(source, target):
        order.append((os.path.basename(target), len(names(tmp_path))))
        rename(source, target)

    monkeypatch.setattr(os, "replace", watched)
    replace_files({tmp_path / "key": b"1", tmp_path / "certificate": b"2"})
    assert order == [("key", 2), ("certificate", 2)]


def test_each_file_is_prepared_before_it_has_its_name(tmp_path):
    prepared = []

    def prepare(path, descriptor):
        prepared.append((path.name, path.exists(), os.fstat(descriptor).st_nlink))

    replace_files({tmp_path / "key": b"1"}, prepare)
    assert prepared == [("key", False, 1)]


def test_a_file_and_a_folder_can_be_forced_and_one_that_is_not_there_cannot(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    sync(tmp_path / "a")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "b")
