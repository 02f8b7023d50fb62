"""The files of the page: how they are sent, and that those of others are unchanged."""

import re
from gzip import decompress
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from fakes.http import HttpPort

from mtnet.net.endpoints import Listener
from mtnet.services.web.page.files import STATIC, TYPES, static_files

VENDORED = {
    line.split()[1]: line.split()[0]
    for line in (STATIC / "vendor" / "SHA256SUMS").read_text("ascii").splitlines()
}
NAMES = sorted(static_files())
SCRIPTS = [name for name in NAMES if name.endswith(".js") and "/" not in name]


def path_of(name):
    return "/" if name == "index.html" else f"/static/{name}"


@pytest.fixture
def port(env_with):
    return HttpPort(env_with())


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_sent_as_what_it_is(port, name):
    answer = port.ask("GET", path_of(name))
    assert (answer.status, answer.body) == (200, (STATIC / name).read_bytes())
    ending = name[name.rindex(".") :]
    assert answer.headers["content-type"] == TYPES[ending]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_label_of_the_operator_is_text_on_the_page(env_with):
    plain, labelled = (
        HttpPort(env_with(*sets)).ask("GET", "/") for sets in ((), ("web.label=<b>desk & co</b>",))
    )
    assert '<p id="label"></p>' in plain.body.decode()
    assert '<p id="label">&lt;b&gt;desk &amp; co&lt;/b&gt;</p>' in labelled.body.decode()
    assert labelled.headers["etag"] != plain.headers["etag"]


def test_scripts_and_styles_come_from_this_server_alone(port):
    policy = port.ask("GET", "/").headers["content-security-policy"]
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert (rules["script-src"], rules["style-src"], rules["connect-src"]) == ("'self'",) * 3
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy


def test_a_browser_that_knows_a_file_is_not_sent_it_again(port):
    first = port.ask("GET", "/static/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = port.ask("GET", "/static/main.js", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert port.ask("GET", "/static/main.js", If_None_Match='"other"').status == 200


def test_a_library_is_kept_since_its_name_has_its_version(port):
    (name,) = [each for each in VENDORED if each.startswith("lightweight-charts-5")]
    answer = port.ask("GET", f"/static/vendor/{name}")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("*", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("br", False),
    ],
)
def test_a_browser_that_takes_gzip_is_sent_it(port, accepted, compressed):
    answer = port.ask("GET", "/static/main.js", Accept_Encoding=accepted)
    assert (answer.headers.get("content-encoding") == "gzip") is compressed
    content = decompress(answer.body) if compressed else answer.body
    assert content == (STATIC / "main.js").read_bytes()
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["etag"].endswith('-gzip"') is compressed
    known = port.ask("GET", "/static/main.js", If_None_Match=answer.headers["etag"])
    assert known.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/..%2Ffiles.py",
        "/static/vendor/..%2Fmain.js",
        "/static",
        "/static/__init__.py",
        "/static/vendor/SHA256SUMS",
        "/static/vendor%2F..%2Fmain.js",
    ],
)
def test_nothing_else_is_sent(port, path):
    assert port.ask("GET", path).error == (404, "missing")


def test_the_port_of_templates_has_no_page(env_with):
    assert HttpPort(env_with(), Listener("templates", "tcp:8080")).ask("GET", "/").status == 404


def test_the_libraries_of_others_are_unchanged_and_have_their_licences():
    vendor = STATIC / "vendor"
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == VENDORED
    for name in VENDORED:
        if name.endswith(".js"):
            library, version = re.fullmatch(r"([a-zA-Z-]+)-([0-9.]+)\.js", name).groups()
            assert f"{library}-LICENSE.txt" in VENDORED
            assert version in (vendor / name).read_text("utf-8")[:500]


def test_the_page_names_the_makers_of_its_charts(port):
    page = port.ask("GET", "/").body.decode()
    assert 'href="https://www.tradingview.com/"' in page
    assert "lightweight-charts-NOTICE.txt" in page
    assert "uPlot-NOTICE.txt" in page


class Markup(HTMLParser):
    """What a page loads, and what of it stands in the page itself."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.inline = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if tag in ("script", "link"):
            self.loaded.append(known.get("src") or known.get("href"))
        self.inline += [name for name in known if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in known):
            self.inline.append(tag)


def test_the_page_holds_no_script_and_no_style_and_loads_what_is_there():
    page = Markup((STATIC / "index.html").read_text("utf-8"))
    assert page.inline == []
    assert {each.removeprefix("/static/") for each in page.loaded} <= set(NAMES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports_what_is_there_and_makes_no_markup_of_text(name):
    text = (STATIC / name).read_text("utf-8")
    for imported in re.findall(r'^import .* from "\./(.*)";$', text, re.MULTILINE):
        assert imported in NAMES
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)
