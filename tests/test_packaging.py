"""It works however it was installed: in a fresh virtual environment each time."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
MINUTES = 300.0
ENVIRON = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "VIRTUAL_ENV") and not name.startswith("MTNET_")
}


def run(*command, cwd=None):
    result = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=MINUTES,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def listed():
    """Name the files that git knows; in an unpacked source distribution, those that it has."""
    if (PROJECT / "PKG-INFO").exists():
        names = (PROJECT / "mtnet_hub.egg-info/SOURCES.txt").read_text("utf-8")
    else:
        names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=PROJECT)
    return [name for name in names.splitlines() if (PROJECT / name).is_file()]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the project's own files, so that a build leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in listed():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((PROJECT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source)
    return next(folder.glob("*.whl"))


def test_the_source_distribution_has_every_file_but_those_of_the_repository(source, tmp_path):
    run(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, source)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("mtnet_hub-")
    with tarfile.open(file) as archive:
        members = (member.name.partition("/")[2] for member in archive if member.isfile())
        names = {name for name in members if "egg-info" not in name}
    ours = {name for name in listed() if "egg-info" not in name and not name.startswith(".")}
    assert names - {"PKG-INFO"} == ours - {"PKG-INFO"}


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """The programs of a Python that has what mtnet needs, and mtnet as one test left it."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    pip(folder / "bin", wheel)
    return folder / "bin"


def pip(fresh, *arguments):
    run(fresh / "python", "-m", "pip", "install", "--quiet", *arguments)


def install(fresh, *arguments):
    """Install mtnet in this way, whatever way it was installed before."""
    pip(fresh, "--force-reinstall", "--no-deps", *arguments)
    # pip leaves folders of an installed package that somebody still wrote to: as a package without
    # files they would come before an editable one.
    for folder in fresh.parent.glob("lib/python*/site-packages/mtnet"):
        if not (folder / "__init__.py").exists():
            shutil.rmtree(folder)


def assert_works(fresh, tmp_path):
    assert "--listen" in run(fresh / "twistd", "mtnet", "--help", cwd=tmp_path)
    assert_runs(fresh, tmp_path)


def assert_runs(fresh, tmp_path):
    checked = run(fresh / "mtnet", "run", "--check", "--data", tmp_path / "data", cwd=tmp_path)
    assert "The configuration is sound" in checked


def test_without_a_compiler_only_the_compiled_loops_are_missing(
    source, wheel, tmp_path, monkeypatch
):
    def names(file):
        return {name for name in zipfile.ZipFile(file).namelist() if ".dist-info" not in name}

    monkeypatch.setitem(ENVIRON, "CC", "no-such-compiler")
    copy = shutil.copytree(source, tmp_path / "copy", ignore=shutil.ignore_patterns("build"))
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, copy)
    more = names(wheel) - names(next(tmp_path.glob("*.whl")))
    compiled = {name.partition(".")[0] for name in more}
    loops = {"mtnet/net/_receive", "mtnet/net/output/_send"}
    assert compiled == (loops if shutil.which("cc") else set())


def test_the_wheel_carries_the_plugins_and_no_init_for_twisted(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"twisted/plugins/mtnet_plugin.py", "mtnet/plugins/signals.py", "mtnet/py.typed"} < names
    assert not {"twisted/__init__.py", "twisted/plugins/__init__.py"} & names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_wheel_and_the_checkout_have_the_same_files_of_the_page(wheel):
    folder = PROJECT / "mtnet/services/web/page/static"
    ours = {str(each.relative_to(PROJECT)) for each in folder.rglob("*") if each.is_file()}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if name.startswith("mtnet/services/web/page/static/")} == ours


def test_every_package_is_named(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {str(file.relative_to(PROJECT)) for file in (PROJECT / "mtnet").rglob("*.py")}
    assert here <= names


def test_the_wheel_carries_the_experts_for_terminals(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = (PROJECT / "mql5").rglob("*.mq?")
    assert {f"mtnet/{file.relative_to(PROJECT).as_posix()}" for file in files} <= names


def test_it_works_from_a_wheel(fresh, wheel, tmp_path):
    install(fresh, wheel)
    assert_works(fresh, tmp_path)
    run(fresh / "mtnet", "mql5", "export", tmp_path / "experts.zip")


def test_it_works_from_pip_install(fresh, source, tmp_path):
    install(fresh, source)
    assert_works(fresh, tmp_path)


def test_it_works_from_the_editable_install_for_developers(fresh, source, tmp_path):
    install(fresh, "--config-settings", "editable_mode=compat", "-e", source)
    assert_works(fresh, tmp_path)


def test_mtnet_run_works_from_any_editable_install(fresh, source, tmp_path):
    install(fresh, "-e", source)
    assert_runs(fresh, tmp_path)
