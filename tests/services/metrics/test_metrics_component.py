"""`/metrics`: who may read it, and that Prometheus can."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.daemon import FakeDaemon, basic
from prometheus_client.parser import text_string_to_metric_families
from zope.interface.verify import verifyObject

from mtnet.interfaces import IHttpResources, IMetrics, IService
from mtnet.metrics import Histogram, Metric
from mtnet.services.metrics.collector import ComponentCollector, family

CONTRIB = Path(__file__).parents[3] / "contrib"
PROMTOOL = shutil.which("promtool")
OF_THE_DAEMON = {"signals", "ticks", "templates", "daemon"}
GRANTS = {"alice": ("admin",), "bob": ("read",), "carol": ("monitor",)}
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool of Prometheus is not here.")


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets: FakeDaemon(tmp_path / "data", clock, *sets, grants=GRANTS)


def ask(daemon, login=None, method="GET", path="/metrics"):
    said = b"" if login is None else b"Authorization: " + basic(login) + b"\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    head, _, body = daemon.ask("web", head + said + b"\r\n").partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body.decode()


@pytest.fixture
def text(build):
    return ask(build("web.metrics_open=true"))[2]


def names(text):
    return {line.split("{")[0].split()[0] for line in text.splitlines() if line[:1] not in "#"}


def test_the_component_keeps_its_interfaces(build):
    component = build().env.components.services["metrics"]
    assert verifyObject(IService, component)
    assert verifyObject(IHttpResources, IHttpResources(component))


@pytest.mark.parametrize(
    ("login", "status"), [(None, 401), ("alice", 200), ("bob", 403), ("carol", 200)]
)
def test_metrics_are_for_those_who_have_the_named_right(build, login, status):
    assert ask(build(), login)[0] == status


def test_a_setting_shows_them_to_everybody(build):
    status, head, _ = ask(build("web.metrics_open=true"))
    assert status == 200
    assert b"text/plain; version=" in head


@pytest.mark.parametrize(("method", "path"), [("POST", "/metrics"), ("GET", "/metrics/x")])
def test_there_is_nothing_else(build, method, path):
    assert ask(build("web.metrics_open=true"), None, method, path)[0] in (404, 405)


def test_every_service_and_the_process_are_there(text):
    found = names(text)
    assert {each.split("_")[1] for each in found if each.startswith("mtnet_")} >= OF_THE_DAEMON
    assert "process_resident_memory_bytes" in found


def test_every_metric_is_named_as_its_component_and_typed_as_prometheus_has_it(build):
    seen = set()
    for component, provider in build().env.find_all(IMetrics).items():
        for metric in provider.metrics():
            assert metric.name.startswith(f"mtnet_{component}_")
            assert metric.name not in seen
            assert metric.name.endswith("_total") == (metric.kind == "counter")
            assert metric.name.endswith("_seconds") or metric.kind != "histogram"
            assert metric.help.endswith(".")
            assert not {"login", "account", "address", "peer"} & set(metric.labels)
            seen.add(metric.name)


def test_prometheus_reads_what_it_is_given(text):
    families = {each.name: each for each in text_string_to_metric_families(text)}
    buckets = families["mtnet_signals_commit_seconds"].samples
    assert buckets[0].labels == {"le": "0.001"}
    assert families["mtnet_ticks_received"].type == "counter"
    (info,) = families["mtnet_daemon_info"].samples
    assert info.value == 1


@needs_promtool
def test_promtool_has_nothing_to_say_of_them(text):
    run = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    found = [line for line in run.stderr.splitlines() if line.startswith("mtnet_")]
    assert (found, run.returncode) == ([], 0), run.stderr


def test_a_component_that_fails_costs_no_other(capture_failures):
    class Broken:
        def metrics(self):
            raise ValueError("broken")

    class Sound:
        def metrics(self):
            return [Metric("mtnet_two_things", "gauge", "Things.", lambda: 7)]

    collector = ComponentCollector({"one": Broken(), "two": Sound()})
    for _ in range(2):
        found = {each.name: each.samples[0].value for each in collector.collect()}
        assert found == {"mtnet_two_things": 7, "mtnet_metrics_failed": 1}
    assert [each["name"] for each in capture_failures] == ["one"]


@pytest.fixture
def capture_failures():
    events = []

    def observe(event):
        if event.get("log_failure") is not None:
            events.append(event)

    ComponentCollector.log.observer.addObserver(observe)
    yield events
    ComponentCollector.log.observer.removeObserver(observe)


def test_a_histogram_is_cumulative():
    histogram = Histogram((0.5, 1.0))
    for value in (0.1, 0.7, 3.0):
        histogram.observe(value)
    samples = family(Metric("mtnet_x_seconds", "histogram", "X.", lambda: histogram)).samples
    assert [(each.labels.get("le"), each.value) for each in samples] == [
        ("0.5", 1), ("1.0", 2), ("+Inf", 3), (None, 3), (None, pytest.approx(3.8)),
    ]  # fmt: skip


@pytest.mark.parametrize("file", ["alerts.yml", "grafana.json"])
def test_what_we_contribute_names_metrics_that_exist(text, file):
    asked = set(re.findall(r"\bmtnet_[a-z0-9_]+", (CONTRIB / file).read_text("utf-8")))
    known = {*names(text), *re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    histograms = set(re.findall(r"^# TYPE (\S+) histogram", text, re.MULTILINE))
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    assert len(asked) > 5
    assert asked <= known | parts | {"mtnet_daemon_certificate_days"}


def test_the_dashboard_is_json_with_a_title_for_each_panel():
    dashboard = json.loads((CONTRIB / "grafana.json").read_text("utf-8"))
    assert all(panel["title"] and panel["targets"] for panel in dashboard["panels"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@needs_promtool
def test_promtool_accepts_the_alerts():
    run = subprocess.run(
        [PROMTOOL, "check", "rules", CONTRIB / "alerts.yml"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
