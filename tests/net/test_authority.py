"""CertificateStore that are made here: what is in them, and how they come to the disk."""

import hashlib
import os
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from tls_samples import Authority, Files, key_pem, new_key, pem

from mtnet.config.schema import Tls
from mtnet.durations import DAY_MS
from mtnet.errors import CertificateError
from mtnet.net.tls.authority import (
    CA,
    CA_DAYS,
    CA_KEY,
    CERTIFICATE,
    DAYS,
    KEY,
    default_names,
    issue,
    make,
    make_authority,
    parse_name,
    parse_names,
    thumbprints,
)
from mtnet.net.tls.certificates import Pair, names, read_certificates, read_pair
from mtnet.net.tls.files import default_files
from mtnet.net.tls.store import CertificateStore

NOW = int(datetime.now(UTC).timestamp() * 1000)
OWN = make_authority("trading-pc", NOW)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "tls"


def made(folder, *hosts, now=NOW, **options):
    return make(folder, parse_names(hosts or ["fx.example"]), "trading-pc", now, **options).pair


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def shake(folder, host, trusted):
    """Let a strict client and a server meet in memory; return what the client complains of."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname=host),
        server.wrap_bio(there, back, server_side=True),
    ]
    try:
        while sides:
            for side in list(sides):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                    sides.remove(side)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return None


# What a client sees


@pytest.mark.parametrize("host", ["fx.example", "demo.fx.example", "192.0.2.7", "2001:db8::7"])
def test_a_strict_client_that_trusts_the_authority_takes_every_name(folder, host):
    made(folder, "FX.example.", "*.fx.example", "192.0.2.7", "2001:DB8:0::7")
    assert shake(folder, host, folder / CA) is None


def test_a_strict_client_refuses_other_names_and_other_authorities(folder, tmp_path):
    made(folder, "fx.example")
    made(tmp_path / "other" / "tls", "fx.example")
    assert "Hostname mismatch" in shake(folder, "gold.example", folder / CA)
    assert "self-signed" in shake(folder, "fx.example", tmp_path / "other" / "tls" / CA)


def test_the_certificate_is_for_a_server_and_may_issue_nothing():
    leaf = issue(OWN, ["fx.example"], NOW).chain[0]
    assert extension(leaf, x509.BasicConstraints).value.ca is False
    assert extension(leaf, x509.BasicConstraints).critical
    usage = extension(leaf, x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    purposes = extension(leaf, x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.public_key().curve.name == ec.SECP256R1.name


def test_the_authority_issues_for_servers_and_for_nothing_below_them():
    (ca,) = OWN.chain
    found = extension(ca, x509.BasicConstraints)
    assert (found.critical, found.value.ca, found.value.path_length) == (True, True, 0)
    usage = extension(ca, x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert "trading-pc" in ca.subject.rfc4514_string()


def test_two_authorities_of_one_machine_have_different_names():
    assert make_authority("trading-pc", NOW).chain[0].subject != OWN.chain[0].subject


@pytest.mark.parametrize("host", ["x" * 300, "", "trading pc, Ltd. = \\+"])
def test_an_authority_is_made_whatever_the_machine_is_called(host):
    pair = issue(make_authority(host, NOW), ["fx.example"], NOW)
    pair.chain[0].verify_directly_issued_by(pair.chain[1])


@pytest.mark.parametrize("days", [1, 30, DAYS])
def test_it_is_valid_now_and_no_day_longer_than_was_asked(days):
    leaf = issue(OWN, ["fx.example"], NOW, days).chain[0]
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    assert begin <= datetime.fromtimestamp(NOW / 1000, UTC) < end
    # Both the first and the last second count.
    assert end - begin + timedelta(seconds=1) <= timedelta(days=days)


def test_no_certificate_outlives_its_authority():
    late = NOW + (CA_DAYS - 10) * DAY_MS
    leaf = issue(OWN, ["fx.example"], late).chain[0]
    assert leaf.not_valid_after_utc == OWN.chain[0].not_valid_after_utc


def test_a_clock_that_was_set_back_issues_nothing_older_than_the_authority():
    leaf = issue(OWN, ["fx.example"], NOW - 3 * DAY_MS).chain[0]
    assert leaf.not_valid_before_utc == OWN.chain[0].not_valid_before_utc


def test_serials_and_keys_are_drawn_anew_each_time():
    issued = [issue(OWN, ["fx.example"], NOW) for _ in range(20)]
    serials = {pair.chain[0].serial_number for pair in issued}
    assert len(serials) == len({key_pem(pair.key) for pair in issued}) == 20
    assert max(serials).bit_length() > 128


def test_a_name_longer_than_a_common_name_is_served_all_the_same():
    long = ".".join(["a" * 60] * 3)
    assert names(issue(OWN, [long], NOW).chain[0]) == [long]
    assert issue(OWN, [long, "fx.example"], NOW).chain[0].subject.rfc4514_string() == (
        "CN=fx.example"
    )


def test_thumbprints_are_those_that_openssl_and_windows_tell():
    der = OWN.chain[0].public_bytes(Encoding.DER)
    assert thumbprints(OWN.chain[0]) == {
        "sha1": hashlib.sha1(der).hexdigest(),
        "sha256": hashlib.sha256(der).hexdigest(),
    }


def brought(key, identifier=None):
    """Return an authority that somebody made elsewhere."""
    own = identifier or x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "brought")])
    usage = extension(OWN.chain[0], x509.KeyUsage).value
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA384()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(OWN.chain[0].not_valid_before_utc)
        .not_valid_after(OWN.chain[0].not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(own, critical=False)
        .sign(key, digest)
    )
    return Pair((certificate,), key)


@pytest.mark.parametrize("key", [new_key(2048), ed25519.Ed25519PrivateKey.generate()])
def test_an_authority_that_was_made_elsewhere_issues_too(folder, key):
    folder.mkdir(parents=True)
    (folder / CA).write_bytes(pem(*brought(key).chain))
    (folder / CA_KEY).write_bytes(key_pem(key))
    (folder / CA_KEY).chmod(0o600)
    made(folder, "fx.example")
    assert shake(folder, "fx.example", folder / CA) is None


def test_an_authority_is_named_as_it_names_its_own_key():
    identifier = x509.SubjectKeyIdentifier(b"of its own making")
    leaf = issue(brought(new_key(), identifier), ["fx.example"], NOW).chain[0]
    found = extension(leaf, x509.AuthorityKeyIdentifier).value
    assert found.key_identifier == identifier.digest


# Names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FX.Example.", "fx.example"),
        ("*.fx.example", "*.fx.example"),
        ("localhost", "localhost"),
        ("TRADING_PC", "trading_pc"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
    ],
)
def test_names_become_what_clients_compare(text, name):
    assert parse_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "*", "*.", "a..b", "-a.example", "a b", "fx.example:8081", "https://fx.example",
        "[::1]", "fe80::1%eth0", "192.0.2", "192.0.2.256", "192.0.2.7.", "a.*.example", "a" * 64,
        ".".join(["a" * 60] * 5), "fx.example\n", "fx\0example",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_with_an_example(text):
    with pytest.raises(CertificateError, match=r"neither a host name nor an address.*fx\.example"):
        parse_name(text)


@given(st.one_of(st.text(max_size=70), st.from_regex(r"[*a-zA-Z0-9._-]{1,70}"), st.ip_addresses()))
def test_every_name_is_refused_or_comes_out_of_the_certificate_as_it_went_in(text):
    try:
        name = parse_name(str(text))
    except CertificateError:
        with pytest.raises(ValueError):  # noqa: PT011
            ip_address(str(text))
        return
    assert parse_name(name) == name
    assert names(issue(OWN, [name], NOW).chain[0]) == [name]


def test_a_name_that_is_said_twice_is_there_once():
    assert parse_names(["b.example", "a.example", "B.example."]) == ["b.example", "a.example"]


def test_without_names_it_is_for_this_machine_alone():
    own = ["localhost", "127.0.0.1", "::1"]
    assert default_names("Trading-PC") == [*own, "trading-pc"]
    assert default_names("localhost") == own
    assert default_names("no host name") == own


# The folder


def test_the_daemon_serves_what_lies_there(folder):
    pair = made(folder, "fx.example")
    assert default_files(Tls(), folder) == (folder / CERTIFICATE, folder / KEY)
    served = read_pair(folder / CERTIFICATE, folder / KEY, NOW)
    assert served.chain == pair.chain
    assert served.remarks == ()
    assert read_certificates(folder / CA) == [served.chain[1]]


@pytest.mark.skipif(os.name != "posix", reason="There are no modes here.")
def test_nobody_else_can_read_them(folder):
    before = os.umask(0)
    try:
        made(folder)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert set(files(folder)) == {CA, CA_KEY, CERTIFICATE, KEY}


def test_the_second_certificate_is_of_the_same_authority(folder):
    first = make(folder, ["fx.example"], "trading-pc", NOW)
    trusted = files(folder)[CA]
    second = make(folder, ["gold.example"], "trading-pc", NOW)
    assert (first.new_authority, second.new_authority) == (True, False)
    assert files(folder)[CA] == trusted
    assert shake(folder, "gold.example", folder / CA) is None


@pytest.mark.parametrize("missing", [CA, CA_KEY])
def test_half_an_authority_is_never_replaced(folder, missing):
    made(folder)
    (folder / missing).rename(folder.parent / missing)
    before = files(folder)
    with pytest.raises(CertificateError, match=rf"{missing} is missing beside .*put it back"):
        made(folder, force=True)
    assert files(folder) == before


def test_an_authority_that_expired_issues_nothing(folder):
    made(folder)
    with pytest.raises(CertificateError, match=rf"{CA} .*expired"):
        made(folder, now=NOW + (CA_DAYS + 1) * DAY_MS)


def test_a_servers_certificate_is_no_authority(folder):
    made(folder)
    leaf, key = files(folder)[CERTIFICATE], files(folder)[KEY]
    (folder / CA).write_bytes(leaf)
    (folder / CA_KEY).write_bytes(key)
    with pytest.raises(CertificateError, match="may not issue"):
        made(folder, force=True)


def test_a_certificate_of_another_authority_is_spared_until_it_is_forced(folder):
    Files(folder, Authority("certbot")).issue("fx.example")
    (folder / CA).unlink()
    before = files(folder)
    with pytest.raises(CertificateError, match="--force"):
        made(folder)
    assert files(folder) == before
    made(folder, force=True)
    assert shake(folder, "fx.example", folder / CA) is None


def test_a_certificate_of_an_authority_before_this_one_is_spared(folder):
    made(folder)
    foreign = {name: data for name, data in files(folder).items() if name in (CERTIFICATE, KEY)}
    (folder / CA).unlink()
    (folder / CA_KEY).unlink()
    made(folder, force=True)
    for name, data in foreign.items():
        (folder / name).write_bytes(data)
    with pytest.raises(CertificateError, match="--force"):
        made(folder)


@pytest.mark.parametrize("name", [KEY, CERTIFICATE])
def test_what_is_no_certificate_is_spared_too(folder, name):
    folder.mkdir(parents=True)
    (folder / name).write_text("the only copy of something")
    with pytest.raises(CertificateError, match="--force"):
        made(folder)
    assert list(files(folder)) == [name]


def test_files_are_whole_at_every_moment_and_the_certificate_comes_last(folder, monkeypatch):
    made(folder, "old.example")
    replaced = []
    rename = os.replace

    def watched(source, target):
        rename(source, target)
        replaced.append(os.path.basename(target))
        assert read_certificates(folder / CERTIFICATE)
        assert read_pair(folder / CA, folder / CA_KEY, NOW)

    monkeypatch.setattr(os, "replace", watched)
    made(folder, "new.example")
    assert replaced == [KEY, CERTIFICATE]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_daemon_that_looks_between_the_two_keeps_what_it_serves(folder, monkeypatch):
    made(folder, "old.example")
    daemon = CertificateStore(Tls(), folder, lambda: NOW)
    rename, seen = os.replace, []

    def look(source, target):
        rename(source, target)
        daemon.check_files()
        seen.extend(row["names"] for row in daemon.status())

    monkeypatch.setattr(os, "replace", look)
    made(folder, "new.example")
    assert seen == [["old.example"], ["new.example"]]
    assert daemon.health()["healthy"]


def test_a_full_disk_changes_nothing_and_leaves_nothing_behind(folder, monkeypatch):
    made(folder, "old.example")
    before, sync, done = files(folder), os.fsync, []

    def full(descriptor):
        if done:
            raise OSError(28, "No space left on device")
        done.append(sync(descriptor))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CertificateError, match="cannot be written: No space left"):
        made(folder, "new.example")
    assert files(folder) == before


def test_a_crash_between_the_two_is_mended_by_the_next_one(folder, monkeypatch):
    made(folder, "old.example")
    rename = os.replace

    def crash(source, target):
        if target.name == CERTIFICATE:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            made(folder, "new.example")
    with pytest.raises(CertificateError, match="does not belong"):
        read_pair(folder / CERTIFICATE, folder / KEY, NOW)
    made(folder, "new.example")
    assert shake(folder, "new.example", folder / CA) is None


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="Only root gives files away.")
def test_root_gives_the_daemon_its_files_and_keeps_the_key_of_the_authority(folder):
    folder.parent.mkdir()
    os.chown(folder.parent, 4711, 4712)
    made(folder)
    owners = {path.name: path.stat().st_uid for path in (folder, *folder.iterdir())}
    assert owners == {"tls": 4711, CA: 4711, CERTIFICATE: 4711, KEY: 4711, CA_KEY: 0}
