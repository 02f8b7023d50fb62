"""Which certificates are served, and what is said of the others."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from tls_samples import Authority, Files, key_pem, new_key, pem

from mtnet.errors import CertificateError
from mtnet.net.tls.certificates import day, read_authorities, read_certificates, read_pair, stamp

DAY = timedelta(days=1)
NOW = int(datetime.now(UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def authority():
    return Authority("issuer", Authority("root"))


@pytest.fixture
def files(tmp_path, authority):
    return Files(tmp_path / "tls", authority)


def read(files, now=NOW):
    return read_pair(files.certificate, files.key, now)


def assert_refused(files, *words, now=NOW):
    with pytest.raises(CertificateError) as caught:
        read(files, now)
    sentence = str(caught.value)
    assert sentence.endswith((".", "?"))
    assert sentence.count("\n") == 0
    for word in words:
        assert word in sentence


def test_a_sound_pair_is_read_with_its_issuers_and_names(files):
    certificate = files.issue("fx.example", "*.fx.example", "192.0.2.7", "2001:db8::1")
    pair = read(files)
    assert pair.chain == (certificate, *files.authority.chain)
    assert pair.names == ["fx.example", "*.fx.example", "192.0.2.7", "2001:db8::1"]
    assert pair.remarks == ()
    assert 89 * 86_400_000 < pair.until - NOW < 91 * 86_400_000


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_keys_of_2048_bits_and_more_are_served(files, bits):
    files.issue("fx.example", key=new_key(bits))
    assert read(files).key.key_size == bits


def test_a_short_rsa_key_is_refused(files):
    files.issue("fx.example", key=new_key(1024))
    assert_refused(files, "key.pem", "1024", "2048")


def test_a_key_behind_its_curve_parameters_is_read(files):
    files.issue("fx.example")
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    files.put(files.certificate.read_bytes(), parameters + files.key.read_bytes())
    assert read(files).names == ["fx.example"]


def test_certificate_and_key_may_lie_in_one_file(files):
    files.issue("fx.example")
    both = files.key.read_bytes() + files.certificate.read_bytes()
    files.put(both, both)
    assert read(files).names == ["fx.example"]


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_a_file_that_is_not_there_is_named(files, name):
    files.issue("fx.example")
    getattr(files, name).unlink()
    assert_refused(files, f"{name}.pem", "No such file")


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_no_beginning_of_a_file_is_taken_for_the_whole(files, name):
    files.issue("fx.example", key=new_key())
    path = getattr(files, name)
    whole = path.read_bytes()
    last = whole.rindex(b"-----") + 5
    ends = [at for at in range(0, last, 37)] + [last - 1]
    for end in ends:
        path.write_bytes(whole[:end])
        if (
            whole[:end].count(b"-----BEGIN")
            == whole[:end].count(b"-----END CERTIFICATE-----\n")
            > 0
        ):
            continue  # a chain that ends with a whole certificate cannot be told from a whole one
        assert_refused(files, f"{name}.pem")


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 5_000, b"x" * 2_000_000])
def test_what_is_no_pem_is_refused(files, data):
    files.issue("fx.example")
    files.put(data, files.key.read_bytes())
    assert_refused(files, "certificate.pem", "PEM")
    files.issue("fx.example")
    files.put(files.certificate.read_bytes(), data)
    assert_refused(files, "key.pem", "PEM")


def test_damaged_blocks_are_refused(files):
    files.issue("fx.example")
    certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
    files.put(certificate.replace(b"MII", b"MJJ", 1), key)
    assert_refused(files, "certificate.pem", "damaged")
    files.put(certificate, key.replace(b"MI", b"MJ", 1))
    assert_refused(files, "key.pem", "damaged")


@pytest.mark.parametrize("known", ["2a8648ce3d0201", "2a8648ce3d030107"])
def test_a_kind_of_key_that_nobody_knows_here_is_refused(files, known):
    strange = bytes.fromhex(known[:-2] + "7f")
    der = files.issue("fx.example").public_bytes(Encoding.DER)
    der = der.replace(bytes.fromhex(known), strange)
    files.put(pem(x509.load_der_x509_certificate(der)), files.key.read_bytes())
    assert_refused(files, "certificate.pem", "key cannot be read", "P-256")


def test_a_key_of_another_certificate_is_refused(files):
    files.issue("fx.example")
    files.put(files.certificate.read_bytes(), key_pem(new_key()))
    assert_refused(files, "key.pem", "does not belong", "certificate.pem")


def test_certificates_in_the_wrong_order_are_refused(files):
    own = files.issue("fx.example")
    issuer = files.authority.certificate
    files.put(pem(issuer, own), files.key.read_bytes())
    assert_refused(files, "certificate.pem", "not in order", "first")
    files.put(pem(own, Authority("another").certificate), files.key.read_bytes())
    assert_refused(files, "certificate.pem", "not in order", "certificate 2")


def test_dates_that_are_over_or_not_yet_are_refused(files):
    files.issue("fx.example", since=-3 * DAY, until=-DAY)
    assert_refused(files, "certificate.pem", "expired on", day(NOW - 86_400_000))
    files.issue("fx.example", since=2 * DAY)
    assert_refused(files, "certificate.pem", "not valid before", "clock")


def test_an_issuer_that_expired_is_refused_and_its_end_is_the_end_of_the_pair(files):
    own, key = files.authority.issue("fx.example", until=200 * DAY)
    files.put(pem(own, *files.authority.chain), key_pem(key))
    assert 89 * 86_400_000 < read(files).until - NOW < 91 * 86_400_000
    assert read(files, NOW + 89 * 86_400_000).remarks == ()
    assert_refused(files, "an issuer that expired on", now=NOW + 95 * 86_400_000)


def test_an_issuer_of_an_issuer_that_expired_is_a_remark(tmp_path):
    root = Authority("root", until=10 * DAY)
    files = Files(tmp_path / "tls", Authority("issuer", root))
    own, key = files.authority.issue("fx.example")
    files.put(pem(own, files.authority.certificate, root.certificate), key_pem(key))
    assert "issuer that has expired" in read(files, NOW + 20 * 86_400_000).remarks[0]


def test_authorities_of_clients_are_refused_when_all_of_them_have_expired(files):
    old, new = Authority("old", until=5 * DAY), Authority("new")
    files.ca.write_bytes(pem(old.certificate, new.certificate))
    later = NOW + 10 * 86_400_000
    assert read_authorities(files.ca, later) == [old.certificate, new.certificate]
    files.ca.write_bytes(pem(old.certificate))
    assert read_authorities(files.ca, NOW) == [old.certificate]
    with pytest.raises(CertificateError, match="no authority that is still valid"):
        read_authorities(files.ca, later)


def test_a_key_that_windows_does_not_know_is_a_remark(files):
    files.issue("fx.example", key=ed25519.Ed25519PrivateKey.generate())
    assert "Edwards curve" in read(files).remarks[0]


def test_a_certificate_of_a_client_is_refused(files):
    files.issue("fx.example", usage="client")
    assert_refused(files, "certificate.pem", "not for servers")


def test_a_locked_key_is_refused(files):
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    key = new_key()
    certificate, _ = files.authority.issue("fx.example", key=key)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    files.put(pem(certificate), locked)
    assert_refused(files, "key.pem", "password")


def test_an_open_key_and_a_certificate_without_names_are_remarks(files):
    files.issue()
    files.key.chmod(0o640)
    nameless, open_key = read(files).remarks
    assert "neither host nor address" in nameless
    assert "key.pem is open to its group (mode 0640)" in open_key


def test_a_key_that_all_users_can_read_is_refused_with_what_mends_it(files):
    files.issue("fx.example")
    files.key.chmod(0o644)
    assert_refused(files, "(mode 0644)", f"chmod 600 {files.key}")


def test_a_file_without_certificates_is_no_authority(files):
    files.issue("fx.example")
    with pytest.raises(CertificateError, match="holds no certificate"):
        read_certificates(files.key)


def test_a_stamp_changes_with_content_mode_and_file(files):
    files.issue("fx.example")
    seen = {stamp(files.key)}
    files.key.chmod(0o640)
    seen.add(stamp(files.key))
    files.issue("fx.example")
    seen.add(stamp(files.key))
    files.key.unlink()
    seen.add(stamp(files.key))
    assert len(seen) == 4
    assert None in seen
