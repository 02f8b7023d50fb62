"""Settings from everywhere, frozen into one."""

import re
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

import mtnet
from mtnet.config.loader import endpoints
from mtnet.config.reasons import explain
from mtnet.config.schema import Access, Bans, Connections, Tls
from mtnet.daemon.configuration import load
from mtnet.errors import ConfigError
from mtnet.services.signals.settings import SignalSettings


def fails(match, **sources):
    with pytest.raises(ConfigError, match=match) as caught:
        load(**sources)
    assert "\n" not in str(caught.value)


def file(folder, text):
    path = folder / "mtnet.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_file_can_be_in_every_encoding_of_windows(tmp_path, coding):
    path = tmp_path / "mtnet.toml"
    mark = "\ufeff" if "16" in coding else ""
    path.write_bytes((mark + "[signals]\r\npace = 7 # £\r\n").encode(coding))
    assert load(path).signals.pace == 7


def test_a_file_that_cannot_be_decoded_is_refused(tmp_path):
    path = tmp_path / "mtnet.toml"
    path.write_bytes(b"\xff\xfe[\0s")
    fails("is not TOML", file=path)


def test_without_a_source_there_are_defaults():
    config = load()
    assert config.signals.pace == 2.5
    assert config.templates.max_size == 1_048_576
    assert config.access.anonymous is None
    assert config.data.endswith("/.local/share/mtnet")


def test_later_sources_win(tmp_path):
    path = file(tmp_path, "data = '/file'\n[signals]\npace = 1\nrepeat = 1\ngrace = 1\n")
    environ = {"MTNET_SIGNALS__REPEAT": "2", "MTNET_SIGNALS__GRACE": "2", "MTNET_DATA": "/env"}
    config = load(path, environ, sets=["signals.grace=3"])
    assert (config.signals.pace, config.signals.repeat, config.signals.grace) == (1, 2, 3)
    assert config.data == "/env"
    assert load(path, environ, data="/option").data == "/option"


def test_systemd_names_the_data_folder():
    assert load(environ={"STATE_DIRECTORY": "/var/lib/mtnet:/x"}).data == "/var/lib/mtnet"


def test_listen_replaces_all_endpoints_of_a_name(tmp_path):
    path = file(tmp_path, "[listen]\nsignals = ['tcp:1', 'tcp:2']\nweb = 'tcp:3'\n")
    config = load(path, listens=["signals=tcp:4", "signals=tcp:5"])
    assert endpoints(config, "signals", ["tcp:8081"]) == ["tcp:4", "tcp:5"]
    assert endpoints(config, "web", ["tcp:8083"]) == ["tcp:3"]
    assert endpoints(config, "templates", ["tcp:8080"]) == ["tcp:8080"]
    assert endpoints(config, "ticks", []) == []
    assert endpoints(load(listens=["web=off"]), "web", ["tcp:8083"]) == []


@pytest.mark.parametrize(
    ("text", "read", "value"),
    [
        ("signals.pace=0", lambda c: c.signals.pace, 0),
        ("templates.keep_experts=true", lambda c: c.templates.keep_experts, True),
        ("templates.default=EURUSD H1", lambda c: c.templates.default, "EURUSD H1"),
        ("web.hosts=a.example, b.example", lambda c: c.web.hosts, ("a.example", "b.example")),
        ("access.anonymous=", lambda c: c.access.anonymous, ()),
        ("listen.signals=tcp:1,tcp:2", lambda c: c.listen, {"signals": ["tcp:1", "tcp:2"]}),
        ("signals.sources.a.connect=tcp:h:1", lambda c: c.signals.sources["a"].channel, "main"),
        (
            'signals.ports."tcp:1:interface=::1".channel=gold',
            lambda c: c.signals.ports["tcp:1:interface=::1"].channel,
            "gold",
        ),
    ],
)
def test_set_reads_a_value_by_the_type_of_its_key(text, read, value):
    assert read(load(sets=[text])) == value


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("signals.pase=1", "unknown setting: signals.pase"),
        ("pace=1", "names an unknown setting: pace"),
        ("signals.pace", "expected SECTION.KEY=VALUE"),
        (
            "signals.pace=fast",
            "--set signals.pace: invalid value 'fast'. Expected a number, got a text.",
        ),
        ("signals.pace=-1", "--set signals.pace: invalid value '-1'"),
        ("signals.pace=nan", "signals.pace"),
        ("templates.max_size=0", "templates.max_size"),
        ("signals.stalled=0", "signals.stalled"),
    ],
)
def test_an_invalid_set_is_refused_with_its_key(text, match):
    fails(match, sets=[text])


def test_an_invalid_listen_is_refused_with_an_example():
    fails("signals=tcp:8081", listens=["tcp:8081"])


def test_an_invalid_variable_is_named():
    fails("MTNET_SIGNALS__PASE", environ={"MTNET_SIGNALS__PASE": "1"})


@pytest.mark.parametrize("name", ["MTNET_PASSWORD", "MTNET_TEST_DATA"])
def test_a_variable_without_a_section_is_ignored(name):
    assert load(environ={name: "anything"}) == load()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[signals]\npase = 1\n", r"Unknown setting signals\.pase in .*mtnet\.toml"),
        ("[sginals]\n", "sginals"),
        ("[signals]\npace = 'x'\n", r"signals\.pace in .*mtnet\.toml"),
        ("pace = [", "is not TOML"),
        ("listen = 3\n", "must be a table"),
        (
            "[signals.ports.'tcp:1']\nchannel = 'a b'\n",
            r"signals\.ports.*: Expected 1 to 32 of A-Z a-z 0-9 \. _ -, such as gold\.",
        ),
        ("[signals.channels.a]\nmax_volume = 'x'\n", "Expected a number such as 0.5"),
    ],
)
def test_an_invalid_file_is_refused_with_section_and_key(tmp_path, text, match):
    fails(match, file=file(tmp_path, text))


def test_every_pattern_of_a_setting_is_a_sentence_for_people():
    folder = Path(mtnet.__file__).parent
    source = "".join(file.read_text("utf-8") for file in folder.rglob("settings.py"))
    patterns = re.findall(r'Meta\(pattern=r"([^"]+)"', source)
    assert patterns
    for pattern in patterns:
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.convert(" ", Annotated[str, msgspec.Meta(pattern=pattern)])
        assert "such as" in explain(caught.value)[0]


def test_a_missing_file_is_refused_in_a_sentence(tmp_path):
    fails("cannot be read: No such file", file=tmp_path / "none.toml")


# Renamed keys

RENAMED = [
    (section, old, new, kind)
    for section, kind in (
        ("access", Access),
        ("access.bans", Bans),
        ("access.connections.signals", Connections),
        ("signals", SignalSettings),
        ("tls", Tls),
    )
    for old, new in kind.renamed.items()
]


def value_of(config, path):
    for part in path.split("."):
        config = config[part] if isinstance(config, dict) else getattr(config, part)
    return config


@pytest.mark.parametrize(("section", "old", "new", "kind"), RENAMED)
def test_an_old_key_works_from_every_source_and_warns_with_the_new_name(
    tmp_path, section, old, new, kind
):
    path = file(tmp_path, f"[{section}]\n{old} = {[7] if old == 'again' else 7}\n")
    variable = f"MTNET_{section}.{old}".upper().replace(".", "__")
    for where, sources in [
        (str(path), {"file": path}),
        (f"The environment variable {variable}", {"environ": {variable: "7"}}),
        (f"--set {section}.{old}", {"sets": [f"{section}.{old}=7"]}),
    ]:
        warnings = []
        config = load(**sources, warn=warnings.append)
        assert value_of(config, f"{section}.{new}") in (7, (7.0,))
        assert warnings == [
            f"{where}: {section}.{old} is now called {section}.{new}; the old name works until "
            "mtnet 1.0."
        ]


def test_all_renamed_keys_are_known():
    assert len(RENAMED) == 15
    assert all(new in kind.__struct_fields__ for _, _, new, kind in RENAMED)
    assert not any(old in kind.__struct_fields__ for _, old, _, kind in RENAMED)


def test_a_new_key_does_not_warn(tmp_path):
    warnings = []
    load(file(tmp_path, "[access]\nsave_interval = 7\n"), {}, warn=warnings.append)
    assert warnings == []


def test_an_old_key_in_the_file_gives_way_to_the_new_one_in_a_later_source(tmp_path):
    path, warnings = file(tmp_path, "[access]\nstore = 1\n"), []
    config = load(path, sets=["access.save_interval=2"], warn=warnings.append)
    assert (config.access.save_interval, len(warnings)) == (2, 1)


def test_both_names_of_a_key_in_one_file_are_an_error(tmp_path):
    text = "[access.connections.signals]\nstrangers = 1\nunauthenticated = 2\n"
    fails(
        r"access\.connections\.signals\.strangers in .*mtnet\.toml is the old name of "
        r"access\.connections\.signals\.unauthenticated",
        file=file(tmp_path, text),
    )


def test_both_names_of_a_key_in_the_environment_are_an_error():
    environ = {"MTNET_ACCESS__STORE": "1", "MTNET_ACCESS__SAVE_INTERVAL": "2"}
    match = "MTNET_ACCESS__SAVE_INTERVAL and MTNET_ACCESS__STORE set the same key"
    fails(match, environ=environ, warn=lambda text: None)


def test_a_warning_is_a_line_on_stderr(capsys):
    load(sets=["tls.handshakes=7"])
    assert capsys.readouterr().err == (
        "mtnet: --set tls.handshakes: tls.handshakes is now called tls.max_handshakes; the old "
        "name works until mtnet 1.0.\n"
    )


@pytest.mark.parametrize("text", ["access.renamed=x", "access.bans.renamed=x"])
def test_the_table_of_old_names_is_not_a_setting(text):
    fails("unknown setting", sets=[text])


def test_the_changelog_names_every_renamed_key():
    text = (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")
    for _, old, new, _ in RENAMED:
        assert f"`{old}`" in text
        assert f"`{new}`" in text


def test_the_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        load().section("signals").pace = 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            '[access.networks]\n"10.0.0.0/8" = 5',
            r'access\.networks\."10\.0\.0\.0/8" in .*: Expected',
        ),
        (
            "[access.connections.web]\ntotl = 1",
            r"^Unknown setting access\.connections\.web\.totl in",
        ),
        ("[access.connections.web]\ntotal = 'x'", r"^access\.connections\.web\.total in .*: Expe"),
        ("[tls.hosts.desk]\ncertificate = 'x'", r"^tls\.hosts\.desk in .*: Object missing"),
        (
            "[listen]\nticks = 'off'\nweb = ['tcp:1', 2]",
            r"^listen\.web\[1\] in .*: Expected a text",
        ),
        ("[signals.channels.gold]\nx = 1", r"^Unknown setting signals\.channels\.gold\.x in"),
    ],
)
def test_a_table_is_named_in_an_error_of_its_keys(tmp_path, text, named):
    fails(named, file=file(tmp_path, f"[access.connections.signals]\ntotal = 9\n{text}\n"))
