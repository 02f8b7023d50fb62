"""What strangers are not told: where files lie on this machine."""

from pathlib import Path

import pytest

from mtnet.redact import PathRedactor

DATA, TLS = Path("/srv/my data"), Path("/etc/tls")
REDACTOR = PathRedactor(DATA, [TLS, DATA / "tls"])


@pytest.mark.parametrize(
    ("sentence", "got"),
    [
        ("ticks: /srv/my data/ticks.sqlite cannot be read.", "ticks: ticks.sqlite cannot be read."),
        ("The key in /etc/tls/key.pem does not fit /srv/my data/tls/a.pem.",
         "The key in key.pem does not fit a.pem."),
        ("/srv/my data/templates/0a/1.tpl is damaged.", "templates/0a/1.tpl is damaged."),
        ("/srv/my data is full.", "the data folder is full."),
        ("It is in /etc/tls.", "It is in a folder."),
        ("/mnt/etc/tls/key.pem and /etc/tlsx are others.",
         "/mnt/etc/tls/key.pem and /etc/tlsx are others."),
    ],
)  # fmt: skip
def test_a_path_becomes_the_name_of_its_file(sentence, got):
    assert REDACTOR.text(sentence) == got


def test_a_report_is_told_without_folders_however_deep_they_stand():
    report = {"trouble": [f"{DATA}/a"], "tls": {"trouble": f"{TLS}/b", "days_left": 3}, "x": None}
    got = {"trouble": ["a"], "tls": {"trouble": "b", "days_left": 3}, "x": None}
    assert REDACTOR.report(report) == got
