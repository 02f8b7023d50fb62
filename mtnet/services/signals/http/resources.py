"""The routes of signals (`docs/http.md`)."""

from twisted.internet.interfaces import IReactorTime

from mtnet.net.http.openapi import Error
from mtnet.net.http.route import BodyLimit, Route
from mtnet.services.signals.http.channels import ChannelReading, SignalReading
from mtnet.services.signals.http.commands import Commands, Forgetting, Operating
from mtnet.services.signals.http.equity import EquityReading
from mtnet.services.signals.http.fills import FillReading
from mtnet.services.signals.http.followers import PollingFollowers
from mtnet.services.signals.http.publishers import HttpPublishers
from mtnet.services.signals.http.publishing import SignalPublishing, StatePublishing
from mtnet.services.signals.http.record import RecordReading
from mtnet.services.signals.http.reporting import Acknowledging, Reporting
from mtnet.services.signals.http.slippage import SlippageReading
from mtnet.services.signals.http.views import view_routes
from mtnet.services.signals.http.wire import (
    ChannelPath,
    ChannelRow,
    ChannelState,
    NewAcks,
    NewReport,
    NewSignals,
    NewSpec,
    NewState,
    Result,
    SignalQuery,
    Signals,
    StateResult,
)
from mtnet.services.signals.record.reader import RecordReader
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.service import SignalService

MAX_STATE = 1_048_576
"""Bytes of a whole state: 10,000 positions with a ticket and a price."""

REFUSED = list[Result] | Error
"""What is answered when the first signal that is refused has this status, or the request itself."""


def signal_routes(
    signals: SignalService,
    store: ReportStore,
    records: RecordReader,
    commands: Commands,
    clock: IReactorTime,
) -> list[Route]:
    """
    Return the routes of signals.

    Args:
        store: remembers what terminals tell about themselves.
        records: reads track records.
        commands: those of the control socket.
    """
    followers, publishers = PollingFollowers(signals, clock), HttpPublishers(signals, clock)
    return [
        *_reads(ChannelReading(signals), SignalReading(signals, followers)),
        *_writes(SignalPublishing(signals, publishers), StatePublishing(signals, publishers)),
        *_reports(Acknowledging(signals, followers), Reporting(signals, followers, store)),
        *FillReading(signals).routes(),
        *EquityReading(store).routes(),
        *SlippageReading(signals, store).routes(),
        *RecordReading(signals, records).routes(),
        *Operating(signals, commands).routes(),
        *Forgetting(signals, commands).routes(),
        *view_routes(commands),
    ]


def _reads(channels: ChannelReading, signals: SignalReading) -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/channels",
            handler=channels.all,
            summary="The channels that the client may follow, or publish in.",
            answers={200: list[ChannelRow]},
        ),
        Route(
            method="GET",
            path="/v1/channels/{channel}",
            handler=channels.one,
            summary="A channel and all that it holds.",
            params=ChannelPath,
            answers={200: ChannelState},
            errors=(404,),
        ),
        Route(
            method="GET",
            path="/v1/channels/{channel}/signals",
            handler=signals.get,
            summary="The signals behind one, waited for if need be, or a snapshot.",
            params=SignalQuery,
            answers={200: Signals},
            errors=(404,),
        ),
    ]


def _writes(signals: SignalPublishing, states: StatePublishing) -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/channels/{channel}/signals",
            handler=signals.post,
            summary="Publish signals: the answer comes once all are on disk.",
            params=ChannelPath,
            body=NewSignals,
            answers={200: list[Result], **dict.fromkeys((403, 409, 422, 503), REFUSED)},
            errors=(404,),
        ),
        Route(
            method="PUT",
            path="/v1/channels/{channel}/positions",
            handler=states.put,
            summary="Publish all that is held: the differences are stored in one commit.",
            params=ChannelPath,
            body=NewState,
            body_limit=BodyLimit(MAX_STATE, f"this path takes {MAX_STATE}"),
            answers={200: StateResult},
            errors=(404, 409),
        ),
    ]


def _reports(acks: Acknowledging, reports: Reporting) -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/channels/{channel}/acks",
            handler=acks.post,
            summary="Say what became of signals at a follower.",
            params=ChannelPath,
            body=NewAcks,
            errors=(404,),
        ),
        Route(
            method="POST",
            path="/v1/report",
            handler=reports.report,
            summary="Tell about the account of a terminal.",
            body=NewReport,
        ),
        Route(
            method="POST",
            path="/v1/spec",
            handler=reports.describe,
            summary="Describe a symbol of the broker of a terminal.",
            body=NewSpec,
        ),
    ]
