"""Sections that components bring, of this package or of another."""

from typing import ClassVar

import msgspec
import pytest

from mtnet.config.loader import load, with_sections
from mtnet.config.schema import Config, NamedTables, Section
from mtnet.errors import ConfigError


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    renamed: ClassVar = {"slots": "workers"}
    workers: int = 1


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section without the base class of mtnet."""

    renamed: ClassVar = {"often": "interval"}
    interval: float = 60.0
    names: tuple[str, ...] = ()
    queues: dict[str, Queue] = {}


class Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: int = 3


SECTIONS = {"jobs": Jobs, "plain": Plain}


def fails(match, **sources):
    with pytest.raises(ConfigError, match=match) as caught:
        load(environ={}, sections=SECTIONS, **sources)
    assert "\n" not in str(caught.value)


def file(folder, text):
    path = folder / "mtnet.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_section_has_its_defaults_when_nothing_is_configured():
    config = load(environ={}, sections=SECTIONS)
    assert (config.section("jobs"), config.section("plain")) == (Jobs(), Plain())
    assert config.section("none") is None
    assert isinstance(config, Config)


def test_a_section_is_read_from_every_source_by_its_types(tmp_path):
    path = file(tmp_path, "[jobs]\ninterval = 1\n[jobs.queues.fast]\nworkers = 2\n")
    environ = {"MTNET_JOBS__NAMES": "a, b", "MTNET_JOBS__QUEUES__SLOW__WORKERS": "9"}
    config = load(path, environ, sets=["jobs.interval=2.5", "plain.level=7"], sections=SECTIONS)
    assert config.section("jobs") == Jobs(2.5, ("a", "b"), {"fast": Queue(2), "slow": Queue(9)})
    assert config.section("plain") == Plain(7)


def test_an_old_key_of_a_section_works_at_every_depth(tmp_path):
    path, warnings = file(tmp_path, "[jobs]\noften = 1\n[jobs.queues.fast]\nslots = 2\n"), []
    environ = {"MTNET_JOBS__QUEUES__SLOW__SLOTS": "9"}
    config = load(path, environ, sections=SECTIONS, warn=warnings.append)
    assert config.section("jobs") == Jobs(1.0, (), {"fast": Queue(2), "slow": Queue(9)})
    assert [warning.partition(": ")[2].partition(";")[0] for warning in warnings] == [
        "jobs.often is now called jobs.interval",
        "jobs.queues.fast.slots is now called jobs.queues.fast.workers",
        "jobs.queues.slow.slots is now called jobs.queues.slow.workers",
    ]


def test_a_name_with_a_dot_is_quoted_in_a_warning(tmp_path):
    path, warnings = file(tmp_path, '[jobs.queues."a.b"]\nslots = 2\n'), []
    load(path, {}, sections=SECTIONS, warn=warnings.append)
    assert 'jobs.queues."a.b".slots is now called jobs.queues."a.b".workers' in warnings[0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("jobs.intervall=1", "--set jobs.intervall names an unknown setting: jobs.intervall"),
        ("jobs.queues.fast.worker=1", "unknown setting: jobs.queues.fast.worker"),
        ("plain.level=high", "--set plain.level: invalid value 'high'"),
        ("jobs.interval.x=1", "unknown setting: jobs.interval.x"),
        ("gone.level=1", "unknown setting: gone"),
    ],
)
def test_an_invalid_setting_of_a_section_is_named(text, match):
    fails(match, sets=[text])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[plain]\nlevl = 1\n", r"Unknown setting plain\.levl in .*mtnet\.toml"),
        ("[plain]\nlevel = 'high'\n", r"plain\.level in .*mtnet\.toml"),
        ("plain = 3\n", r"plain in .*mtnet\.toml"),
        ("[gone]\nlevel = 1\n", r"Unknown setting gone in .*mtnet\.toml"),
        ("[jobs]\noften = 1\ninterval = 2\n", r"jobs\.often in .* is the old name of jobs\.int"),
    ],
)
def test_an_invalid_file_is_refused_with_section_and_key(tmp_path, text, match):
    fails(match, file=file(tmp_path, text))


def test_a_table_in_the_file_and_a_text_of_another_source_do_not_mix(tmp_path):
    path = file(tmp_path, "plain = 3\n")
    fails(
        "sets a key of plain, which is not a table in the file", file=path, sets=["plain.level=1"]
    )


def test_the_type_of_the_configuration_is_made_once():
    assert with_sections(*SECTIONS.items()) is with_sections(*SECTIONS.items())


class Place(Section, frozen=True, rename={"hold": "for"}):
    url: str
    hold: int = 0


class Own(Section, frozen=True):
    every: int = 60


class Places(NamedTables, frozen=True):
    tables: dict[str, Place] = msgspec.field(default_factory=dict)
    own: Own = Own()


NAMED = {"places": Places}


def test_people_name_the_tables_of_a_section_beside_its_own_keys(tmp_path):
    text = '[places.a]\nurl = "x"\nfor = 3\n[places.tables]\nurl = "y"\n[places.own]\nevery = 5\n'
    environ = {"MTNET_PLACES__B__URL": "z", "MTNET_PLACES__A__FOR": "4"}
    config = load(file(tmp_path, text), environ, sets=["places.own.every=7"], sections=NAMED)
    a, b, c = Place(url="x", hold=4), Place(url="z"), Place(url="y")
    assert config.section("places") == Places(
        tables={"a": a, "b": b, "tables": c}, own=Own(every=7)
    )
    assert load(environ={}, sections=NAMED).section("places") == Places()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[places.a]\nurl = "x"\nfro = 3\n', r"Unknown setting places\.a\.fro in"),
        ("[places.a]\nfor = 3\n", r"places\.a in .*: Object missing required field `url`"),
        ('[places.a]\nurl = "x"\nfor = "y"\n', r"places\.a\.for in .*: Expected a whole number"),
        ("places.a = 3\n", r"places\.a in .*: Expected a table"),
        ("[places.own]\never = 3\n", r"Unknown setting places\.own\.ever in"),
    ],
)
def test_an_error_in_a_table_that_somebody_named_names_it(tmp_path, text, match):
    with pytest.raises(ConfigError, match=match):
        load(file(tmp_path, text), environ={}, sections=NAMED)
