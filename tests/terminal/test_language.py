"""The imitation of a terminal does what the MQL5 reference says."""

import os
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
CRITICAL = 99
"""The exit status of a program that the terminal ended."""


@pytest.fixture
def run(compiler, tmp_path):
    """Run a program to its end, in a folder of its own and without commands."""

    def run(name, **environ):
        return subprocess.run(
            [compiler.program(PROGRAMS / f"{name}.mq5")],
            cwd=tmp_path,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return run


def wrong(done):
    return [line for line in done.stderr.splitlines() if "WRONG" in line]


@pytest.mark.parametrize("hedging", ["0", "1"], ids=["netting", "hedging"])
def test_the_rules_of_the_reference_hold(run, hedging):
    done = run("Selftest", HEDGING=hedging)
    assert wrong(done) == []
    assert done.returncode == 0, done.stderr
    assert " wrong 0" in done.stderr
    assert "leak" not in done.stdout


def test_inputs_are_what_the_terminal_was_told(run):
    assert run("Selftest", InpText="other", InpNumber="6").returncode == 0
    assert run("Selftest", InpText="other").returncode == 1


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("0", "array out of range"),
        ("1", "zero divide"),
        ("2", "zero divide"),
        ("3", "invalid pointer access: NULL"),
        ("4", "invalid pointer access: the object was deleted"),
    ],
)
def test_a_wrong_program_ends(run, what, reason):
    done = run("Range", InpWhat=what)
    assert done.returncode == CRITICAL
    assert done.stdout == f"critical {reason}\n"
    assert "Range.mq5:" in done.stderr


def test_an_object_that_nobody_deletes_is_reported(run):
    done = run("Range", InpWhat="5")
    assert done.returncode == 0
    assert done.stdout.endswith("leak 1 Object\n")
