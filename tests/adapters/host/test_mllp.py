"""Gateways: what is heard is kept and answered in time, whatever senders, outbox and disk do."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from adapters.host.mllp import Gateway
from adapters.host.mllp_settings import Certificate, GatewaySettings, Overflow, Times
from telemetry.errors import SettingsError
from telemetry.messages import LinkState, Usage
from tests.adapters.host.fakes import StillClock, until
from tests.adapters.host.gateways import FakeHl7, FakeMemory, FakeOutbox, FakeSender, FakeServer, frame

PERIOD_S = 60
SOON = Times(answer_s=0.05)
LATE = Times(answer_s=600)


class Bench:
    """A gateway over a listener, an outbox and a clock that the test moves."""

    def __init__(self, outbox: FakeOutbox | None = None, **settings: object) -> None:
        self.outbox = outbox or FakeOutbox()
        self.clock = StillClock()
        self.server = FakeServer()
        self.memory = FakeMemory()
        self.before = 0
        chosen = replace(GatewaySettings("gw", 2575, period_s=PERIOD_S, times=LATE), **settings)  # type: ignore[arg-type]  # any of its fields
        self.gateway = Gateway(
            chosen,
            "hl7",
            lambda: FakeHl7(self.memory),
            self.memory,
            self.outbox,
            self.clock,
            serve=self.server.start,
            pause=self.pause,
        )

    @staticmethod
    async def pause(seconds: float) -> None:
        """Try again at once, but let others run."""
        del seconds
        await asyncio.sleep(0.001)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen; stop at the end."""
        task = asyncio.create_task(self.gateway.run())
        await until(lambda: self.server.accept is not None and self.clock.sleepers == 1)
        try:
            yield
        finally:
            self.outbox.disk.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def connect(self, address: str = "192.0.2.1") -> FakeSender:
        """A sender that has connected."""
        return self.server.connect(FakeSender(address))

    def settle(self) -> None:
        """Count from here."""
        tally = self.gateway.health.tally
        self.before = tally.answered + tally.withheld

    async def settled(self, count: int) -> None:
        """Wait until so many messages more have been answered, or not."""

        def are_settled() -> bool:
            tally = self.gateway.health.tally
            return tally.answered + tally.withheld - self.before >= count

        await until(are_settled)

    async def pass_time(self, seconds: float) -> None:
        """Let that much pass, and let the gateway look."""
        for _ in range(round(seconds / PERIOD_S * 4)):
            await until(lambda: self.clock.sleepers == 1)
            self.clock.move(PERIOD_S / 4)
        await until(lambda: self.clock.sleepers == 1)


# -- hearing and answering ------------------------------------------------------------------------------


async def test_what_is_heard_is_told_under_the_name_of_its_device_and_answered() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1", "p2/2")
        await until(lambda: sender.answers == ["<1>", "<2>"])
    assert bench.outbox.links("gw-p1")[0] == ("online", "")
    assert [message.body.kind for message in bench.outbox.said("gw-p2")][:2] == ["status", "usage"]
    assert bench.outbox.links("gw")[0] == ("online", "")
    tally = bench.gateway.health.tally
    assert (tally.heard, tally.answered, tally.lost, tally.refusals) == (2, 2, 0, 0)


async def test_a_message_cut_into_bytes_says_the_same() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        for byte in frame("p1/1") + frame("p2/2"):
            sender.incoming.put_nowait(bytes([byte]))
        await until(lambda: sender.answers == ["<1>", "<2>"])
    assert len(bench.outbox.bodies(Usage)) == 2


async def test_no_answer_before_the_message_is_on_disk() -> None:
    bench = Bench()
    bench.outbox.disk.clear()
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1")
        await until(lambda: bench.gateway.health.tally.heard == 1)
        await asyncio.sleep(0.02)
        assert sender.answers == []
        bench.outbox.disk.set()
        await until(lambda: sender.answers == ["<1>"])
        assert bench.outbox.bodies(Usage)


async def test_all_that_waits_goes_into_the_outbox_together() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        await until(lambda: len(bench.outbox.puts) == 1)
        bench.outbox.disk.clear()
        sender.say(*(f"p{number}/{number}" for number in range(200)))
        await until(lambda: bench.gateway.health.tally.heard == 200)
        bench.outbox.disk.set()
        await until(lambda: len(sender.answers) == 200)
    assert sender.answers == [f"<{number}>" for number in range(200)]
    assert sum(bench.outbox.puts[:4]) >= 401


async def test_what_cannot_be_read_is_counted_and_answered_and_the_next_message_heard() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        sender.say("x/1", "p1/2")
        await until(lambda: sender.answers == ["<1>", "<2>"])
        assert bench.gateway.health.tally.refusals == 1


async def test_a_repetition_on_another_connection_is_answered_and_not_told_again() -> None:
    bench = Bench()
    async with bench.running():
        first = bench.connect()
        first.say("p1/1")
        await until(lambda: first.answers == ["<1>"])
        first.hang_up()
        second = bench.connect()
        second.say("p1/1")
        await until(lambda: second.answers == ["<1>"])
        assert bench.gateway.health.tally.skipped == 1
    assert len(bench.outbox.bodies(Usage)) == 1


async def test_a_message_that_wants_no_answer_is_told() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        sender.say("?p1/1")
        await until(lambda: len(bench.outbox.bodies(Usage)) == 1)
        assert sender.answers == []


# -- a disk that is slow, an outbox that is full --------------------------------------------------------


async def test_a_disk_that_stands_still_delays_no_answer_beyond_its_limit() -> None:
    bench = Bench(times=SOON)
    bench.outbox.disk.clear()
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1", "p2/2")
        await until(lambda: sender.answers == ["<1>", "<2>"])
        assert bench.outbox.held == []
        bench.outbox.disk.set()
        await until(lambda: len(bench.outbox.bodies(Usage)) == 2)
        health = bench.gateway.health
        assert 0.04 < health.tally.slowest_answer_s < 5
        assert (health.waiting, health.tally.lost) == (0, 0)


async def test_without_room_messages_are_acknowledged_and_the_loss_is_exact_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(FakeOutbox(most=0), times=SOON, room=3)
    async with bench.running():
        sender = bench.connect()
        await until(lambda: bench.gateway.health.stalled != "")
        sender.say("p1/1", "p2/2", "p1/3")  # the room holds the gateway's own status and p1's two messages
        await until(lambda: len(sender.answers) == 3)
        health = bench.gateway.health
        assert (health.waiting, health.tally.lost, health.tally.lost_bodies) == (3, 2, 3)
        bench.outbox.most = 100
        await until(lambda: bench.gateway.health.waiting == 0)
        await bench.pass_time(PERIOD_S / 4)
        sender.say("p2/4")
        await until(lambda: len(sender.answers) == 4)
    usage = bench.outbox.bodies(Usage)
    assert len(usage) + bench.gateway.health.tally.lost == bench.gateway.health.tally.heard == 4
    assert bench.outbox.links("gw-p2")[0] == ("online", "")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert any("no room in memory" in line for line in said)
    assert any("2 HL7 messages were acknowledged and lost (3 messages of ours)" in line for line in said)


async def test_a_status_and_an_identity_that_were_lost_are_told_with_the_next_word() -> None:
    bench = Bench(FakeOutbox(most=0), times=SOON, room=2)
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1")
        await until(lambda: len(sender.answers) == 1)
        assert bench.gateway.health.online == 0
        bench.outbox.most = 100
        await until(lambda: bench.gateway.health.waiting == 0)
        sender.say("p1/2")
        await until(lambda: len(sender.answers) == 2)
        await until(lambda: bench.gateway.health.online == 1)
    assert bench.outbox.links("gw-p1")[0] == ("online", "")


async def test_a_sender_that_keeps_what_is_not_answered_loses_nothing() -> None:
    bench = Bench(FakeOutbox(most=0), times=SOON, room=3, overflow=Overflow.WITHHOLD)
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1", "p2/2")
        await until(lambda: bench.gateway.health.tally.withheld == 2)
        assert sender.answers == []
        bench.outbox.most = 100
        await until(lambda: bench.gateway.health.waiting == 0)
        sender.say("p1/1")
        await until(lambda: sender.answers == ["<1>"])
        sender.say("p2/2")
        await until(lambda: sender.answers == ["<1>", "<2>"])
    assert len(bench.outbox.bodies(Usage)) == 2
    assert bench.gateway.health.tally.lost == 0


async def test_a_repetition_of_what_was_taken_back_is_not_answered_for_it() -> None:
    bench = Bench(FakeOutbox(most=0), times=Times(answer_s=0.2), overflow=Overflow.WITHHOLD)
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1")
        await until(lambda: bench.gateway.health.tally.heard == 1)
        sender.say("p1/1")
        await until(lambda: bench.gateway.health.tally.withheld == 2)
        assert sender.answers == []
        bench.outbox.most = 100
        sender.say("p1/1")
        await until(lambda: sender.answers == ["<1>"])
    assert len(bench.outbox.bodies(Usage)) == 1


async def test_a_repetition_is_not_answered_because_its_original_has_just_left_the_room() -> None:
    bench = Bench(FakeOutbox(most=0), times=Times(answer_s=0.4), overflow=Overflow.WITHHOLD)
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1")
        now = asyncio.get_running_loop().time
        later = now() + 0.2
        await until(lambda: now() > later)
        sender.say("p1/1")
        await until(lambda: bench.gateway.health.tally.withheld == 1)
        bench.outbox.most = 100
        await until(lambda: bench.gateway.health.tally.withheld == 2)
        assert (sender.answers, bench.outbox.bodies(Usage)) == ([], [])


async def test_while_the_outbox_takes_nothing_answers_do_not_wait_for_their_limit() -> None:
    bench = Bench(FakeOutbox(most=0), times=LATE)
    async with bench.running():
        sender = bench.connect()
        await until(lambda: bench.gateway.health.stalled != "")
        sender.say("p1/1", "p1/2")
        await until(lambda: sender.answers == ["<1>", "<2>"])
        assert bench.gateway.health.tally.lost == 0


async def test_after_one_late_answer_the_next_ones_do_not_wait_until_the_disk_moves_again() -> None:
    bench = Bench(times=Times(answer_s=0.5))
    bench.outbox.disk.clear()
    async with bench.running():
        sender = bench.connect()
        began = asyncio.get_running_loop().time()
        for number in range(20):
            sender.say(f"p1/{number}")
            await until(lambda many=number + 1: len(sender.answers) == many)  # type: ignore[misc]  # binds the loop's variable
        assert asyncio.get_running_loop().time() - began < 20 * 0.45
        bench.outbox.disk.set()
        await until(lambda: bench.gateway.health.waiting == 0)
        bench.outbox.disk.clear()
        sender.say("p1/99")
        await until(lambda: bench.gateway.health.tally.heard == 21)
        assert len(sender.answers) == 20


async def test_a_loss_counts_though_the_connection_ends_before_its_acknowledgement() -> None:
    bench = Bench(FakeOutbox(most=0), room=1)
    async with bench.running():
        sender = bench.connect()
        sender.takes.clear()
        sender.say("p1/1", "p2/2")
        await until(lambda: bench.gateway.health.tally.heard == 2)
        sender.hang_up()
        await until(lambda: bench.gateway.health.tally.lost == 2)
        sender.takes.set()


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_through_stalls_and_cuts_every_message_is_kept_once_or_counted_as_lost(
    overflow: Overflow,
) -> None:
    bench = Bench(FakeOutbox(most=40), times=SOON, room=10, overflow=overflow)
    wanted = [f"p{number % 5}/{number}" for number in range(120)]
    async with bench.running(), asyncio.timeout(20):
        answered: set[str] = set()
        for start in range(0, len(wanted), 12):
            open_ones = wanted[start : start + 12]
            while open_ones:
                sender = bench.connect()
                bench.settle()
                sender.say(*reversed(open_ones))
                await bench.settled(len(open_ones))
                answered |= set(sender.answers)
                sender.incoming.put_nowait(ConnectionResetError())
                bench.outbox.most += 7
                open_ones = [one for one in open_ones if f"<{one.split('/')[1]}>" not in answered]
        bench.outbox.most = 10_000
        await until(lambda: bench.gateway.health.waiting == 0)
        tally = bench.gateway.health.tally
        assert len(bench.outbox.bodies(Usage)) + tally.lost == len(wanted)
        assert (tally.lost == 0) is (overflow is Overflow.WITHHOLD)


# -- senders that are slow, silent or hostile -----------------------------------------------------------


async def test_a_message_that_never_ends_is_refused_once_and_holds_nobody_up() -> None:
    bench = Bench(times=Times(message_s=0.05))
    async with bench.running():
        hostile, good = bench.connect("192.0.2.66"), bench.connect()
        hostile.incoming.put_nowait(b"\x0bp1/1")
        good.say("p2/2")
        await until(lambda: good.answers == ["<2>"])
        await until(lambda: hostile.transport.is_closed)
        assert bench.gateway.health.tally.refusals == 1
        assert bench.gateway.health.connections == 1
        good.say("p2/3")
        await until(lambda: good.answers == ["<2>", "<3>"])


async def test_a_sender_that_only_ever_says_what_cannot_be_read_is_let_go() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        sender.incoming.put_nowait(b"\x0by/0\x1c" * 1_000)
        await until(lambda: sender.transport.is_closed)
        assert 100 < bench.gateway.health.tally.refusals <= 1_000


async def test_a_sender_that_is_silent_between_messages_is_left_alone() -> None:
    bench = Bench(times=Times(message_s=0.02))
    async with bench.running():
        sender = bench.connect()
        sender.incoming.put_nowait(frame("p1/1") + b"\n")
        await until(lambda: sender.answers == ["<1>"])
        await asyncio.sleep(0.05)
        assert not sender.transport.is_closed


async def test_a_sender_that_takes_no_answer_is_let_go() -> None:
    bench = Bench(times=Times(take_s=0.02))
    async with bench.running():
        sender = bench.connect()
        sender.takes.clear()
        sender.say("p1/1")
        await until(lambda: sender.transport.is_closed and bench.gateway.health.connections == 0)
    assert len(bench.outbox.bodies(Usage)) == 1


async def test_at_the_bound_of_connections_the_one_that_never_spoke_goes() -> None:
    bench = Bench(most_connections=2)
    async with bench.running():
        speaks, silent = bench.connect(), bench.connect()
        speaks.say("p1/1")
        await until(lambda: speaks.answers == ["<1>"])
        late = bench.connect()
        await until(lambda: silent.transport.is_closed)
        late.say("p1/2")
        await until(lambda: late.answers == ["<2>"])
        assert not speaks.transport.is_closed
        health = bench.gateway.health
        assert (health.connections, health.tally.displaced, health.tally.accepted) == (2, 1, 3)


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [("192.0.2.7", True), ("198.51.100.1", False), ("::ffff:192.0.2.7", True), ("fe80::1%eth0", True)],
)
async def test_only_peers_are_taken(address: str, is_taken: bool) -> None:  # noqa: FBT001 - a table of cases
    bench = Bench(peers=(ip_network("192.0.2.0/24"), ip_network("fe80::/10")))
    async with bench.running():
        sender = bench.connect(address)
        assert sender.transport.is_aborted is not is_taken
        assert bench.gateway.health.tally.turned_away == (not is_taken)


async def test_a_bug_ends_its_connection_only_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    async with bench.running():
        bad, good = bench.connect(), bench.connect()
        bad.say("!/1")
        await until(lambda: bench.gateway.health.tally.faults == 1)
        good.say("p1/2")
        await until(lambda: good.answers == ["<2>"])
        assert bad.transport.is_closed
    assert any(record.exc_info for record in caplog.records)


async def test_devices_beyond_the_bound_are_answered_and_counted() -> None:
    bench = Bench(most_devices=2)
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1", "p2/2", "p3/3", "p1+p3/4")
        await until(lambda: len(sender.answers) == 4)
        health = bench.gateway.health
        assert (health.devices, health.tally.beyond, health.tally.heard) == (2, 2, 4)
    assert bench.outbox.said("gw-p3") == []


# -- links ----------------------------------------------------------------------------------------------


async def test_a_device_that_falls_silent_is_mute_and_online_when_heard_again() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1", "p2/2")
        await until(lambda: len(sender.answers) == 2)
        await bench.pass_time(2 * PERIOD_S)
        sender.say("p1/3")
        await until(lambda: len(sender.answers) == 3)
        await bench.pass_time(2 * PERIOD_S)
        await until(lambda: len(bench.outbox.links("gw-p2")) == 2)
        sender.say("p2/4")
        await until(lambda: len(sender.answers) == 4)
        assert bench.outbox.links("gw-p2") == [
            ("online", ""),
            ("mute", "gateway gw says nothing of it"),
            ("online", ""),
        ]
        assert bench.outbox.links("gw-p1") == [("online", "")]


async def test_a_period_after_the_last_connection_all_devices_are_offline_because_of_their_gateway() -> None:
    bench = Bench()
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1")
        await until(lambda: len(sender.answers) == 1)
        sender.hang_up()
        await until(lambda: bench.gateway.health.connections == 0)
        await bench.pass_time(PERIOD_S / 2)
        assert bench.gateway.health.link is LinkState.ONLINE
        await bench.pass_time(PERIOD_S / 2)
        await until(lambda: len(bench.outbox.links("gw-p1")) == 2)
        assert bench.outbox.links("gw-p1")[-1] == ("offline", "gateway gw is not connected")
        assert bench.outbox.links("gw")[-1] == ("offline", "gateway gw is not connected")
        again = bench.connect()
        again.say("p1/2")
        await until(lambda: len(again.answers) == 1)
        assert bench.outbox.links("gw-p1")[-1] == ("online", "")
        assert bench.outbox.links("gw")[-1] == ("online", "")


async def test_a_gateway_that_nobody_ever_reaches_is_offline() -> None:
    bench = Bench()
    async with bench.running():
        await bench.pass_time(PERIOD_S)
        await until(lambda: bench.outbox.links("gw") == [("offline", "gateway gw is not connected")])


async def test_a_stop_answers_what_is_owed_and_tells_all_devices_offline() -> None:
    bench = Bench(times=Times(answer_s=0.2))
    bench.outbox.disk.clear()
    async with bench.running():
        sender = bench.connect()
        sender.say("p1/1")
        await until(lambda: bench.gateway.health.tally.heard == 1)
        asyncio.get_running_loop().call_later(0.02, bench.outbox.disk.set)
    assert sender.answers == ["<1>"]
    assert sender.transport.is_closed
    assert bench.outbox.links("gw-p1")[-1] == ("offline", "host stopped")
    assert bench.outbox.links("gw")[-1] == ("offline", "host stopped")


# -- where it listens -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "key", "found"),
    [
        (errno.EADDRINUSE, "port", "2575"),
        (errno.EACCES, "port", "2575"),
        (errno.EADDRNOTAVAIL, "host", "127.0.0.1"),
    ],
)
async def test_where_it_cannot_listen_the_operator_reads_key_and_value(
    code: int, key: str, found: str
) -> None:
    bench = Bench()
    bench.server.error = OSError(code, "no")
    with pytest.raises(SettingsError) as told:
        await bench.gateway.run()
    assert (told.value.where, found in told.value.found) == (f"gateway 'gw': {key}", True)


async def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    bench = Bench(certificate=Certificate(tmp_path / "gw.pem", tmp_path / "gw.key"))
    with pytest.raises(SettingsError, match=r"gw\.pem"):
        await bench.gateway.run()
