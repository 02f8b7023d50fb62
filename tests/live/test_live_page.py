"""The page in a real browser, driven by playwright."""

import os
import re
import signal
import socket
import time
from contextlib import ExitStack

from browser_page import MARKUP, account, command, provider, publish, tick
from live_daemon import until

from mtnet.durations import DAY_MS

LONGEST = 2_000
"""Milliseconds from a tick to its candle."""
QUIET = 60 if os.environ.get("MTNET_TEST_EXHAUSTIVE") else 6
"""Seconds for which a page that nobody looks at is observed: more than a heartbeat."""


def test_a_pause_wants_the_name_of_the_channel_typed(daemon, open_page):
    daemon.start()
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page = open_page()
        page.shows("#channels button", "Pause").click()
        act = page.tab.locator("#pause-do")
        page.tab.select_option("#pause-action", "flatten")
        page.tab.fill("#pause-name", "mai")
        assert act.is_disabled()
        page.tab.fill("#pause-name", "main")
        act.click()
        page.shows("#positions", "No channel holds a position")
        page.shows("#channels .badge.warning", "paused")
        page.shows("#channels td", "by 127.0.0.1 (no login)")
        page.shows("#summary", "Channel main was paused by 127.0.0.1 (no login) at ")
        # Who takes part is well, and is told that nothing new comes.
        row = page.shows("#people tr", "Resume it in Channels.")
        assert "nothing new opens" in row.inner_text()
        assert row.locator("td.warning").inner_text() == "main, paused"
        assert row.locator(".badge").inner_text() == "ok"
        assert "`" not in row.inner_text()
        page.shows("#channels button", "Resume").click()
        assert page.tab.input_value("#pause-name") == ""
        assert page.tab.input_value("#pause-action") == "resume"
        page.tab.fill("#pause-name", "main")
        act.click()
        page.shows("#channels .badge.ok", "not paused")
        assert page.trouble() == []


def test_candles_markers_and_what_peers_say(daemon, open_page):
    daemon.start()
    tick(daemon, b"1.09876")
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page = open_page()
        page.shows("#summary.idle", "nobody follows")
        page.shows("#people", "desk")
        page.shows("#people", MARKUP)
        page.shows("#positions", MARKUP)
        page.shows("#positions td", "+0.25")
        page.tab.locator(".chart[data-markers='1']").wait_for()
        page.tab.get_by_text("As a table").click()
        page.shows("#chart td", "1.09876")
        tick(daemon, b"1.09999")
        page.shows("#chart td", "1.09999", LONGEST)
        publish(desk, 2, "-0.50")
        page.shows("#positions td", "−0.50", LONGEST)
        assert page.tab.locator("img").count() == 0
        assert page.tab.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    page.shows("#summary", "offline")
    # The page itself is in no list of followers.
    assert page.tab.locator("#people td", has_text="follower").count() == 0
    assert page.trouble() == []


def test_a_chart_of_few_ticks_takes_a_longer_period_until_somebody_chooses(daemon, open_page):
    daemon.start()
    first = int(time.time() * 1000) // DAY_MS * DAY_MS
    lines = [b"EURUSD 1.1 1.2 - - %d" % (first + number * 60_000) for number in range(40)]
    with daemon.dial("ticks") as connection:
        connection.sendall(b"\n".join([*lines, b"SYNC:", b""]))
        assert connection.recv(512).startswith(b"OK: SYNC")
    page = open_page()
    chosen = page.tab.locator("select[data-name=Period]")
    until(lambda: page.tab.wait_for_timeout(50) or chosen.input_value() == "M5")
    page.tab.get_by_text("As a table").click()
    page.shows("#chart td", "00:35")
    chosen.select_option("M1")
    page.shows("#chart td", "00:39")
    assert chosen.input_value() == "M1"
    assert page.trouble() == []


def test_a_page_that_nobody_looks_at_asks_for_nothing(daemon, open_page):
    daemon.start()
    tick(daemon, b"1.09876")
    page = open_page()
    page.shows("#connection", "Live")
    page.shows("#events", "has started")
    page.hide(True)
    page.tab.wait_for_timeout(500)
    asked, heard = len(page.sent), len(page.heard)
    tick(daemon, b"1.09900")
    page.tab.wait_for_timeout(QUIET * 1_000)
    assert (len(page.sent), len(page.heard)) == (asked, heard)
    page.hide(False)
    page.shows("#connection", "Live")
    until(lambda: page.tab.wait_for_timeout(50) or page.sent[asked:])
    assert {"verb": "WATCH", "what": ["status", "events", "alerts"]} in page.sent[asked:]
    assert page.trouble() == []


def test_a_login_shows_what_it_may_see_and_a_logout_takes_it_away(daemon, open_page):
    account(daemon, "wendy", "watcher")
    account(daemon, "root", "admin")
    daemon.start("--set=access.trust_loopback=false")
    page = open_page()
    page.tab.locator("#login[open]").wait_for()
    assert page.tab.locator("#events td").count() == 0
    page.log_in("root", "wrong")
    page.shows("#login-error", "wrong")
    page.log_in("root")
    page.shows("#accounts", "wendy")
    page.shows("#whom", "root")
    page.shows("#accounts", "this one")
    page.tab.click("#logout")
    page.tab.locator("#login[open]").wait_for()
    assert page.tab.locator("#accounts").is_hidden()
    page.log_in("wendy")
    page.shows("#events", "has started")
    assert page.tab.locator("#accounts", has_text="root").count() == 0
    # A browser notes the answer 401 to the wrong password.
    assert [each for each in page.said if "401" not in each] == []


def test_a_script_or_style_that_stands_in_the_page_is_not_run_and_is_noticed(daemon, open_page):
    daemon.start()
    page = open_page()
    page.shows("#connection", "Live")
    page.tab.evaluate("""() => {
        for (const [tag, text] of [["script", "globalThis.ran = 1"], ["style", "h1 {color: red}"]])
            document.body.append(Object.assign(document.createElement(tag), {textContent: text}));
    }""")
    until(lambda: page.tab.wait_for_timeout(50) or len(page.tab.evaluate("violations")) == 2)
    assert page.tab.evaluate("violations") == ["script-src-elem", "style-src-elem"]
    assert page.tab.evaluate("globalThis.ran") is None


def test_the_page_is_read_without_the_libraries(daemon, open_page):
    daemon.start()
    tick(daemon, b"1.09876")
    page = open_page()
    page.tab.route("**/vendor/*.js", lambda route: route.abort())
    page.tab.reload()
    page.shows("#chart td", "1.09876")
    tick(daemon, b"1.09999")
    page.shows("#chart td", "1.09999", LONGEST)
    assert page.tab.locator("canvas").count() == 0
    assert [each for each in page.trouble() if "Failed to load" not in each] == []


def test_a_channel_is_paused_by_the_keyboard_alone(daemon, open_page):
    daemon.start()
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page = open_page()
        page.shows("#channels button", "Pause")
        keys, focus = page.tab.keyboard, "document.activeElement.textContent"
        for _ in range(40):
            keys.press("Tab")
            if page.tab.evaluate(focus).startswith("Pause"):
                break
        keys.press("Enter")
        page.tab.locator("#pause[open]").wait_for()
        keys.press("Escape")
        page.tab.locator("#pause[open]").wait_for(state="detached")
        assert page.tab.evaluate(focus).startswith("Pause")
        keys.press("Enter")
        keys.press("Tab")
        keys.type("main")
        keys.press("Enter")
        page.shows("#channels td", "by 127.0.0.1 (no login)")
        assert page.trouble() == []


def test_without_a_login_this_machine_sees_nothing_of_accounts(daemon, open_page):
    account(daemon, "wendy", "watcher")
    daemon.start()
    page = open_page()
    page.shows("#events", "has started")
    assert page.tab.locator("#accounts").is_hidden()
    read = "path => fetch(path).then((answer) => answer.status)"
    for path in ("/v1/accounts", "/v1/sessions"):
        assert page.tab.evaluate(read, path) in (401, 403)
    assert "wendy" not in str(page.heard)


def test_the_page_comes_back_after_a_restart_of_the_daemon(daemon, open_page):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = f"--listen=web=tcp:{port}:interface=127.0.0.1"
    daemon.start(web)
    page = open_page(port)
    page.shows("#connection", "Live")
    daemon.stop()
    page.shows("#connection", "No connection")
    page.shows("#summary.error", "What stands below is old")
    daemon.start(web)
    page.shows("#connection", "Live", 15_000)
    page.shows("#summary.idle", "Nobody takes part yet")
    page.shows("#events", "The daemon stops")


def test_a_daemon_that_says_nothing_any_more_is_taken_for_gone(daemon, open_page):
    daemon.start()
    page = open_page()
    page.shows("#connection", "Live")
    daemon.process.send_signal(signal.SIGSTOP)
    page.shows("#connection.waiting", "The server has said nothing for", 20_000)
    page.shows("#summary.error", "nobody knows how it is now")
    daemon.process.send_signal(signal.SIGCONT)
    page.shows("#connection.open", "Live", 30_000)


def test_the_first_page_says_what_to_do_next_and_shows_the_first_tick(daemon, open_page):
    daemon.start()
    page = open_page()
    page.shows("#people", "mtnet signals publish GBPUSD 0.25")
    page.shows("#channels .badge.idle", "no signals yet")
    page.shows("#alerts", "nobody is told when this page is closed")
    page.shows("#chart", "There are no ticks yet")
    tick(daemon, b"1.09876")
    page.shows("#chart .quote", "1.09876")
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page.shows("#people td", "desk")
        assert page.tab.locator("#people .start").is_hidden()
        assert page.trouble() == []


def test_the_time_of_the_last_word_goes_on_while_nothing_happens(daemon, open_page):
    daemon.start()
    page = open_page()
    page.shows("#connection", "Live")
    last = page.tab.locator("#heard", has_text=re.compile(r"^, \d\d:\d\d:\d\d$"))
    last.wait_for()
    before = last.inner_text()
    until(lambda: last.inner_text() > before)
    assert "UTC" in last.get_attribute("title")
    # Nobody is read out the time each second.
    assert page.tab.locator("[role=status] time, [aria-live] time").count() == 0
    daemon.stop(signal.SIGKILL)
    page.shows("#heard", "last heard at")


def test_the_first_line_hides_no_trouble_that_cannot_be_opened(daemon, open_page):
    daemon.start()
    with provider(daemon) as desk:
        for number in range(9):
            fields = f"id=p{number}|channel=c{number}|symbol=EURUSD|volume=1"
            desk.sendall(f"<<PUBLISH|{fields}>>".encode())
        page = open_page()
        for number in range(9):
            page.shows("#channels td", f"c{number}")
            command(daemon, "signals pause", channel=f"c{number}")
        more = page.shows("#summary summary", "and 2 more")
        last = page.tab.locator("#summary details li").last
        assert not last.is_visible()
        more.press("Enter")
        last.wait_for()
        command(daemon, "signals resume", channel="c0")
        page.shows("#summary summary", "and 1 more")
        assert last.is_visible()
        assert page.trouble() == []


def test_a_wrong_clock_of_the_browser_changes_no_age(daemon, open_page):
    daemon.start()
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page = open_page()
        page.tab.add_init_script("const real = Date.now; Date.now = () => real() + 5 * 3_600_000;")
        page.tab.reload()
        page.shows("#connection", "Live")
        page.tab.locator("#positions td", has_text=re.compile(r"^\d+ s$")).wait_for()


def test_one_of_many_followers_is_found_by_name(daemon, open_page):
    daemon.start()
    with ExitStack() as crowd:
        publish(crowd.enter_context(provider(daemon)), 1, "0.25")
        for number in range(120):
            each = crowd.enter_context(daemon.dial("signals"))
            each.sendall(f"<<HELLO|v=2|name=f{number}>><<SUBSCRIBE|channel=main>>".encode())
        page = open_page()
        page.shows("#people button", "Show all 121")
        assert page.tab.locator("#people tbody tr").count() == 100
        page.tab.fill("#people input[type=search]", "F119")
        page.shows("#people tr", "f119")
        assert page.tab.locator("#people tbody tr").count() == 1
        page.tab.fill("#people input[type=search]", MARKUP)
        page.shows("#people", f"Nobody here has {MARKUP} in the name.")
        assert page.trouble() == []


def test_what_a_classic_follower_holds_is_unknown_and_never_green(daemon, open_page):
    daemon.start()
    with provider(daemon) as desk, daemon.dial("signals"):
        publish(desk, 1, "0.25")
        page = open_page()
        row = page.shows("#people tr", "classic")
        assert row.locator(".badge.unknown").inner_text() == "unknown"
        assert row.locator("td", has_text="unknown").count() == 2
        page.shows("#summary.unknown", "it is unknown whether 1 of 1 follower holds what it should")
        assert page.tab.locator("#summary.ok").count() == 0
        page.shows("#people td", "look at its terminal")
        assert row.locator("td", has_text="–").first.get_attribute("title")
        assert page.trouble() == []
