"""`mtnet mql5 export`: the tree of this checkout, in a folder or a zip."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from mtnet.cli import mql5

TREE = Path(__file__).parents[2] / "mql5"
EXPERT = "MQL5/Experts/Mtnet/MtnetProvider.mq5"
NAMES = {path.relative_to(TREE).as_posix() for path in TREE.rglob("*.mq?")}


def test_a_folder_gets_the_tree(command_line, tmp_path):
    result = command_line("mql5", "export", tmp_path / "data")
    assert result.status == 0
    written = {
        path.relative_to(tmp_path / "data").as_posix()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
    }
    assert written == NAMES
    assert f"{len(NAMES)} files" in result.out


def test_an_older_version_is_replaced(command_line, tmp_path):
    old = tmp_path / EXPERT
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    assert command_line("mql5", "export", tmp_path).status == 0
    assert old.read_bytes() == (TREE / EXPERT).read_bytes()


def test_a_zip_has_the_tree(command_line, tmp_path):
    assert command_line("mql5", "export", tmp_path / "one.zip").status == 0
    with ZipFile(tmp_path / "one.zip") as archive:
        assert set(archive.namelist()) == NAMES
        assert archive.read(EXPERT) == (TREE / EXPERT).read_bytes()


def test_equal_trees_make_equal_zips(command_line, tmp_path):
    for name in ("one.zip", "two.zip"):
        assert command_line("mql5", "export", tmp_path / name).status == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_target_that_cannot_be_written_is_a_sentence(command_line, tmp_path):
    (tmp_path / "file").write_text("")
    result = command_line("mql5", "export", tmp_path / "file" / "folder")
    assert result.status == 1
    assert result.error.endswith("/file/folder cannot be written: Not a directory.\n")


def test_an_installation_without_the_tree_says_so(command_line, tmp_path, monkeypatch):
    monkeypatch.setattr(mql5, "PACKAGED", tmp_path)
    result = command_line("mql5", "export", tmp_path / "out")
    assert result.status == 1
    assert "has no MQL5 sources" in result.error


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_file_is_text_that_a_terminal_reads(name):
    assert (TREE / name).read_bytes().isascii()
