"""The plugins of packages that were installed as editable."""

import json
import sys

import pytest

from mtnet.daemon.editable import plugin_folders


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package as pip would: `install("name", folder, editable=True)`."""
    site = tmp_path / "site"

    def add(name, folder, **info):
        notes = site / f"{name}-1.dist-info"
        notes.mkdir(parents=True)
        (notes / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        url = {"url": folder.as_uri(), "dir_info": info}
        (notes / "direct_url.json").write_text(json.dumps(url))

    monkeypatch.setattr(sys, "path", [str(site)])
    return add


@pytest.mark.parametrize("layout", ["", "src"])
def test_the_plugins_of_an_editable_install_are_found(install, tmp_path, layout):
    folder = tmp_path / "my project" / layout / "mtnet" / "plugins"
    folder.mkdir(parents=True)
    install("mine", tmp_path / "my project", editable=True)
    assert plugin_folders("mtnet.plugins", []) == [str(folder)]
    assert plugin_folders("mtnet.plugins", [str(folder)]) == []


def test_a_copy_that_was_installed_is_not_searched_at_its_source(install, tmp_path):
    (tmp_path / "mine" / "mtnet" / "plugins").mkdir(parents=True)
    install("mine", tmp_path / "mine")
    assert plugin_folders("mtnet.plugins", []) == []


def test_another_checkout_of_mtnet_brings_no_plugins(install, tmp_path):
    folder = tmp_path / "mtnet" / "mtnet" / "plugins"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    install("mtnet-hub", tmp_path / "mtnet", editable=True)
    assert plugin_folders("mtnet.plugins", []) == []


def test_a_damaged_note_of_an_install_is_no_plugin(install, tmp_path):
    install("mine", tmp_path, editable=True)
    (tmp_path / "site" / "mine-1.dist-info" / "direct_url.json").write_text("{")
    assert plugin_folders("mtnet.plugins", []) == []
