"""The certificates that are served, and when others take their place."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tls_samples import Authority, Files, key_pem, new_key, pem
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface.verify import verifyObject

from mtnet.daemon.configuration import load
from mtnet.errors import CertificateError
from mtnet.net.tls import context
from mtnet.net.tls.store import CertificateStore

DAY = timedelta(days=1)
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def authority():
    return Authority()


class Wall:
    """A wall clock that is moved by hand."""

    def __init__(self):
        self.now = int(datetime.now(UTC).timestamp() * 1000)

    def __call__(self):
        return self.now


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def files(tmp_path, authority):
    found = Files(tmp_path / "tls", authority)
    found.issue("one.example")
    return found


@pytest.fixture
def open_with(files, wall, tmp_path):
    """Make `CertificateStore` of settings: `open_with("tls.profile=modern")`."""

    def make(*sets):
        return CertificateStore(
            load(sets=sets, data=str(tmp_path)).tls, files.certificate.parent, wall
        )

    return make


def served(certificates):
    return certificates.status()[0]["names"]


def said(log, *words):
    """Return the lines of the log that hold all `words`."""
    from twisted.logger import formatEvent

    return [line for line in map(formatEvent, log) if all(word in line for word in words)]


def test_it_is_what_twisted_asks_for(open_with):
    assert verifyObject(IOpenSSLServerConnectionCreator, open_with())


def test_the_default_files_are_those_of_the_data_folder(open_with):
    assert served(open_with()) == ["one.example"]


def test_there_is_no_start_without_a_sound_pair(open_with, files):
    files.key.write_bytes(b"")
    with pytest.raises(CertificateError, match=r"key\.pem"):
        open_with()


def test_a_new_pair_is_taken_at_the_next_look_with_a_new_context(open_with, files, log):
    certificates = open_with()
    before = certificates.serverConnectionForTLS(None).get_context()
    certificates.check_files()
    assert certificates.serverConnectionForTLS(None).get_context() is before
    files.issue("two.example")
    certificates.check_files()
    assert served(certificates) == ["two.example"]
    assert certificates.serverConnectionForTLS(None).get_context() is not before
    assert len(said(log, "is served, until")) == 1


def test_files_whose_content_stays_change_nothing(open_with, files):
    certificates = open_with()
    before = certificates.serverConnectionForTLS(None).get_context()
    files.put(files.certificate.read_bytes(), files.key.read_bytes())
    certificates.reload()
    assert certificates.serverConnectionForTLS(None).get_context() is before


def spoil(kind, files):
    certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
    if kind == "mismatched":
        files.put(certificate, key_pem(new_key()))
    elif kind == "half-written":
        files.put(certificate[: len(certificate) // 2], key)
    elif kind == "expired":
        files.issue("late.example", since=-3 * DAY, until=-DAY)
    elif kind == "early":
        files.issue("early.example", since=DAY)
    elif kind == "curve":
        files.issue("odd.example", key=ec.generate_private_key(ec.SECP256K1()))
    elif kind == "gone":
        files.certificate.unlink()
    else:
        files.put(b"", b"")


@pytest.mark.parametrize(
    "kind", ["mismatched", "half-written", "expired", "early", "curve", "gone", "empty"]
)
def test_a_bad_pair_is_refused_with_one_sentence_and_the_old_one_stays(
    open_with, files, warnings, kind
):
    certificates = open_with()
    before = certificates.serverConnectionForTLS(None).get_context()
    spoil(kind, files)
    for _ in range(5):
        certificates.check_files()
    assert certificates.serverConnectionForTLS(None).get_context() is before
    assert served(certificates) == ["one.example"]
    assert len(warnings()) == 1
    assert certificates.health()["healthy"] is False
    assert str(files.certificate.parent) in certificates.status()[0]["remarks"][0]
    files.issue("good.example")
    certificates.check_files()
    assert served(certificates) == ["good.example"]
    assert certificates.health()["healthy"] is True
    assert certificates.status()[0]["remarks"] == []


def test_a_reload_looks_at_once_and_says_again_what_is_refused(open_with, files, warnings):
    certificates = open_with()
    spoil("half-written", files)
    certificates.check_files()
    certificates.reload()
    assert len(warnings()) == 2


def test_between_the_two_files_of_a_slow_renewal_the_old_pair_stays(open_with, files):
    certificates = open_with()
    new, key = files.authority.issue("two.example")
    files.certificate.write_bytes(pem(new))
    certificates.check_files()
    assert served(certificates) == ["one.example"]
    files.key.write_bytes(key_pem(key))
    certificates.check_files()
    assert served(certificates) == ["two.example"]


def test_an_open_key_is_warned_of_until_it_is_closed(open_with, files, warnings):
    files.key.chmod(0o640)
    certificates = open_with()
    assert len(warnings()) == 1
    assert "0640" in certificates.status()[0]["remarks"][0]
    files.key.chmod(0o600)
    certificates.check_files()
    assert certificates.status()[0]["remarks"] == []
    assert certificates.health()["healthy"] is True


def test_expiry_is_told_30_7_and_1_days_ahead_and_when_it_is_over(open_with, wall, warnings):
    certificates = open_with()
    got = {}
    for day in range(92):
        certificates.check_files()
        certificates.check_files()
        if len(warnings()) > len(got):
            got[day] = len(warnings())
        wall.now += DAY_MS
    assert list(got.values()) == [1, 2, 3, 4]
    assert list(got) == [60, 83, 89, 90]
    assert certificates.health()["healthy"] is False
    assert certificates.health()["days_left"] < 0


def test_a_certificate_that_is_about_to_expire_is_told_of_at_the_start_and_once(
    open_with, files, warnings
):
    files.issue("one.example", until=4.5 * DAY)
    certificates = open_with()
    certificates.check_files()
    assert len(warnings()) == 1
    assert certificates.status()[0]["days left"] == 4
    files.issue("one.example", until=89.5 * DAY)
    certificates.check_files()
    assert len(warnings()) == 1
    assert certificates.status()[0]["days left"] == 89


def test_a_host_whose_certificate_names_it_not_is_warned_of(open_with, tmp_path, authority, log):
    other = Files(tmp_path / "tls", authority, "other-")
    other.issue("other.example", "*.wild.example")

    def sets(name):
        key = f'tls.hosts."{name}"'
        return f"{key}.certificate={other.certificate}", f"{key}.key={other.key}"

    for name in ("other.example", "OTHER.example.", "deep.wild.example", "*.wild.example"):
        open_with(*sets(name))
    assert said(log, "is not valid for it") == []
    open_with(*sets("third.example"))
    assert len(said(log, "third.example", "is not valid for it")) == 1


def test_each_host_is_renewed_by_itself(open_with, files, tmp_path, authority):
    other = Files(tmp_path / "tls", authority, "other-")
    other.issue("other.example")
    key = 'tls.hosts."other.example"'
    certificates = open_with(f"{key}.certificate={other.certificate}", f"{key}.key={other.key}")
    spoil("empty", files)
    other.issue("other.example", "more.example")
    certificates.check_files()
    assert [row["names"] for row in certificates.status()] == [
        ["one.example"],
        ["other.example", "more.example"],
    ]
    assert [row["host"] for row in certificates.status()] == ["(default)", "other.example"]


def test_new_client_authorities_are_taken_and_bad_ones_are_not(open_with, files, warnings):
    certificates = open_with("tls.client_certificates=required", f"tls.client_ca={files.ca}")
    before = certificates.serverConnectionForTLS(None).get_context()
    files.ca.write_bytes(b"half")
    certificates.check_files()
    assert certificates.serverConnectionForTLS(None).get_context() is before
    assert certificates.health()["healthy"] is False
    assert len(warnings()) == 1
    files.ca.write_bytes(pem(Authority("new").certificate))
    certificates.check_files()
    assert certificates.serverConnectionForTLS(None).get_context() is not before
    assert certificates.health()["healthy"] is True


def test_an_error_at_a_look_does_not_stop_the_next_one(open_with, files, monkeypatch, warnings):
    certificates = open_with()
    monkeypatch.setattr("mtnet.net.tls.store.read_pair", lambda *_: 1 / 0)
    files.issue("two.example")
    certificates.check_files()
    assert len(warnings()) == 1
    monkeypatch.undo()
    certificates.reload()
    assert served(certificates) == ["two.example"]


def test_without_a_way_to_choose_curves_it_says_so_and_works(open_with, monkeypatch, log):
    from OpenSSL import _util

    monkeypatch.setattr(_util, "lib", object())
    assert served(open_with()) == ["one.example"]
    assert len(said(log, "curves")) == 1


def test_the_suites_are_those_of_mozillas_profile(open_with):
    connection = open_with().serverConnectionForTLS(None)
    both = [*context.SUITES_13.decode().split(":"), *context.SUITES_12.decode().split(":")]
    assert connection.get_cipher_list() == both
    assert len(both) == 9
