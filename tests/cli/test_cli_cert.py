"""`mtnet cert`: what it makes, what it says, and with which exit status it ends."""

import json
import os
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tls_samples import Authority, Files, key_pem, new_key, pem

from mtnet.cli.cert import work as cert
from mtnet.cli.main import main, parser
from mtnet.config.schema import Tls
from mtnet.durations import DAY_MS
from mtnet.net.tls.authority import CA, CA_KEY, CERTIFICATE, KEY, thumbprints
from mtnet.net.tls.certificates import read_certificates, read_pair

NOW = time.time_ns() // 1_000_000
DAY = timedelta(days=1)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "tls.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Nothing of the tests' own environment configures the program."""
    for name in [*os.environ]:
        if name.startswith(("MTNET_", "STATE_DIRECTORY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def files(data):
    """A certificate of a known issuer, where the daemon looks for it."""
    return Files(data / "tls", Authority("issuer", Authority("root")))


@pytest.fixture
def run(capsys):
    """Run the program in this process; return its exit status and what it says."""

    def run(*arguments):
        try:
            main([*map(str, arguments)])
        except SystemExit as ended:
            if isinstance(ended.code, str):
                return 1, ended.code
            return ended.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run


def judged(files, now=NOW, **settings):
    return cert.judge(files.certificate, files.key, Tls(**settings), now)


def warned(files, now=NOW, **settings):
    """Return the warnings about what is served."""
    verdict = judged(files, now, **settings)
    assert verdict.refused == ()
    return " ".join(verdict.warnings)


def refused(files, **settings):
    verdict = judged(files, **settings)
    assert len(verdict.refused) == 1
    return verdict.refused[0]


# init


def test_init_makes_what_the_daemon_serves_and_says_what_to_do_next(run, data):
    status, said = run("cert", "init", "--data", data, "FX.example", "192.0.2.7")
    assert status == 0
    pair = read_pair(data / "tls" / CERTIFICATE, data / "tls" / KEY, NOW)
    assert pair.names == ["fx.example", "192.0.2.7"]
    assert thumbprints(pair.chain[0])["sha1"] in said
    assert thumbprints(pair.chain[0])["sha256"] in said
    assert f"mtnet run --data {data} --listen signals=secure:8081" in said
    assert "certutil -addstore Root ca.pem" in said
    assert re.search(r"not\s+documented\s+by\s+MetaQuotes", said)
    assert str(data / "tls" / CA_KEY) in said


def test_init_says_whether_clients_know_the_authority_already(run, data):
    assert f"{CA}, new\n" in run("cert", "init", "--data", data)[1]
    assert f"{CA}, used again\n" in run("cert", "init", "--data", data)[1]


def test_init_without_names_is_for_this_machine(run, data):
    assert run("cert", "init", "--data", data)[0] == 0
    names = read_pair(data / "tls" / CERTIFICATE, data / "tls" / KEY, NOW).names
    assert {"localhost", "127.0.0.1", "::1"} <= {*names}


def test_init_finds_the_data_folder_in_the_configuration(run, data, tmp_path):
    (tmp_path / "mtnet.toml").write_text(f'data = "{data}"\n')
    status, said = run("cert", "init", "-c", tmp_path / "mtnet.toml", "--days", "1")
    assert status == 0
    assert f"--config {tmp_path / 'mtnet.toml'}" in said
    pair = read_pair(data / "tls" / CERTIFICATE, data / "tls" / KEY, NOW)
    assert pair.until - NOW < DAY_MS


def test_init_says_when_the_daemon_serves_another_certificate(run, data, monkeypatch):
    monkeypatch.setenv("MTNET_TLS__CERTIFICATE", "/etc/fx.pem")
    monkeypatch.setenv("MTNET_TLS__KEY", "/etc/fx-key.pem")
    assert "the daemon serves /etc/fx.pem" in run("cert", "init", "--data", data)[1]


def test_init_spares_a_certificate_of_another_authority_until_it_is_forced(run, data, files):
    before = files.issue("fx.example")
    files.ca.unlink()
    status, said = run("cert", "init", "--data", data)
    assert (status, said.count("\n")) == (1, 0)
    assert said.startswith("mtnet: ")
    assert "--force" in said
    assert read_certificates(files.certificate)[0] == before
    assert run("cert", "init", "--data", data, "--force")[0] == 0
    assert read_certificates(files.certificate)[0] != before


@pytest.mark.parametrize(
    "arguments", [["https://fx.example"], ["--days", "826"], ["--days", "0"], ["--days", "x"]]
)
def test_init_makes_nothing_of_a_wrong_command_line(run, data, arguments):
    assert run("cert", "init", "--data", data, *arguments)[0] in (1, 2)
    assert not data.exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, said = run("cert", "init", "--data", tmp_path / "file" / "data")
    assert status == 1
    assert said.startswith("mtnet: ")
    assert said.count("\n") == 0


@pytest.mark.parametrize("command", [["init"], ["show"], ["check"]])
def test_help_ends_with_an_example_that_the_parser_takes(capsys, command):
    with pytest.raises(SystemExit):
        main(["cert", *command, "--help"])
    example = capsys.readouterr().out.split("Example: mtnet ")[1].split()
    assert example[:2] == ["cert", *command]
    parser().parse_args(example)


# show


def test_show_tells_each_certificate_of_the_chain(run, data, files):
    own = files.issue("fx.example", "192.0.2.7", name="the server")
    status, said = run("cert", "show", "--data", data)
    assert status == 0
    leaf, issuer = said.strip().split("\n\n")
    assert "Names:       fx.example, 192.0.2.7" in leaf
    assert "Issuer:      CN=issuer" in leaf
    assert f"SHA-1:       {thumbprints(own)['sha1']}" in leaf
    assert f"SHA-256:     {thumbprints(own)['sha256']}" in leaf
    assert own.not_valid_after_utc.strftime("Valid until: %Y-%m-%dT") in leaf
    assert "Subject:     CN=issuer" in issuer
    assert "Authority:   yes" in issuer


@pytest.mark.parametrize(("bits", "got"), [(0, "ECDSA secp256r1"), (2048, "RSA 2048")])
def test_show_tells_any_file_as_json(run, tmp_path, bits, got):
    certificate, _ = Authority().issue("fx.example", key=new_key(bits))
    (tmp_path / "any.pem").write_bytes(pem(certificate))
    (found,) = json.loads(run("cert", "show", tmp_path / "any.pem", "--json")[1])
    assert found["names"] == ["fx.example"]
    assert (found["key"], found["authority"]) == (got, False)
    assert int(found["serial"], 16) == certificate.serial_number


def test_show_of_no_certificate_is_one_sentence(run, data):
    status, said = run("cert", "show", "--data", data)
    assert status == 1
    assert f"{data / 'tls' / CERTIFICATE} cannot be read" in said


# check


def test_what_init_has_made_passes_the_check(run, data):
    run("cert", "init", "--data", data)
    status, said = run("cert", "check", "--data", data)
    assert (status, said) == (0, f"{data / 'tls' / CERTIFICATE}: nothing is wrong.\n")
    (got,) = json.loads(run("cert", "check", "--data", data, "--json")[1])
    assert got == {
        "certificate": str(data / "tls" / CERTIFICATE),
        "key": str(data / "tls" / KEY),
        "refused": [],
        "warnings": [],
    }


def test_check_refuses_a_missing_certificate_and_says_how_to_make_one(run, data):
    status, said = run("cert", "check", "--data", data)
    assert status == 1
    assert said.startswith("REFUSED: ")
    assert "mtnet cert init" in said


def test_check_looks_at_every_host_of_the_configuration(run, data, files, tmp_path):
    files.issue("fx.example")
    other = Files(tmp_path / "other", files.authority)
    other.issue("gold.example", until=-DAY, since=-2 * DAY)
    config = tmp_path / "mtnet.toml"
    config.write_text(
        f'data = "{data}"\n[tls.hosts."gold.example"]\n'
        f'certificate = "{other.certificate}"\nkey = "{other.key}"\n'
    )
    status, said = run("cert", "check", "-c", config, "--json")
    default, gold = json.loads(said)
    assert status == 1
    assert default["refused"] == []
    assert "expired on" in gold["refused"][0]


def test_a_key_that_does_not_fit_would_be_refused(files):
    files.issue("fx.example")
    files.put(files.certificate.read_bytes(), key_pem(new_key()))
    assert "does not belong" in refused(files)


def test_a_wrong_order_would_be_refused(files):
    own = files.issue("fx.example")
    files.put(pem(files.authority.certificate, own), files.key.read_bytes())
    assert "not in order" in refused(files)


def test_client_authorities_that_cannot_be_read_would_be_refused(files):
    files.issue("fx.example")
    settings = {"client_certificates": "required", "client_ca": "/nosuch/ca.pem"}
    assert "/nosuch/ca.pem" in refused(files, **settings)
    assert "/nosuch" not in warned(files, client_ca="/nosuch/ca.pem")


@pytest.mark.parametrize(
    ("left", "got"), [(31.1, ""), (29.9, "30 days"), (6.9, "7 days"), (0.9, "1 day,")]
)
def test_an_expiry_is_told_30_7_and_1_days_before(files, left, got):
    files.issue("fx.example", until=left * DAY)
    said = warned(files)
    assert ("expires within" in said) == bool(got)
    assert got in said


def test_a_certificate_without_names_is_told(files):
    files.issue()
    assert "neither host nor address" in warned(files)


def test_an_address_that_is_no_address_in_the_certificate_is_told(files, monkeypatch):
    files.issue("fx.example", name="192.0.2.7")
    assert "address 192.0.2.7 in its subject alone" in warned(files)
    files.issue("fx.example", "192.0.2.7", name="192.0.2.7")
    assert "192.0.2.7" not in warned(files)
    from cryptography import x509

    monkeypatch.setattr("tls_samples._host", x509.DNSName)
    files.issue("192.0.2.8", name="fx.example")
    assert "address 192.0.2.8 as a host name" in warned(files)


def test_a_certificate_without_its_issuer_is_told(files):
    own = files.issue("fx.example")
    assert warned(files) == ""
    files.put(pem(own), files.key.read_bytes())
    assert "fullchain.pem" in warned(files)


@pytest.mark.skipif(os.name != "posix", reason="There are no modes here.")
def test_files_that_others_can_read_or_write_are_told(files):
    files.issue("fx.example")
    files.key.chmod(0o640)
    assert "chmod 600" in warned(files)
    files.key.chmod(0o600)
    files.certificate.chmod(0o664)
    assert f"{files.certificate} can be written by other users" in warned(files)
    files.certificate.chmod(0o644)
    files.certificate.parent.chmod(0o777)
    assert f"{files.certificate.parent} can be written by other users" in warned(files)
    files.certificate.parent.chmod(0o755)
    assert warned(files) == ""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="Only root gives files away.")
def test_a_key_that_the_daemons_user_cannot_read_would_be_refused(run, data, files):
    files.issue("fx.example")
    os.chown(data, 4711, 4711)
    status, said = run("cert", "check", "--data", data)
    assert status == 1
    assert f"{files.key} cannot be read by the user of the data folder" in said
    os.chown(files.key, 4711, 4711)
    assert run("cert", "check", "--data", data)[0] == 0


# docs/tls.md


@pytest.mark.skipif(os.name != "posix", reason="The script is for certbot on Linux.")
def test_the_hook_for_certbot_hands_over_what_the_daemon_serves(data, files, tmp_path):
    live = Files(tmp_path / "live", files.authority)
    live.issue("fx.example")
    live.certificate.rename(live.certificate.with_name("fullchain.pem"))
    live.key.rename(live.key.with_name("privkey.pem"))
    script = re.search(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    hook = tmp_path / "hook"
    hook.write_text(script.replace("/var/lib/mtnet", str(data)))
    environ = {**os.environ, "RENEWED_LINEAGE": str(tmp_path / "live")}
    subprocess.run(["sh", "-e", hook], env=environ, check=True, timeout=20)
    assert judged(files) == cert.Verdict(str(files.certificate), str(files.key), (), ())
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (data / "tls").iterdir()) == [CA, CERTIFICATE, KEY]


@pytest.mark.skipif(os.name != "posix", reason="The script is for certbot on Linux.")
def test_the_hook_changes_nothing_when_certbot_has_only_half(data, files, tmp_path):
    files.issue("fx.example")
    before = files.key.read_bytes()
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "privkey.pem").write_bytes(key_pem(new_key()))
    script = re.search(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    (tmp_path / "hook").write_text(script.replace("/var/lib/mtnet", str(data)))
    environ = {**os.environ, "RENEWED_LINEAGE": str(tmp_path / "live")}
    ended = subprocess.run(
        ["sh", "-e", tmp_path / "hook"], env=environ, capture_output=True, timeout=20, check=False
    )
    assert ended.returncode != 0
    assert files.key.read_bytes() == before


def test_every_mtnet_command_of_the_document_is_taken_by_the_parser():
    commands = re.findall(r"^mtnet ((?:cert|doctor) .*)$", DOCUMENT, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        parser().parse_args(command.split())


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (rsa.generate_private_key(65_537, 2_048), "RSA 2048"),
        (ec.generate_private_key(ec.SECP384R1()), "ECDSA secp384r1"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
)
def test_every_kind_of_key_has_its_name_and_who_may_issue_is_told(key, kind):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fx.example")])
    begin = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(begin).not_valid_after(begin + DAY)
    digest = None if kind == "Ed25519" else hashes.SHA256()
    plain = builder.sign(key, digest)
    issuer = builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, digest)
    assert (cert._kind(plain), cert._may_issue(plain)) == (kind, False)
    assert cert._may_issue(issuer) is True
