"""The panels of the page in a real browser: what they show, to whom, and that all can use them."""

import json
import re
import signal
from time import sleep
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from browser_page import ESCAPED, MARKUP, PASSWORD, command, session, tick
from live_daemon import RealDaemon, until

axe = pytest.importorskip("axe_playwright_python.base", reason="axe is not installed.")
ACCOUNTS = {"root": "admin", "rita": "admin", "alice": "provider", "bob": "follower"}
RULES = "wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"
LISTEN_TO_SOUND = """
globalThis.players = [];
globalThis.AudioContext = class extends AudioContext {
    constructor() {
        super();
        players.push(this);
    }
};
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory, chromium):
    """A daemon with accounts, for all tests: each has a channel of its own."""
    daemon = RealDaemon(tmp_path_factory.mktemp("page"))
    daemon.folder = tmp_path_factory.mktemp("templates")
    enabled = (f"--set={name}.enabled=true" for name in ("topics", "jobs", "indicators"))
    daemon.start(*enabled, f"--set=templates.folder={daemon.folder}")
    for name, role in ACCOUNTS.items():
        command(daemon, "account add", name=name, grants=[role], password=PASSWORD)
    tick(daemon, b"1.09876")
    yield daemon
    daemon.stop(signal.SIGKILL)


@pytest.fixture
def admin(people, open_page):
    def make(name="root", **settings):
        page = open_page(people.port("web"), **settings)
        page.shows("#connection", "Live")
        page.tab.click("#login-open")
        page.log_in(name)
        page.shows("#whom", name)
        page.hears("WELCOME", 2)  # of the session of the login
        return page

    return make


class Provider:
    """A publisher in one channel."""

    def __init__(self, daemon, channel, name="desk", **hello):
        self._open = session(daemon, login="alice", password=PASSWORD, name=name, **hello)
        self._channel, self._count = channel, 0

    def __enter__(self):
        self._session = self._open.__enter__()
        return self

    def __exit__(self, *error):
        return self._open.__exit__(*error)

    def publish(self, symbol, volume, **more):
        self._count += 1
        id = f"{self._channel}-{self._count}"
        self._session.say(
            "PUBLISH", id=id, channel=self._channel, symbol=symbol, volume=volume, **more
        )
        seen(self._session, f"STORED|id={id}|")


class Follower(Provider):
    """A follower of one channel, under the login bob."""

    def __init__(self, daemon, channel, name="vps"):
        self._open = session(daemon, login="bob", password=PASSWORD, name=name)
        self._channel = channel

    def report(self, **fields):
        self._session.say("REPORT", **fields)

    def follow(self):
        self._session.say("SUBSCRIBE", channel=self._channel)
        seen(self._session, "SYNCED")

    def acknowledge(self, seq, **fields):
        self._session.say("ACK", channel=self._channel, seq=seq, status="filled", **fields)

    def fill(self, seq, **fields):
        seen(self._session, f"seq={seq}|")
        self.acknowledge(seq, **fields)


def seen(follower, text):
    """Wait for a frame."""
    return until(lambda: [each for each in follower.frames if text in f"{each}|"])[0]


def chart(page, channel):
    """Show the signals of a channel on the candles."""
    page.tab.select_option("#chart select[data-name='Signals of']", channel)


def violations(page):
    """Return what axe finds that hinders somebody, little or much."""
    page.tab.evaluate(axe.AXE_SCRIPT)
    run = "rules => axe.run(document, {runOnly: rules})"
    found = page.tab.evaluate(run, RULES)
    assert found["passes"]
    return [
        (each["impact"], each["id"], [node["html"] for node in each["nodes"]])
        for each in found["violations"]
    ]


def test_a_follower_is_shown_with_its_latency_build_fills_and_equity(people, admin):
    with Provider(people, "fills") as alice, Follower(people, "fills") as bob:
        alice.publish("GBPUSD", "1")
        bob.report(equity="990.50", balance="1000", build=5120, server=ESCAPED)
        bob.follow()
        alice.publish("EURUSD", "0.25", price="1.09870")
        bob.fill(2, volume="0.25", price="1.09880")
        page = admin()
        row = page.shows("#people tr", "bob/vps")
        until(lambda: "s / " in row.inner_text())
        assert "5120" in row.inner_text()
        page.shows("#channels tr", "alice/desk connected")
        page.shows("#terminals td", "990.50")
        page.shows("#terminals td", MARKUP)
        page.tab.locator("#terminals canvas").wait_for()
        chart(page, "fills")
        # One for the price of the provider, one for the fill.
        page.tab.locator(".chart[data-prices='2']").wait_for()
        page.tab.click("#fills summary")
        page.shows("#fills td", "1.09880")
        page.shows("#fills td", "bob/vps: 0.00010")
        alice.publish("EURUSD", "0", price="1.09970")
        page.tab.get_by_role("button", name="Track record of fills").click()
        page.shows("#record", "100.0")
        assert page.tab.locator("img").count() == 0
        assert page.trouble() == []


def test_the_money_of_a_follower_stands_beside_that_of_its_provider(people, admin):
    with Provider(people, "money", "money") as alice, Follower(people, "money", "money") as bob:
        alice.publish("GBPUSD", "1")
        page = admin()
        bob.follow()
        spec = {"symbol": "EURUSD", "tick": "0.00001", "tickvalue": 1, "currency": "USD"}
        bob._session.say("SPEC", **spec)
        for alices, bobs in ((1000, 499), (1010, 489.02)):
            alice._session.say("REPORT", equity=alices, currency="USD", server="One")
            bob.report(equity=bobs, balance=500, currency="USD", server="Two", mode="hedging")
            page.shows("#terminals td", f"{alices} USD")
            page.shows("#terminals td", f"{bobs} USD")
            sleep(1.1)  # reports of one second count as one
        alice.publish("EURUSD", "0.25", price="1.09870")
        bob.fill(2, volume="0.25", price="1.09880")
        row = page.shows("#terminals .scroll tr", "bob/money")
        for text in ("Two", "hedging", "500 USD", "489.02 USD", "−2.00 %"):
            row.locator("td", has_text=text).first.wait_for()
        # Of both the time counts that is known of both.
        against = row.locator("td[title*='alice/money +']", has_text=re.compile(r"^−[23]\.\d\d %$"))
        against.wait_for()
        row.locator("td", has_text="2.50 USD").wait_for(timeout=20_000)
        title = row.locator("td", has_text="2.50 USD").get_attribute("title")
        assert "1 openings and closings" in title
        assert page.trouble() == []


def test_a_signal_that_is_not_acknowledged_yet_is_the_worst(people, admin):
    with Provider(people, "stuck") as alice, Follower(people, "stuck", "stuck") as bob:
        alice.publish("GBPUSD", "1")
        bob.report(equity="1")
        bob.follow()
        alice.publish("EURUSD", "0.10")
        bob.fill(2, volume="0.10")
        page = admin()
        row = page.shows("#people tr", "bob/stuck")
        until(lambda: "s / " in row.inner_text())
        assert "so far" not in row.inner_text()
        alice.publish("EURUSD", "0.25")
        late = row.locator("td", has_text=re.compile(r"ms / \d+ s so far"))
        late.wait_for()
        title = late.get_attribute("title")
        assert "From the disk to its acknowledgement, its last 100 signals" in title
        assert page.trouble() == []


def test_wrong_positions_come_first_and_more_trouble_opens_by_the_keyboard(people, admin):
    with Provider(people, "worst") as alice:
        alice.publish("GBPUSD", "1")
        command(people, "signals pause", channel="worst")
        with Follower(people, "worst", "off") as off, Follower(people, "worst", "zz") as wrong:
            off.report(trading=0)
            off.follow()
            off.acknowledge(1, volume="1")
            wrong.report(trading=0)
            wrong.follow()
            wrong._session.say(
                "ACK", channel="worst", seq=1, status="failed", volume="0", reason="no money"
            )
            page = admin()
            page.shows("#summary > p", "bob/zz holds nothing of GBPUSD, it should hold 1")
            first = page.shows("#people tbody tr:first-child", "bob/zz")
            assert "no: GBPUSD 0, not 1" in first.inner_text()
            more = first.locator("summary")
            assert more.inner_text() == "and 2 more"
            paused = first.get_by_text("Resume it in Channels.")
            assert not paused.is_visible()
            more.focus()
            page.tab.keyboard.press("Enter")
            paused.wait_for()
            # What it holds is drawn anew: it stays open, and keeps the focus.
            wrong._session.say(
                "ACK", channel="worst", seq=1, status="failed", volume="0.5", reason="no money"
            )
            page.shows("#people td", "bob/zz holds 0.5 of GBPUSD")
            assert paused.is_visible()
            assert page.tab.evaluate("document.activeElement.tagName") == "SUMMARY"
            assert page.trouble() == []
    command(people, "signals resume", channel="worst")


def test_a_view_tells_its_settings_what_differs_and_why(people, admin):
    with Provider(people, "source") as alice:
        alice.publish("EURUSD", "0.25")
        settings = {"sources": ["source"], "value": "2"}
        command(people, "views add", view="double", settings=settings)
        command(people, "account grant", name="bob", grants=["follow:signals/double"])
        alice.publish("GBPUSD", "0.10")
        with Follower(people, "double", "second") as bob:
            bob.follow()
            bob.acknowledge(1, volume="0.70")
            page = admin()
            page.shows("#views td", "GBPUSD 0.70, not 0.2")
            page.tab.get_by_role("button", name="Details of the view double").click()
            page.shows("#views dd", "multiplier")
            page.shows("#views td", "source: EURUSD")
            page.tab.get_by_role("button", name="Why GBPUSD?").click()
            page.shows("#views li", "source holds 0.10 GBPUSD")
            assert page.trouble() == []


def test_an_admin_sees_when_a_token_expires_and_revokes_it_at_the_second_click(people, admin):
    command(people, "account token", name="bob", label="laptop", days=30.5)
    page = admin()
    page.shows("#accounts td", "in 30 d")
    revoke = page.tab.get_by_role("button", name="Revoke the token laptop of bob")
    revoke.click()
    page.shows("#accounts button", "sure?")
    assert command(people, "account show", name="bob")["tokens"]
    revoke.click()
    revoke.wait_for(state="detached")
    assert command(people, "account show", name="bob")["tokens"] == []
    assert page.trouble() == []


def test_a_login_that_is_ended_elsewhere_is_none_any_more(people, admin):
    other, page = admin("rita"), admin()
    end = page.tab.get_by_role("button", name="End the login of rita from 127.0.0.1")
    end.click()
    end.click()
    other.tab.locator("#login-open").wait_for()
    assert other.tab.inner_text("#whom") == ""
    assert other.tab.locator("#accounts").is_hidden()


def test_a_follower_that_stops_reading_turns_to_its_warning(people, admin):
    page = admin()
    with Provider(people, "deaf") as alice, people.dial() as deaf:
        alice.publish("EURUSD", "0.25")
        deaf.sendall(f"<<HELLO|v=2|login=bob|password={PASSWORD}|name=deaf>>".encode())
        deaf.sendall(b"<<SUBSCRIBE|channel=deaf>>")
        row = page.shows("#people tr", "bob/deaf", 20_000)
        row.locator(".badge.unknown").wait_for()
        row.locator(".badge.error").wait_for(timeout=60_000)
        page.shows("#summary", "Nothing was heard of bob/deaf for")
        page.shows("#people tr", "all that was sent has arrived: its terminal hangs")
    assert page.trouble() == []


def test_a_signal_becomes_a_marker_while_somebody_looks(people, admin):
    with Provider(people, "marks") as alice:
        alice.publish("GBPUSD", "0.25")
        page = admin()
        chart(page, "marks")
        page.tab.locator(".chart[data-markers='0']").wait_for()
        alice.publish("EURUSD", "0.50")
        page.tab.locator(".chart[data-markers='1']").wait_for()
        assert page.trouble() == []


def test_new_trouble_sounds_for_those_who_want_it_and_a_reload_remembers_that(people, admin):
    page = admin()
    page.tab.add_init_script(LISTEN_TO_SOUND)
    page.tab.reload()
    page.shows("#people td", "alice")
    sound = page.tab.locator("#sound")

    def rung():
        return int(sound.get_attribute("data-rung") or 0)

    def get_into_trouble(name):
        with Provider(people, "sound", "sound"), Follower(people, "sound", name) as bob:
            bob.report(trading=0)
            bob.follow()
            page.shows("#people tr", f"bob/{name}").locator(".badge.error").wait_for()

    with Provider(people, "sound", "sound") as alice:
        alice.publish("EURUSD", "1")
        get_into_trouble("silent")
        assert (sound.inner_text(), rung(), page.tab.evaluate("players")) == ("Sound off", 0, [])
        sound.click()
        assert (sound.inner_text(), rung()) == ("Sound on", 1), "it is heard at once"
        get_into_trouble("loud")
        until(lambda: rung() > 1)
        assert page.tab.evaluate("players.map(each => each.state)") == ["running"]
        page.tab.reload()
        page.shows("#sound", "Sound on after a click")
        page.shows("#people td", "alice")
        get_into_trouble("early")
        assert (rung(), page.tab.evaluate("players")) == (0, [])
        page.tab.click("h1")
        page.shows("#sound", re.compile("^Sound on$"))
        get_into_trouble("late")
        until(lambda: rung() > 0)
        assert page.trouble() == []


def test_names_of_files_symbols_and_reasons_are_text(people, admin):
    symbol, name = "&lt;b&gt;\"'", MARKUP.replace("/", "")
    template = f"<chart>\r\nsymbol={symbol}\r\nperiod=60\r\n</chart>\r\n"
    for file, content in ((f"{name}.tpl", template), (f"{name}-2.tpl", "none")):
        (people.folder / file).write_text(content)
    with Provider(people, "files", "files") as alice, Follower(people, "files", "files") as bob:
        alice.publish(symbol, "1")
        bob.follow()
        refused = {"status": "failed", "volume": "0", "reason": ESCAPED}
        bob._session.say("ACK", channel="files", seq=1, **refused)
        tick(people, b"1.1", quote(symbol).encode())
        page = admin()
        page.shows("#people td", f"holds nothing of {symbol}, it should hold 1 ({MARKUP})")
        page.shows("#positions td", symbol)
        page.tab.locator("#chart option", has_text=symbol).wait_for(state="attached")
        row = page.shows("#templates tr", symbol)
        with page.tab.expect_download() as download:
            row.get_by_text("Download").click()
        assert download.value.suggested_filename.endswith("_H1.tpl")
        assert b"<chart>" in download.value.path().read_bytes()
        assert page.tab.locator("img, td b").count() == 0
        assert page.trouble() == []


def test_markup_in_names_clients_comments_and_templates_is_text(people, admin):
    with Provider(people, "markup", name=ESCAPED, client=ESCAPED) as alice:
        alice.publish("EURUSD", "0.25", comment=ESCAPED)
        page = admin()
        page.shows("#people td", f"alice/{MARKUP}")
        page.shows("#positions td", MARKUP)
        send = """async ([symbol, body]) => (await fetch(
            `/templates/${encodeURIComponent(symbol)}/H1`, {method: "PUT", body}
        )).status"""
        name = "A&amp;b\"'"
        content = f"<chart>\r\nsymbol={name}\r\nperiod=60\r\n</chart>\r\n"
        assert page.tab.evaluate(send, [name, content]) == 201
        page.tab.reload()
        page.shows("#templates td", name)
        assert page.tab.locator("img").count() == 0
        assert page.trouble() == []


def test_what_people_and_programs_write_is_text(people, admin):
    with session(people, login="rita", password=PASSWORD, name=ESCAPED, client=ESCAPED) as rita:
        page = admin()
        command(people, "signals notice", text=MARKUP)
        page.shows("#notice", MARKUP)
        command(people, "account token", name="bob", label="<b>laptop", days=3)
        body = json.dumps({"login": "rita", "password": PASSWORD}).encode()
        address = f"http://127.0.0.1:{people.port('web')}/v1/login"
        urlopen(Request(address, body, {"User-Agent": MARKUP})).close()
        # What may be no name is refused, and the refusal quotes it.
        rita.say("JOIN", topic=ESCAPED)
        rita.say("OFFER", queue=ESCAPED, id="1", data="x")
        rita.say("CALC", name=ESCAPED, symbol="EURUSD", period="H1", bar=0, values="1")
        rita.say("NOTIFY", text=ESCAPED)
        rita.say("REPORT", server=ESCAPED, currency="USD", equity="1")
        page.tab.reload()
        page.shows("#accounts td", "<b>laptop")
        page.shows("#accounts td", MARKUP)
        page.shows("#terminals td", MARKUP)
        assert page.tab.locator("img, td b").count() == 0
        assert page.trouble() == []


def test_messages_of_topics_are_text_and_are_sent_from_the_page(people, admin):
    with session(people, login="rita", password=PASSWORD) as rita:
        page = admin()
        page.tab.fill("#topics input[name=topic]", "desk/*")
        page.tab.get_by_role("button", name="Join").click()
        page.shows("#topics", "Joined desk/*: 1 member.")
        rita.say("JOIN", topic="desk/eurusd")
        rita.say("SEND", topic="desk/eurusd", data=ESCAPED, key=ESCAPED)
        row = page.shows("#topics tr", "rita")
        assert row.inner_text().count(MARKUP) == 2
        page.tab.fill("#topics input[name=topic]", "desk/eurusd")
        page.tab.fill("#topics input[name=data]", "above 1.10")
        page.tab.get_by_role("button", name="Send").click()
        page.shows("#topics", "Sent to 2 members of desk/eurusd.")
        seen(rita, "data=above 1.10")
        page.shows("#topics tr", "above 1.10")
        page.tab.fill("#topics input[name=topic]", MARKUP)
        page.tab.get_by_role("button", name="Join").click()
        page.shows("#topics [role=status]", MARKUP)
        assert page.tab.locator("img").count() == 0
        assert page.trouble() == []


def test_a_table_shows_a_hundred_rows_and_the_others_when_asked(people, admin):
    page = admin()
    rows = page.tab.locator("#positions tbody tr")
    for channel in ("many-1", "many-2"):
        with Provider(people, channel) as alice:
            for number in range(60):
                alice.publish(f"S{number}", "0.25")
    page.shows("#positions button", "Show all").click()
    page.shows("#positions td", "many-2")
    assert rows.count() >= 120
    page.shows("#positions button", "Show the first 100").click()
    assert rows.count() == 100
    assert page.trouble() == []


def test_a_page_of_another_origin_gets_nothing(people, chromium):
    context = chromium.new_context()
    tab = context.new_page()
    # `localhost` is another origin than 127.0.0.1, and so is another port.
    tab.goto(f"http://localhost:{people.port('templates')}/templates")
    try_all = """async (target) => {
        const refused = (error) => error.name;
        const read = await fetch(`http://${target}/v1/status`).then((a) => a.status, refused);
        const opened = await new Promise((done) => {
            const socket = new WebSocket(`ws://${target}/ws`, "mtnet.v2");
            socket.onopen = () => done("open");
            socket.onclose = () => done("closed");
        });
        return [read, opened];
    }"""
    assert tab.evaluate(try_all, f"127.0.0.1:{people.port('web')}") == ["TypeError", "closed"]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_page(people, admin, scheme):
    channel = f"seen-{scheme}"
    command(people, "account token", name="bob", label=scheme, days=3)
    with Provider(people, channel) as alice, Follower(people, channel, scheme) as bob:
        alice.publish("EURUSD", "0.25", price="1.09870")
        settings = {"sources": [channel]}
        command(people, "views add", view=f"view-{scheme}", settings=settings)
        bob.report(equity="990.50", balance="1000", trading=0)
        bob.follow()
        alice.publish("EURUSD", "0.50", price="1.09870")
        bob.fill(2, volume="-0.25", price="1.09880")
        page = admin(color_scheme=scheme)
        page.shows("#people tr", f"bob/{scheme}").locator(".badge.error").wait_for()
        chart(page, channel)
        page.tab.get_by_role("button", name=f"Details of the view view-{scheme}").click()
        page.tab.get_by_role("button", name=f"Track record of {channel}").click()
        page.tab.click("#fills summary")
        page.shows("#fills td", "1.09880")
        page.shows("#accounts td", "in 2 d")
        assert violations(page) == []
        assert "`" not in page.tab.inner_text("body")
        page.tab.get_by_role("button", name=f"Pause or close {channel}").click()
        assert violations(page) == []
