"""JOIN, SEND, LEAVE and MEMBERS: bytes in, bytes out, in a daemon without sockets."""

import re

import pytest
from fakes.daemon import FakeDaemon, hello
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    ISessionVerbs,
    IStatus,
)
from mtnet.services.topics.store import RetainedStore
from mtnet.storage.sqlite import Database
from mtnet.testing import EPOCH

ON = "topics.enabled=true"
GRANTS = {
    "ann": ("member",),
    "bob": ("member",),
    "carl": ("follow:topics/desk/*",),
    "dora": ("publish:topics/desk/eurusd", "follow:topics/desk/eurusd"),
    "eve": ("follow", "publish"),
}


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)


def enter(daemon, login):
    """Return a session that was welcomed, as a function: bytes in, bytes out."""
    terminal = daemon.dial("signals")
    assert b"topics" in daemon.say(terminal, hello(login))

    def say(*frames):
        return daemon.say(terminal, b"".join(frames))

    say.terminal = terminal
    return say


def epoch_in(answer):
    return re.search(rb"epoch=([0-9a-f]{16})", answer)[1]


def message(topic, seq, data, sender="ann", more=""):
    text = f"MESSAGE|topic={topic}|seq={seq}|data={data}|time={EPOCH}{more}|from={sender}"
    return f"<<{text}>>\r\n".encode()


# Joining and sending


def test_a_message_reaches_those_who_have_joined_and_no_other(daemon):
    ann, bob, carl = (enter(daemon, name) for name in ("ann", "bob", "carl"))
    joined = bob(b"<<JOIN|topic=desk/eurusd>>")
    assert re.fullmatch(
        rb"<<JOINED\|topic=desk/eurusd\|epoch=[0-9a-f]{16}\|members=1\|seq=0\|oldest=1>>\r\n",
        joined,
    )
    answer = ann(b"<<SEND|topic=desk/eurusd|data=a%7Cb|id=x-1>>")
    assert answer == b"<<SENT|topic=desk/eurusd|id=x-1|seq=1|receivers=1>>\r\n"
    assert bob() == message("desk/eurusd", 1, "a%7Cb")
    assert carl() == b""


def test_a_sender_who_has_joined_is_sent_its_own_messages(daemon):
    ann = enter(daemon, "ann")
    ann(b"<<JOIN|topic=x>>")
    assert ann(b"<<SEND|topic=x|data=1>>") == (
        message("x", 1, "1") + b"<<SENT|topic=x|seq=1|receivers=1>>\r\n"
    )


def test_a_pattern_has_every_topic_below_it_also_those_that_come_later(daemon):
    ann, carl = enter(daemon, "ann"), enter(daemon, "carl")
    ann(b"<<SEND|topic=desk/a|data=1>>")
    assert b"JOINED|topic=desk/*|" in carl(b"<<JOIN|topic=desk/*>>")
    ann(b"<<SEND|topic=desk/a|data=2>><<SEND|topic=desk/b/c|data=3>><<SEND|topic=desk|data=4>>")
    assert carl() == message("desk/a", 2, "2") + message("desk/b/c", 1, "3")


def test_after_leave_nothing_comes(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(b"<<JOIN|topic=x>>")
    assert bob(b"<<LEAVE|topic=x>>") == b"<<LEFT|topic=x>>\r\n"
    assert b"receivers=0" in ann(b"<<SEND|topic=x|data=1>>")
    assert bob() == b""


@pytest.mark.parametrize(("first", "second"), [("x/*", "x/a"), ("x/a", "x/*"), ("x/*", "x/y/*")])
def test_what_a_session_joins_does_not_overlap(daemon, first, second):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(f"<<JOIN|topic={first}>>".encode())
    answer = bob(f"<<JOIN|topic={second}>>".encode())
    assert f"ERROR|code=field|text=In JOIN topic is apart from {first}".encode() in answer
    ann(b"<<SEND|topic=x/a|data=1>>")
    assert bob() == message("x/a", 1, "1")


def test_the_same_name_again_is_joined_once(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    assert b"members=1|" in bob(b"<<JOIN|topic=x>><<JOIN|topic=x>>")
    ann(b"<<SEND|topic=x|data=1>>")
    assert bob() == message("x", 1, "1")


def test_a_message_for_one_member_reaches_all_its_sessions_and_no_other(daemon):
    ann, bob, again, carl = (enter(daemon, name) for name in ("ann", "bob", "bob", "carl"))
    for each in (bob, again, carl):
        each(b"<<JOIN|topic=desk/x>>")
    assert b"seq=1|receivers=2" in ann(b"<<SEND|topic=desk/x|data=1|to=bob>>")
    assert bob() == again() == message("desk/x", 1, "1")
    assert carl() == b""
    assert carl(b"<<JOIN|topic=desk/x|after=0>>").count(b"MESSAGE") == 0
    assert bob(b"<<JOIN|topic=desk/x|after=0>>").endswith(message("desk/x", 1, "1"))


# History


def test_messages_behind_a_number_come_again_in_their_order(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(*(b"<<SEND|topic=x|data=%d>>" % each for each in range(1, 31)))
    answer = bob(b"<<JOIN|topic=x|after=10>>")
    assert b"seq=30|oldest=1" in answer
    wanted = b"".join(message("x", each, each) for each in range(11, 31))
    assert answer.partition(b"\r\n")[2] == wanted
    ann(b"<<SEND|topic=x|data=31>>")
    assert bob() == message("x", 31, "31")


def test_of_another_epoch_all_comes_that_is_there(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(b"<<SEND|topic=x|data=1>><<SEND|topic=x|data=2>>")
    assert bob(b"<<JOIN|topic=x|after=1|epoch=0123456789abcdef>>").count(b"MESSAGE") == 2
    assert bob(b"<<JOIN|topic=x|after=9>>").count(b"MESSAGE") == 2
    epoch = epoch_in(bob(b"<<JOIN|topic=x|after=2>>"))
    answer = bob(b"<<JOIN|topic=x|after=1|epoch=%b>>" % epoch)
    assert answer.partition(b"\r\n")[2] == message("x", 2, "2")


def test_the_history_has_the_last_messages_alone_and_says_so(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.history=3", grants=GRANTS)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(*(b"<<SEND|topic=x|data=%d>>" % each for each in range(1, 6)))
    answer = bob(b"<<JOIN|topic=x|after=0>>")
    assert b"seq=5|oldest=3" in answer
    assert answer.count(b"MESSAGE") == 3


def test_the_topic_that_was_silent_for_longest_gives_its_memory(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.memory=10", grants=GRANTS)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(b"<<SEND|topic=old|data=12345>><<SEND|topic=new|data=1234>><<SEND|topic=new|data=1234>>")
    assert b"oldest=2" in bob(b"<<JOIN|topic=old|after=0>>")
    assert bob(b"<<JOIN|topic=new|after=0>>").count(b"MESSAGE") == 2


# Retained values


def test_the_last_value_of_each_key_comes_first(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    for key, data in (("a", 1), ("b", 2), ("a", 3)):
        ann(f"<<SEND|topic=x|data={data}|key={key}|retain=1>>".encode())
    ann(b"<<SEND|topic=x|data=live>>")
    assert bob(b"<<JOIN|topic=x>>").partition(b"\r\n")[2] == (
        message("x", 2, "2", more="|key=b|retained=1")
        + message("x", 3, "3", more="|key=a|retained=1")
    )


def test_empty_data_removes_a_value(daemon, tmp_path):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(b"<<SEND|topic=x|data=1|retain=1>>")
    assert b"SENT" in ann(b"<<SEND|topic=x|data=|retain=1>>")
    assert bob(b"<<JOIN|topic=x>>").count(b"MESSAGE") == 0
    assert RetainedStore(tmp_path / "data" / "topics.sqlite").load() == []


def test_a_value_is_not_sent_twice_where_the_history_has_it(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(b"<<SEND|topic=x|data=1|retain=1>><<SEND|topic=x|data=2>>")
    for after, count in ((0, 2), (1, 1), (2, 0)):
        answer = bob(b"<<JOIN|topic=x|after=%d>>" % after)
        assert answer.count(b"MESSAGE") == count
        assert b"retained" not in answer


def test_a_value_survives_a_kill_and_the_numbers_do_not(daemon, tmp_path, clock):
    first = enter(daemon, "ann")
    first(b"<<SEND|topic=x|data=1|key=k|retain=1>>")
    before = epoch_in(first(b"<<JOIN|topic=x>>"))
    bob = enter(FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS), "bob")
    answer = bob(b"<<JOIN|topic=x>>")
    assert epoch_in(answer) != before
    assert answer.endswith(message("x", 0, "1", more="|key=k|retained=1"))


def test_a_value_that_is_old_is_removed(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.keep=100", grants=GRANTS)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    daemon.env.components.services["topics"].start()
    ann(b"<<SEND|topic=x|data=1|retain=1>>")
    clock.pump([1800.0, 1800.0])
    bob = enter(daemon, "bob")
    assert bob(b"<<JOIN|topic=x>>").count(b"MESSAGE") == 0
    assert RetainedStore(tmp_path / "data" / "topics.sqlite").load() == []


def test_more_values_than_topics_retained_are_refused(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.retained=1", grants=GRANTS)
    ann = enter(daemon, "ann")
    ann(b"<<SEND|topic=x|data=1|retain=1>>")
    answer = ann(b"<<SEND|topic=x|data=1|key=k|retain=1|id=7>>")
    assert b"ERROR|code=denied|text=1 values are retained" in answer
    assert b"|id=7" in answer
    assert b"SENT" in ann(b"<<SEND|topic=x|data=2|retain=1>>")
    assert b"SENT" in ann(b"<<SEND|topic=x|data=|retain=1>><<SEND|topic=y|data=1|retain=1>>")


def test_more_values_of_a_topic_than_topics_max_values_are_refused(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.max_values=1", grants=GRANTS)
    ann = enter(daemon, "ann")
    ann(b"<<SEND|topic=x|data=1|retain=1>>")
    answer = ann(b"<<SEND|topic=x|data=1|key=k|retain=1>>")
    assert b"ERROR|code=denied|text=The topic retains 1 values, as topics.max_values" in answer
    assert b"SENT" in ann(b"<<SEND|topic=x|data=2|retain=1>>")
    assert b"SENT" in ann(b"<<SEND|topic=y|data=1|key=k|retain=1>>")


def test_success_is_not_said_of_a_value_that_the_disk_does_not_take(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    ann = enter(daemon, "ann")
    monkeypatch.setattr(Database, "transaction", fail)
    answer = ann(b"<<SEND|topic=x|data=1|retain=1|id=7>>")
    assert b"ERROR|code=server|text=The members were sent the message, but the disk" in answer
    assert b"|id=7" in answer
    assert daemon.env.components.health()["topics"]["healthy"] is False
    monkeypatch.undo()
    assert b"SENT" in ann(b"<<SEND|topic=x|data=2|retain=1>>")
    assert daemon.env.components.health()["topics"]["healthy"] is True


# Members


def test_members_are_named_once_each(daemon):
    ann, bob, again, carl = (enter(daemon, name) for name in ("ann", "bob", "bob", "carl"))
    for each in (bob, again):
        each(b"<<JOIN|topic=desk/x>>")
    carl(b"<<JOIN|topic=desk/*>>")
    assert ann(b"<<MEMBERS|topic=desk/x>>") == (
        b"<<MEMBERS|topic=desk/x|count=2>>\r\n"
        b"<<MEMBER|topic=desk/x|member=bob>>\r\n<<MEMBER|topic=desk/x|member=carl>>\r\n"
    )


def test_presence_says_who_comes_first_and_who_leaves_last(daemon):
    ann, bob, again, carl = (enter(daemon, name) for name in ("ann", "bob", "bob", "carl"))
    ann(b"<<JOIN|topic=desk/x|presence=1>>")
    bob(b"<<JOIN|topic=desk/x>>")
    again(b"<<JOIN|topic=desk/x>>")
    carl(b"<<JOIN|topic=desk/*>>")
    assert ann() == (
        b"<<MEMBER|topic=desk/x|member=bob|present=1>>\r\n"
        b"<<MEMBER|topic=desk/x|member=carl|present=1>>\r\n"
    )
    bob(b"<<LEAVE|topic=desk/x>>")
    assert ann() == b""
    again.terminal.hang_up()
    carl(b"<<BYE>>")
    assert ann() == (
        b"<<MEMBER|topic=desk/x|member=bob|present=0>>\r\n"
        b"<<MEMBER|topic=desk/x|member=carl|present=0>>\r\n"
    )


def test_without_a_login_a_member_is_its_address(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "access.trust_loopback=true")
    terminal = daemon.dial("signals")
    daemon.say(terminal, b"<<HELLO|v=2>><<JOIN|topic=x>>")
    assert b"|from=127.9.9.9:50000>>" in daemon.say(terminal, b"<<SEND|topic=x|data=1>>")


# Rights and refusals


@pytest.mark.parametrize(
    ("login", "frame", "answer"),
    [
        ("carl", b"JOIN|topic=other", b"code=denied|text=There is no right follow:topics/other"),
        ("carl", b"SEND|topic=desk/x|data=1", b"code=denied|text=There is no right publish:topics"),
        ("dora", b"JOIN|topic=desk/*", b"code=denied|text=There is no right follow:topics/desk/*"),
        ("dora", b"MEMBERS|topic=desk/x", b"code=denied"),
        ("ann", b"JOIN|topic=a b", b"code=field|text=In JOIN topic is a topic, or a pattern"),
        ("ann", b"JOIN|topic=*", b"code=field"),
        ("ann", b"JOIN|topic=a/*|after=1", b"code=field|text=In JOIN after belongs to one topic"),
        ("ann", b"JOIN|topic=a|after=-1", b"code=field"),
        ("ann", b"JOIN|topic=a|presence=2", b"code=field|text=In JOIN presence is 1 or 0"),
        ("ann", b"SEND|topic=a/*|data=1", b"code=field|text=In SEND topic is 1 to 64 of"),
        ("ann", b"SEND|topic=a", b"code=field|text=SEND needs data"),
        ("ann", b"SEND|topic=a|data=1|to=bob|retain=1", b"code=field|text=In SEND retain is for"),
        ("ann", b"SEND|topic=a|key=" + b"k" * 65 + b"|data=1", b"code=field|text=In SEND key"),
        ("ann", b"SEND|topic=a|data=" + b"x" * 6_001, b"data has at most 6000 bytes, not 6001"),
        ("ann", b"SEND|topic=a|data=" + b"%25" * 2_001, b"data has at most 6000 bytes, not 6003"),
    ],
)
def test_what_is_refused_says_why_and_reaches_nobody(daemon, login, frame, answer):
    reader, sender = enter(daemon, "bob"), enter(daemon, login)
    reader(b"<<JOIN|topic=desk/*>><<JOIN|topic=a>>")
    assert answer in sender(b"<<%b>>" % frame)
    assert reader() == b""


def test_the_longest_message_fits_in_a_frame(daemon):
    ann = enter(daemon, "ann")
    ann(b"<<JOIN|topic=%b>>" % (b"t" * 64))
    data = b"%25" * 2_000
    frame = b"<<SEND|topic=%b|data=%b|key=%b>>" % (b"t" * 64, data, b"k" * 64)
    assert ann(frame).count(data) == 1


def test_a_bare_verb_gives_no_right_here(daemon):
    terminal = daemon.dial("signals")
    assert b"topics" not in daemon.say(terminal, hello("eve"))
    assert b"code=denied" in daemon.say(terminal, b"<<JOIN|topic=x>>")


def test_a_session_joins_so_many_names_and_no_more(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.max_joined=2", grants=GRANTS)
    ann = enter(daemon, "ann")
    answer = ann(*(b"<<JOIN|topic=%d>>" % each for each in range(3)))
    assert answer.count(b"JOINED") == 2
    assert b"ERROR|code=denied|text=A session joins 2 names" in answer


def test_topics_make_room_for_others_unless_they_are_in_use(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.max_topics=2", grants=GRANTS)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(b"<<JOIN|topic=a>>")
    ann(b"<<SEND|topic=a|data=1>><<SEND|topic=b|data=1>><<SEND|topic=b|data=2>>")
    assert b"seq=3" in ann(b"<<SEND|topic=c|data=1>>")  # above every number of b
    bob(b"<<JOIN|topic=c>>")
    assert b"ERROR|code=denied|text=There are 2 topics" in ann(b"<<SEND|topic=d|data=1>>")
    assert b"seq=2" in ann(b"<<SEND|topic=a|data=2>>")


def test_a_member_that_does_not_read_is_closed_and_delays_nobody(daemon):
    ann, bob, slow = enter(daemon, "ann"), enter(daemon, "bob"), enter(daemon, "bob")
    for each in (bob, slow):
        each(b"<<JOIN|topic=x>>")
    slow.terminal.transport.stalled = True
    frame = b"<<SEND|topic=x|data=%b>>" % (b"y" * 5_000)
    for _ in range(300):
        ann(frame)
        assert len(bob()) > 5_000
    slow.terminal.transport.stalled = False
    slow.terminal.transport.drain()
    assert b"ERROR|code=slow" in slow()
    assert slow.terminal.transport.ended
    assert b"receivers=1" in ann(b"<<SEND|topic=x|data=1>>")


def test_a_member_that_catches_up_too_slowly_is_closed_and_not_sent_a_gap(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "topics.history=40", grants=GRANTS)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    frame = b"<<SEND|topic=x|data=%b>>" % (b"y" * 5_900)
    ann(*[frame] * 40)
    bob.terminal.transport.stalled = True
    bob(b"<<JOIN|topic=x|after=0>>")
    for _ in range(2):
        daemon.clock.advance(61)
        ann = enter(daemon, "ann")
        ann(*[frame] * 30)
    bob.terminal.transport.stalled = False
    for _ in range(20):
        bob.terminal.transport.drain()
    assert b"ERROR|code=slow" in bob()


# The component


def test_it_is_off_until_it_is_enabled(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, grants=GRANTS)
    terminal = daemon.dial("signals")
    daemon.say(terminal, hello("ann"))
    assert b"ERROR|code=verb" in daemon.say(terminal, b"<<JOIN|topic=x>>")
    assert not (tmp_path / "data" / "topics.sqlite").exists()
    assert "topics list" not in daemon.env.components.commands()


def test_the_component_keeps_its_interfaces(daemon):
    service = daemon.env.components.services["topics"]
    for interface in (ISessionVerbs, IHttpResources, IStatus, IMetrics, IControlCommands, IBackup):
        assert verifyObject(interface, interface(service))


def test_status_and_metrics_count(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(b"<<JOIN|topic=x>>")
    ann(b"<<SEND|topic=x|data=1|retain=1>><<SEND|topic=y|data=1>>")
    service = daemon.env.components.services["topics"]
    status = IStatus(service).status()
    assert (status["topics"], status["memberships"], status["retained"], status["messages"]) == (
        2, 1, 1, 2,
    )  # fmt: skip
    values = {each.name: each.read() for each in IMetrics(service).metrics()}
    assert values == {
        "mtnet_topics_messages_total": 2,
        "mtnet_topics_deliveries_total": 1,
        "mtnet_topics_memberships": 1,
        "mtnet_topics_retained": 1,
    }


def test_a_backup_has_the_retained_values(daemon, tmp_path):
    enter(daemon, "ann")(b"<<SEND|topic=x|data=1|retain=1>>")
    folder = tmp_path / "backup"
    folder.mkdir()
    IBackup(daemon.env.components.services["topics"]).backup(folder)
    (value,) = RetainedStore(folder / "topics.sqlite").load()
    assert (value.topic, value.data, value.sender) == ("x", "1", "ann")


def test_a_client_that_closes_its_half_is_still_sent_what_it_has_joined(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(b"<<JOIN|topic=x>>")
    bob.terminal.finish()
    ann(b"<<SEND|topic=x|data=1>>")
    assert bob() == message("x", 1, "1")
