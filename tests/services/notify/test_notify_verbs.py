"""NOTIFY, the commands and the settings, in a daemon without sockets."""

import pytest
from fakes.daemon import FakeDaemon, hello
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mtnet.errors import ConfigError
from mtnet.interfaces import INotifier, ISessionVerbs, IStatus
from mtnet.services.notify.receivers import AppriseReceiver
from mtnet.session import messages
from mtnet.testing import make_environment

URLS = ("notify.ops.urls=json://127.0.0.1:1/a", "notify.team.urls=json://127.0.0.1:1/b")
GRANTS = {"bob": ("send:notify/ops", "follow"), "eve": ("send", "follow")}


@pytest.fixture
def got(monkeypatch):
    """Return what the receivers get, instead of sending it."""
    sent = []
    monkeypatch.setattr(
        AppriseReceiver, "deliver", lambda self, title, text: sent.append((self.target, text))
    )
    return sent


@pytest.fixture
def daemon(tmp_path, got):
    return FakeDaemon(tmp_path, Clock(), *URLS, grants=GRANTS)


def session(daemon, login, *frames):
    terminal = daemon.dial("signals")
    daemon.say(terminal, hello(login))
    return daemon.say(terminal, b"".join(frames))


def test_an_expert_lets_people_know_and_is_answered_once_that_is_on_disk(daemon, got):
    answer = session(daemon, "bob", b"<<NOTIFY|text=margin is low|to=ops|id=a-1>>")
    assert answer == b"<<NOTIFIED|to=ops|id=a-1>>\r\n"
    assert got == [("ops", "bob: margin is low")]


def test_without_a_name_it_goes_where_the_login_may_send(daemon, got):
    assert session(daemon, "bob", b"<<NOTIFY|text=x>>") == b"<<NOTIFIED|to=ops>>\r\n"
    assert got == [("ops", "bob: x")]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b"<<NOTIFY|text=x|to=team>>", b"code=denied|text=There is no right send:notify/team"),
        (b"<<NOTIFY|to=ops>>", b"code=field|text=NOTIFY needs text"),
        (b"<<NOTIFY|text= >>", b"code=field|text=In NOTIFY text has a sentence"),
        (b"<<NOTIFY|text=x|to=a b>>", b"code=field|text=In NOTIFY to is the NAME"),
        (
            b"<<NOTIFY|text=" + b"x" * 1_001 + b">>",
            b"code=field|text=In NOTIFY text is a text of at",
        ),
    ],
)
def test_what_is_refused_says_why(daemon, got, frame, answer):
    assert answer in session(daemon, "bob", frame)
    assert got == []


def test_a_bare_verb_gives_no_right_to_write_to_people(daemon, got):
    assert b"code=denied" in session(daemon, "eve", b"<<NOTIFY|text=x|to=ops>>")
    assert got == []


def test_a_login_sends_five_in_a_minute_from_all_its_sessions(daemon, got):
    frames = [b"<<NOTIFY|text=x|id=%d>>" % number for number in range(4)]
    session(daemon, "bob", *frames)
    answer = session(daemon, "bob", *frames)
    assert answer.count(b"NOTIFIED") == 1
    assert answer.count(b"ERROR|code=denied|text=Too many messages: try again in 60 s|id=") == 3
    assert len(got) == 5
    daemon.clock.advance(61)
    assert b"NOTIFIED" in session(daemon, "bob", b"<<NOTIFY|text=x>>")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_without_a_login_a_network_has_the_limit_however_often_it_comes(
    tmp_path, got, first, second, same
):
    access = ("access.anonymous=follow,send:notify/ops",)
    daemon = FakeDaemon(tmp_path, Clock(), *URLS, *access, grants=GRANTS)

    def notify(peer):
        terminal = daemon.dial("signals", host="2001:db8::9", peer=peer)
        daemon.say(terminal, messages.hello())
        answer = daemon.say(terminal, b"<<NOTIFY|text=x>>")
        terminal.hang_up()
        return b"NOTIFIED" in answer

    assert [notify(first) for _ in range(6)] == [True] * 5 + [False]
    assert notify(second) is not same


def test_success_is_said_of_nothing_that_was_one_too_many(daemon, got):
    notifier = daemon.env.find(INotifier)
    for _ in range(20):
        notifier.notify("x", ["ops"])
    answer = session(daemon, "bob", b"<<NOTIFY|text=y|id=7>>")
    assert b"ERROR|code=denied|text=Too many messages of all clients" in answer
    assert b"|id=7" in answer


def test_welcome_names_the_service_only_where_it_can_be_used(tmp_path, got):
    for sets, named in (((), False), (URLS, True)):
        daemon = FakeDaemon(tmp_path / str(named), Clock(), *sets, grants=GRANTS)
        terminal = daemon.dial("signals")
        assert (b"notify" in daemon.say(terminal, hello("bob"))) is named


def test_the_component_keeps_its_interfaces(tmp_path, got):
    env = make_environment(tmp_path, Clock(), *URLS)
    for interface in (INotifier, IStatus, ISessionVerbs):
        assert verifyObject(interface, interface(env.components.services["notify"]))
    assert env.find(INotifier).names == ("ops", "team")
    assert env.components.status()["notify"]["receivers"][0]["receiver"] == "json://…"


def test_a_test_says_which_receiver_took_it(tmp_path, monkeypatch):
    monkeypatch.setattr(
        AppriseReceiver, "deliver", lambda self, *_: "refused" if self.target == "team" else None
    )
    test = make_environment(tmp_path, Clock(), *URLS).components.commands()["notify test"]
    answers = []
    test({"name": "ops"}).addCallback(answers.extend)
    test({"name": "team"}).addCallback(answers.extend)
    assert answers == [
        {"receiver": "json://…", "taken": True, "reason": None},
        {"receiver": "json://…", "taken": False, "reason": "refused"},
    ]
    with pytest.raises(ConfigError, match=r"no \[notify\.sales\]; there is ops, team"):
        test({"name": "sales"})


def test_nothing_is_stored_and_nothing_imported_where_nobody_is_to_be_told(tmp_path):
    make_environment(tmp_path, Clock())
    assert not (tmp_path / "notify.sqlite").exists()
