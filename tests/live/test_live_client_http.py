"""Clients of asyncio over HTTP, against a real daemon."""

import asyncio
import signal
from decimal import Decimal

from live_daemon import until

from mtnet.callbacks import noop
from mtnet.client import aio, sync
from mtnet.client.core.events import Synced
from mtnet.errors import ClientError

WEB = "--listen=web=tcp:{}:interface=127.0.0.1"


def test_each_signal_comes_once_and_in_order_over_a_restart_of_the_daemon(daemon, tmp_path):
    daemon.start()
    port = daemon.port("web")
    server = f"http://127.0.0.1:{port}"
    volumes = [Decimal(number) / 100 for number in range(1, 41)]

    async def follow(caught_up):
        def note(event):
            if isinstance(event, Synced):
                caught_up.set()

        found = []
        async with aio.follow(server, state=tmp_path / "state", on_event=note) as entries:
            async for entry in entries:
                found.append((entry.seq, entry.volume))
                if len(found) == len(volumes):
                    return found

    async def story():
        caught_up = asyncio.Event()
        following = asyncio.create_task(follow(caught_up))
        await caught_up.wait()
        async with aio.Publisher(server, on_event=noop) as publisher:
            seqs = [await publisher.publish("EURUSD", volume) for volume in volumes[:10]]
            sent = [
                asyncio.ensure_future(publisher.publish("EURUSD", volume))
                for volume in volumes[10:]
            ]
            await asyncio.sleep(0)
            await asyncio.to_thread(daemon.stop, signal.SIGKILL)
            await asyncio.to_thread(daemon.start, WEB.format(port))
            seqs += [await each for each in sent]
        return seqs, await following

    seqs, found = asyncio.run(asyncio.wait_for(story(), 90))
    assert seqs == list(range(1, 41))
    assert found == list(zip(seqs, volumes, strict=True))


def test_a_signal_does_not_wait_behind_the_poll_of_its_publisher(daemon):
    daemon.start()
    server = f"http://127.0.0.1:{daemon.port('web')}"
    counted = []

    def positions():
        counted.append(1)
        return [aio.Position("EURUSD", "0.1")]

    async def story():
        options = {"positions": positions, "on_event": noop}
        async with aio.Publisher(server, "gold", **options) as publisher:
            await asyncio.to_thread(until, lambda: len(counted) > 0)
            return await asyncio.wait_for(publisher.publish("GBPUSD", "0.2"), 4)

    assert asyncio.run(story()) > 0


def test_scripts_publish_beside_the_publisher_of_a_channel(daemon):
    daemon.start()
    server = f"http://127.0.0.1:{daemon.port('web')}"
    with sync.Publisher(server, on_event=noop) as publisher:
        assert publisher.publish("EURUSD", "0.1") == 1
        assert sync.publish(server, "GBPUSD", "0.2") == 2
        assert publisher.publish("EURUSD", "0.3") == 3
        with sync.follow(server, on_event=noop) as entries:
            first = next(iter(entries))
            assert (first.symbol, first.seq) == ("GBPUSD", 2)
            entries.handled()
            second = next(entries)
            entries.acknowledge(second.seq, "filled", volume="0.3")
    assert daemon.status()["signals"]["channels"]["main"]["positions"]["GBPUSD"] == "0.2"


def test_a_second_publisher_is_fenced_until_it_takes_the_channel(daemon):
    daemon.start()
    server = f"http://127.0.0.1:{daemon.port('web')}"

    def publish(publisher):
        try:
            return publisher.publish("EURUSD", "0.1")
        except ClientError as error:
            return str(error)

    quiet = {"on_event": noop}
    with sync.Publisher(server, **quiet) as first, sync.Publisher(server, **quiet) as second:
        assert publish(first) == 1
        assert "publisher" in publish(second)
        with sync.Publisher(server, take="1", **quiet) as third:
            assert publish(third) == 2
            assert "publisher" in publish(first)
