"""
The interfaces between the daemon and its components, and between components.

A component is a service that the daemon hosts: signals, for example, or one of your own. This
module imports nothing of mtnet; where a type is mtnet's, the docstring names it. An optional
interface is provided by the service itself, or by another object that its `__conform__` returns.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocolFactory
    from twisted.internet.protocol import DatagramProtocol

# What the daemon looks for


class IServicePlugin(Interface):
    """
    Plugin: one instance in a module of `mtnet.plugins`, which also provides `IPlugin` of Twisted.

    The module is imported for every command, so it should import what it needs in `build`.
    """

    name: str = Attribute(
        "One word of `[a-z][a-z0-9_]*`: NAME of `--listen NAME=…`, of the section [NAME], of its "
        "rights and of its metrics."
    )
    description: str = Attribute("One line for lists.")
    settings: Any = Attribute(
        "The `msgspec.Struct` of the section [NAME]; it forbids unknown fields. None = no section."
    )
    permissions: tuple[str, ...] = Attribute(
        "Verbs that can be granted on its things, such as `publish`; the daemon shows them."
    )
    roles: Mapping[str, tuple[str, ...]] = Attribute(
        "Rights that it adds to roles: {'follower': ('follow:signals',)}. A new name makes a role."
    )
    connections: Mapping[str, int] = Attribute(
        "Optional: its defaults of [access.connections.NAME], such as {'total': 10_000}."
    )
    shared: bool = Attribute("Whether its ports take connections to other services.")
    listens: Mapping[str, str | None] = Attribute(
        "The default endpoint of `stream` and of `datagram`; None = off until configured. A kind "
        "that is not named cannot be configured."
    )
    command: str | None = Attribute(
        "The module of `mtnet NAME …`, imported when somebody calls it; None = no command. See "
        "`ICommand`."
    )

    def build(env: Any) -> Any:
        """
        Return the service, an `IService`, from a `mtnet.daemon.environment.Environment`.

        Called once, before the daemon forks and listens. It may read files.

        Raises:
            mtnet.errors.ConfigError: it cannot work as configured.
            mtnet.errors.JournalError: its files cannot be read.
        """


class IAlwaysNamed(Interface):
    """Optional, on the plugin: a bare verb, such as `read`, does not give its rights."""


class ISettingsCheck(Interface):
    """Optional, on the plugin: what types cannot check, for `mtnet check` and every start."""

    def check(section: Any, endpoints: Sequence[str], reactor: Any) -> None:
        """
        Check the settings without a file or a socket.

        Args:
            section: of the type `settings`.
            endpoints: where connections to it can arrive, shared ports included.
            reactor: to parse client endpoints with.

        Raises:
            mtnet.errors.ConfigError: names the key, what is wrong, and a right example.
        """


class IReferences(Interface):
    """Optional, on the plugin: settings that name what is another plugin's."""

    def check_references(
        section: Any, plugins: Mapping[str, Any], sections: Mapping[str, Any]
    ) -> None:
        """
        Check them without a file or a socket, for `mtnet check` and every start.

        Args:
            section: of the type `settings`.
            plugins: all of them by name; the daemon itself stands among them as `daemon`.
            sections: their settings by name.

        Raises:
            mtnet.errors.ConfigError: as `ISettingsCheck`.
        """


class IConditionGrammar(Interface):
    """Optional, on the plugin: the conditions of alerts that its component offers."""

    def grammar() -> Mapping[str, Any]:
        """
        Return {word: read} for each word of `IAlertConditions`: `read(text)` takes what follows the
        word, and raises `mtnet.errors.ConfigError` when the condition cannot be meant so.
        """


class IReceiverNames(Interface):
    """Optional, on the plugin: to whom messages can be sent."""

    def receivers(section: Any) -> Sequence[str]:
        """Return the names, by the settings of the plugin."""


class ICommand(Interface):
    """The module that a plugin's `command` names."""

    def configure(parser: Any) -> None:
        """
        Add the arguments to an `argparse.ArgumentParser`, with `set_defaults(run=function)`.

        The function is called with the parsed `argparse.Namespace`; a `MtnetError` that it raises
        becomes one sentence on stderr and exit status 1.
        """


# What a service provides


class IService(Interface):
    """A running component."""

    def start() -> "Deferred[None] | None":
        """Begin; the reactor runs, and the ports are bound."""

    def stop() -> "Deferred[None] | None":
        """End; the ports are closed. Store what has to last; fires when that is done."""


class IAssembled(Interface):
    """Optional: what needs the others, before anything listens."""

    def assembled() -> None:
        """
        Check what depends on other components: all are built.

        Raises:
            mtnet.errors.ConfigError: it cannot work as configured.
        """


class IStreamListener(Interface):
    """Optional: it takes stream connections (`tcp:`, `unix:`, `secure:` …)."""

    verbs: tuple[str, ...] = Attribute("The verbs that connections can use, for the start table.")
    welcomes: bool = Attribute("Whether silent connections are sent something to look at.")

    def factory(listener: Any) -> "IProtocolFactory":
        """Return the factory of the connections of one `mtnet.net.endpoints.Listener`."""


class IDatagramListener(Interface):
    """Optional: it takes datagrams (`udp:`)."""

    datagram_verbs: tuple[str, ...] = Attribute(
        "The verbs that datagrams can use, for the start table."
    )
    turn: float = Attribute("Seconds for which datagrams may keep the reactor at once.")

    def protocol(listener: Any) -> "DatagramProtocol":
        """
        Return the protocol of one `mtnet.net.endpoints.Listener`.

        One that provides `IBurstProtocol` is handed many datagrams at once.
        """


class IBurstProtocol(Interface):
    """A datagram protocol that gains from being handed many datagrams at once."""

    def datagramsReceived(burst: "list[tuple[bytes, tuple[Any, ...]]]") -> None:
        """Take (datagram, address of its sender) pairs, in order of arrival; never none."""


class IListenerAware(Interface):
    """Optional, on a factory: its connections depend on their listener."""

    def at(listener: Any) -> "IProtocolFactory":
        """Return a factory for the connections of a `mtnet.net.endpoints.Listener`."""


class IFirstBytes(Interface):
    """Optional: its connections can share one port with those of other services."""

    silent: bool = Attribute("Whether connections are its own that send nothing at first.")
    word: float = Attribute("Longest wait in seconds for bytes that can still become its own.")

    def recognize(head: bytes) -> bool | None:
        """
        Say whether a connection that begins so is its own; None = more bytes are needed.

        A service that recognizes `b""` takes what no other service recognizes.
        """

    def shared_factory(listener: Any, silent: bool) -> "IProtocolFactory":
        """
        Return the `mtnet.net.admission.IPeerFactory` of its connections at a shared
        `mtnet.net.endpoints.Listener`.

        Args:
            silent: of those that have sent nothing, for long enough.
        """


class IHttpResources(Interface):
    """Optional: resources of the HTTP API."""

    def routes() -> Sequence[Any]:
        """
        Return its `mtnet.net.http.route.Route` objects: methods of paths, with the rights that they
        demand and the types of what they take and answer.

        Usable once everything is built; called again for each port that serves them.
        """


class ITextStreams(Interface):
    """Optional: protocols whose bytes are lines of text, for WebSocket connections at `/ws`."""

    def streams() -> Mapping[str, Any]:
        """
        Return functions by sub-protocol: each returns the `IHalfCloseableProtocol` of a
        `mtnet.net.peer.Peer`. Its transport sends every write, whole lines, as one message.
        """


class IControlCommands(Interface):
    """Optional: commands of the control socket, for the owner of the daemon."""

    def commands() -> "Mapping[str, Any]":
        """
        Return {'NAME verb': function}; each takes the arguments, a mapping of JSON values, and
        returns a JSON value or a Deferred with one. A `MtnetError` becomes the answer.

        The argument `who` names the one who asks, for events: `uid:1000` of the control socket, or
        a login. It comes from the caller of the function, never from the request.
        """


class ISessionVerbs(Interface):
    """The verbs that a service adds to the session dialect."""

    service: str = Attribute("Its name in `services` of WELCOME, as of its plugin: `signals`.")
    verbs: Mapping[str, Any] = Attribute(
        "Verb → (read, handle): `read` makes the request of a `mtnet.session.grammar.Message`, or "
        "raises `WireError`; `handle` takes what `attach` returned, and the request. A third item, "
        "optional: a function that returns whether a request asks for what people look at, and for "
        "nothing else: a page that asks for nothing else is pinged seldom."
    )

    every_session: bool = Attribute(
        "Whether each session has a handler from its opening on, which adds fields to WELCOME; "
        "else it is made at the first of the verbs, and a session that uses none costs nothing."
    )

    def permitted(session: Any) -> bool:
        """
        Return whether the client of a `mtnet.session.session.Session` may use any of the verbs,
        with the rights that it has now.
        """

    def attach(session: Any) -> "ISessionHandler":
        """
        Return what handles the verbs of this service in one session.

        Called before HELLO is read, or before the first of the verbs; see `every_session`.
        """


class ISessionHandler(Interface):
    """The verbs of one service in one session."""

    def welcomed() -> Mapping[str, str]:
        """
        Begin, or begin again: HELLO succeeded, perhaps under another login than before.

        Returns:
            Fields of WELCOME; ignored where the handler is made after it.
        """

    def heartbeat() -> Mapping[str, str]:
        """Return fields of the server's PING."""

    def rights_gained() -> None:
        """The peer may do more than before."""

    def busy() -> bool:
        """Return whether something is owed to a client that has closed its sending side."""

    def leaving() -> None:
        """The client said BYE: end what would go on; answers to its requests still follow."""

    def closed(bye: bool) -> None:
        """Release everything; `bye` = the client said so before."""


class ISessions(Interface):
    """The sessions of the daemon, with the verbs of all components; the same on every road."""

    settings: Any = Attribute("Their limits, a `mtnet.session.session.SessionSettings`.")

    def open(road: Any) -> Any:
        """Return the `mtnet.session.session.Session` of a client on a `mtnet.session.road.Road`."""


class IStatus(Interface):
    """Optional: a component that reports about itself, in plain JSON values."""

    def health() -> Mapping[str, Any]:
        """
        Return what strangers may know, for `/healthz`: `healthy` is False when somebody must act,
        `trouble` says why in one sentence; `warning` is for what nobody must act on yet, and
        `in_trouble` says how many of `IParticipants` need somebody; events name these.
        """

    def status() -> Mapping[str, Any]:
        """Return that and what only the owner may know, for `mtnet status`."""


class IStatusDetails(Interface):
    """Optional: the part of `IStatus.status` that admins watch, where the whole is much more."""

    def details() -> Mapping[str, Any]:
        """
        Return it without lists such as those of sessions; called once a second while an admin
        watches. A mapping that is the same object as before has not changed. In place of a mapping
        can stand a `msgspec.Struct`, of which JSON is made only when it is sent.
        """


class IMetrics(Interface):
    """Optional: counters, gauges and histograms, for Prometheus."""

    def metrics() -> Sequence[Any]:
        """Return `mtnet.metrics.Metric` records; they are read whenever somebody asks."""


class IBackup(Interface):
    """Optional: what `mtnet backup` takes along."""

    obsolete: Sequence[str] = Attribute(
        "Optional: names in the data folder that a restore takes away even when the backup has no "
        "such file, since they belong to the files that it replaces."
    )

    def backup(folder: Any) -> None:
        """
        Copy its files, whole and of one moment, into a `pathlib.Path`, under the names that they
        have below the data folder.

        Blocks, in a thread of its own, while the service goes on.

        Raises:
            mtnet.errors.JournalError, OSError, sqlite3.Error: there is no whole copy.
        """


class IRestore(Interface):
    """Optional, on the plugin: its part of `mtnet restore`; no daemon runs."""

    files = Attribute(
        "The names in the data folder of what `prepare` makes of the one file that a command of "
        "its own backs up; the first is that of the file. None = there is no such command."
    )

    def prepare(folder: Any) -> None:
        """
        Verify its files, copies of a backup in a `pathlib.Path`, before any file of the data
        folder is replaced; change them as a restore needs it.

        Raises:
            mtnet.errors.JournalError: they are damaged; nothing is restored.
        """


class IParticipants(Interface):
    """Optional: a component that knows the people and programs that take part in it."""

    def participants() -> Sequence[Any]:
        """
        Return each, such as a follower of a channel; it must not block. They never change: one
        that is the same object as before is not looked into, and one that has changed is another.

        `name` is a tuple of words by which it is the same the next time, as its role, its channel
        and `who`. `judgement` is the same object for as long as its status and its warnings are
        the same; all else is told to those who watch when there is time. `status` is that of the
        row: events name those who are `error` or `offline`. `row()` returns JSON values: `role` is
        one word (`follower`, `provider`); `who` is the login with `/NAME`, or the address of who
        has none; `status` is one word; `warnings` is a list, the most urgent first, of {`code`: one
        word, `priority`: an integer, lower is more urgent, `text`: a sentence that says what to
        do}; the first one says why somebody is `error` or `offline`. Other keys are the
        component's own.
        """


class IAlertConditions(Interface):
    """Optional: conditions that `when` of [alerts.NAME] can name."""

    def conditions() -> Mapping[str, Any]:
        """
        Return {word: make}. `make(text)` takes what follows the word in `when`, and returns a
        function without arguments: {subject: sentence} of what holds now, such as
        {"gold/bob": "bob is 120 signals behind on gold."}. An empty sentence says that it is not
        known yet, as after a start: an incident goes on, and none begins. The function is called
        about once a second and must not block. `make` raises `mtnet.errors.ConfigError` for a text
        that it cannot read. The plugin has the same words, see `IConditionGrammar`.
        """


# What components offer one another: `env.find(ISignals)`


class ISignals(Interface):
    """Net positions, which publishers set and followers receive."""

    codepage: str = Attribute("The code page of classic programs.")
    fanout: Any = Attribute(
        "`subscribe(channel, subscriber)` calls `subscriber.changed(change)` for each position "
        "once it is stored; `unsubscribe(channel, subscriber)` undoes it."
    )

    def join(name: str, connection: Any, refuse: Any, close: Any, address: str = "") -> Any:
        """
        Return a publisher; it has to `leave`.

        Args:
            connection: an `IPushProducer` that is paused while its positions wait for the disk.
            refuse: called with the `WireError` of what is not stored.
            close: called with a sentence when the publisher has to go.
            address: where it comes from, for the status.
        """

    def submit(publisher: Any, channel: str, symbol: str, volume: Any) -> None:
        """
        Set a net position, in lots; stored first, then sent to the followers.

        Raises:
            mtnet.errors.WireError: refused at once.
        """

    def leave(publisher: Any, bye: bool = False) -> None:
        """End a publisher; its positions stay."""

    def positions(channel: str) -> Mapping[str, Any]:
        """Return the positions of a channel by symbol; `volume` is a Decimal of lots."""


class IReports(Interface):
    """Reports of terminals about themselves, in sessions with a login: REPORT and SPEC."""

    def last_two(login: str, name: str) -> "Sequence[Any]":
        """
        Return the last REPORTs of a terminal, newest first, each with `report` and the `time` in
        milliseconds since the Unix epoch; at most one of a second is kept.

        Args:
            name: that the session gave in HELLO; empty = none.
        """

    def spec(login: str, name: str, symbol: str) -> Any:
        """Return the last SPEC of a symbol, `spec` and `time`; None = the terminal sent none."""


class ITicks(Interface):
    """Ticks: what terminals send, stored and sent to subscribers."""

    feed: Any = Attribute("`subscribe(subscriber, symbols, known)` and `unsubscribe`.")
    bars: Any = Attribute(
        "`get(symbol)` returns the bars of a symbol, a `Series` of its bars' module, or None; "
        "`subscribe(subscriber, symbol)` and `unsubscribe` for their changes."
    )

    def source(name: str) -> Any:
        """Return the counters of a sender, made on first use."""

    def take(source: Any, records: "list[Any]", when: int) -> int:
        """Store records of a source; `when` is milliseconds since the Unix epoch."""

    def symbols() -> Any:
        """Return the symbols that were ever stored, as bytes."""

    def observe(observer: Any) -> None:
        """Hand every tick that is taken from now on to an `ITickObserver`."""


class ITickObserver(Interface):
    """
    Somebody who gets each tick, as it comes.

    A tick is the pair (symbol, rest): the symbol in UTF-8, with `%XX` for some bytes, and
    `BID [ASK [LAST [VOLUME [TIME [FLAGS]]]]]` in ASCII, with one blank between two fields and `-`
    for an absent one; TIME is the terminal's own clock, in milliseconds.
    """

    def taken(
        records: "Sequence[tuple[bytes, bytes]]", when: int, sources: "Sequence[str]"
    ) -> None:
        """
        Take ticks that came at `when`, milliseconds since the Unix epoch, UTC, each with the name
        of its sender. Called for each datagram, in the reactor's thread.
        """

    def flush() -> "Deferred[None]":
        """
        Return what fires once those that were taken are kept, before a sender is told that its
        ticks are stored. It does not fail: a tick is stored, whatever an observer does.
        """


class ITemplates(Interface):
    """Chart templates, by symbol and period."""

    max_size: int = Attribute("Bytes of the largest template.")

    def listing() -> "list[dict[str, Any]]":
        """Return what is stored: one row of JSON values for each symbol, period and platform."""

    def put(symbol: str, period: str, content: bytes) -> "Deferred[Any]":
        """
        Store a template, off the reactor.

        Returns:
            A Deferred with (version, whether it is new); it fails with `TemplateError`.
        """


class IEvents(Interface):
    """The event log: what happened, in sentences; the newest are kept on disk."""

    def record(kind: str, text: str, level: str = "info", **facts: Any) -> None:
        """
        Record an event, and log the same sentence as `event KIND: TEXT`; in the reactor's thread.

        Args:
            kind: words joined by `_`, such as `channel_paused`; `docs/running.md` lists them.
            text: a sentence without a secret; cut to 500 characters of one line.
            level: `info`, `warning` (somebody should look), or `error` (somebody must act).
            facts: JSON values that programs read, such as `channel`, `login`, `who`. Those that
                tell networks or money, such as `peer`, `network`, `balance` and `equity`, are for
                admins alone, as are words `peer=…` and `network=…` of the text. A fact `public` is
                the text for all others, where the sentence itself is for admins.
        """

    def after(number: int, limit: int) -> "Sequence[Mapping[str, Any]]":
        """
        Return events behind a number, oldest first: `number`, `time` in milliseconds since the
        Unix epoch, `kind`, `level`, `text` and the facts. Numbers rise, over restarts too, and may
        have gaps. Behind a number that no event has reached yet there are all: a log began anew.
        """

    def subscribe(observer: Any) -> None:
        """Call `observer(event)` for each new event."""

    def unsubscribe(observer: Any) -> None:
        """Undo it."""


class IAlerts(Interface):
    """The alerts of [alerts.NAME], and their incidents."""

    def rows() -> Sequence[Mapping[str, Any]]:
        """
        Return one row of JSON values for each alert; it must not block.

        `name` is that of [alerts.NAME], `when` its condition, `muted` whether it tells nobody, and
        `incidents` is a list of those that go on, each with `subject`, `since` in milliseconds
        since the Unix epoch, and `text`, a sentence.
        """


class INotifier(Interface):
    """Messages to people, by the receivers of [notify.NAME]."""

    names: Sequence[str] = Attribute("The names of [notify.NAME] that are configured.")

    def notify(text: str, to: Sequence[str] = (), key: str = "") -> "Deferred[Sequence[str]]":
        """
        Put a message into the queue on disk; it is sent until its receiver took it, perhaps twice.

        Args:
            to: names of [notify.NAME]; empty = all.
            key: names the message; one whose key was queued before is left out. A message with a
                key is sent from memory when the disk does not take it. Empty = none.

        Returns:
            A Deferred with the names for which the message is on disk; for the others it was one
            too many, and is counted. It fails with `JournalError` when the disk takes nothing.

        Raises:
            mtnet.errors.WireError: `field`, a name that is not configured.
        """


class IHealth(Interface):
    """Offered by the daemon: how everything is; with no folder of this machine."""

    def health() -> Mapping[str, Any]:
        """Return the report of `/healthz`, which strangers may read."""

    def causes() -> Mapping[str, Sequence[str]]:
        """Return `trouble` and `warnings` of that report alone, for those who look often."""

    def status() -> Mapping[str, Any]:
        """Return what `mtnet status` shows, which those with the right `admin` may read."""


class IHttpServer(Interface):
    """HTTP for ports of other components."""

    metrics_open: bool = Attribute("Whether everybody may read metrics, see `web.metrics_open`.")

    def site(listener: Any, components: Sequence[str]) -> "IProtocolFactory":
        """Return the factory of HTTP connections to the resources of these components."""


# The short form: a factory and nothing else


class IStreamPlugin(Interface):
    """
    Plugin of the short form: an ordinary factory, see `docs/extending.md`.

    It is adapted to `IServicePlugin`, and gets admission, TLS and bans from the daemon.
    """

    name: str = Attribute("As of `IServicePlugin`.")
    description: str = Attribute("As of `IServicePlugin`.")
    defaultEndpoint: str | None = Attribute("Its endpoint when none is configured; None = off.")
    rights: tuple[str, ...] = Attribute("The verbs that a connection must be allowed.")

    def buildFactory(env: Any) -> "IProtocolFactory":
        """
        Return the one factory of all its listeners, from an `Environment`; it must not block.

        Raises:
            mtnet.errors.ConfigError: the service cannot work as configured.
        """


class IDatagramPlugin(Interface):
    """Plugin of the short form for datagrams; a stream plugin may have the same name."""

    name: str = Attribute("As of `IServicePlugin`.")
    description: str = Attribute("As of `IServicePlugin`.")
    defaultEndpoint: str | None = Attribute("Such as `udp:8082:interface=127.0.0.1`; None = off.")
    rights: tuple[str, ...] = Attribute("As of `IStreamPlugin`.")

    def buildProtocol(env: Any, listener: Any) -> "DatagramProtocol":
        """Return the protocol of one `mtnet.net.endpoints.Listener`; it must not block."""
