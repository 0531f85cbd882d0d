"""Simulated ventilators say what real ones would, and count what they said."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.contract import Heard, SerialLine
from adapters.host.serial_port import serial
from adapters.host.transports import Connection, tcp
from adapters.protocols.puritan_bennett import adapter
from adapters.puritan_bennett_reports import PHILIPS, SNDA, SNDF, Layout, report_of
from adapters.simulators.pb_software import Software, shortened
from adapters.simulators.pb_ventilator import Capture, Event, Source, Ventilator, fleet, reports_of
from adapters.simulators.puritan_bennett import serve, talk
from adapters.simulators.routine import ROUTINES, Routine, is_in_use
from adapters.simulators.served import Record, Served, followed, read_log
from telemetry.errors import SettingsError
from telemetry.messages import Identity, OperatingState, Usage
from tests.adapters.streams import FakeClock, FakeReader, FakeWriter
from tests.adapters.ventilators import bodies, edges, hear, refusals, report, twin_of_capture

START = datetime(2024, 1, 8, 0, 0, tzinfo=UTC)
ALWAYS = Routine("always", days_share=1.0, first_hour=0.0, shortest_h=24.0, longest_h=24.0)
NEVER = Routine("never", days_share=0.0, first_hour=0.0, shortest_h=1.0, longest_h=1.0)


def heard_over(source: Source, *moments: datetime) -> tuple[object, ...]:
    return hear(adapter(period_s=300.0), [source.answer(moment) or b"" for moment in moments])


def states(source: Source, *moments: datetime) -> list[OperatingState]:
    said = hear(adapter(period_s=300.0), [source.answer(moment) or b"" for moment in moments])
    assert refusals(said) == ()
    return [body.state for body in bodies(said) if isinstance(body, Usage)]


def test_a_scripted_ventilator_is_heard_in_use_and_idle_as_its_ward_uses_it() -> None:
    assert states(Ventilator("3510090001", ALWAYS), START + timedelta(days=2)) == [OperatingState.IN_USE]
    assert states(Ventilator("3510090001", NEVER), START + timedelta(days=2)) == [OperatingState.IDLE]


def test_every_hour_of_a_week_is_heard_as_the_routine_says() -> None:
    moments = [START + timedelta(hours=hour) for hour in range(168)]
    for ventilator in fleet(8, seed=7, start=START):
        answers = [ventilator.answer(moment) for moment in moments]
        on = [moment for moment, answer in zip(moments, answers, strict=True) if answer is not None]
        wanted = [
            OperatingState.IN_USE if ventilator.is_in_use(moment) else OperatingState.IDLE for moment in on
        ]
        assert states(ventilator, *on) == wanted
        assert ventilator.routine.off_when_unused or len(on) == len(moments)


def test_icu_ventilators_are_used_more_than_reserve_ones() -> None:
    moments = [START + timedelta(hours=hour) for hour in range(24 * 60)]
    share = [
        sum(is_in_use(routine, at=at.replace(tzinfo=None), seed="1") for at in moments) / len(moments)
        for routine in ROUTINES
    ]
    assert share[0] > 0.7
    assert 0.01 < share[-1] < 0.25


def test_a_ventilator_that_is_switched_off_does_not_answer() -> None:
    reserve = Routine(
        "reserve", days_share=0.0, first_hour=0.0, shortest_h=1.0, longest_h=1.0, off_when_unused=True
    )
    assert Ventilator("3510090001", reserve).answer(START) is None


def test_the_same_seed_says_the_same_bytes_and_another_seed_others() -> None:
    moments = [START + timedelta(hours=hour) for hour in range(48)]
    first, again, other = (
        [one.answer(at) for one in fleet(4, seed=seed, start=START) for at in moments] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_an_event_appears_and_ends_at_its_times_with_a_standing_reset() -> None:
    event = Event(122, "LOW", START + timedelta(hours=1), START + timedelta(hours=2))
    ventilator = Ventilator("3510090001", ALWAYS, events=(event,))
    moments = [START + timedelta(minutes=minute) for minute in (0, 60, 119, 120, 129, 130)]
    words = [report_of(ventilator.answer(moment) or b"").fields[122] for moment in moments]
    assert words == ["NORMAL", "LOW", "LOW", "RESET", "RESET", "NORMAL"]
    said = hear(adapter(period_s=300.0), [ventilator.answer(moment) or b"" for moment in moments])
    assert [edge[:2] for edge in edges(said)] == [("122", "start"), ("122", "end")]


def test_the_clock_of_a_ventilator_is_that_of_vietnam_and_may_be_wrong() -> None:
    ventilator = Ventilator("3510090001", ALWAYS, ahead=timedelta(days=1, minutes=3))
    (heard,) = heard_over(ventilator, START)
    assert isinstance(heard, Heard)
    assert heard.device_time is not None
    assert heard.device_time.isoformat() == "2024-01-09T07:03:00"


def test_the_fleet_has_its_gas_failure_in_one_ward_and_its_malfunction() -> None:
    ventilators = fleet(24, seed=0, start=START)
    assert len({ventilator.serial for ventilator in ventilators}) == 24
    assert [ventilator.routine.ward for ventilator in ventilators[::6]] == [one.ward for one in ROUTINES]
    moment = START + timedelta(hours=21)
    answers = {one.serial: one.answer(moment) for one in ventilators}
    low = [serial for serial, answer in answers.items() if answer and report_of(answer).fields[122] == "LOW"]
    assert low == [one.serial for one in ventilators[:6]]
    assert report_of(answers[ventilators[3].serial] or b"").fields[143] == "HIGH"


def test_a_capture_is_served_as_it_is_in_a_loop() -> None:
    reports = reports_of(twin_of_capture())
    capture = Capture(reports)
    assert [capture.answer(START) for _ in range(66)] == [*reports, *reports]


def test_a_looped_capture_can_take_another_serial_and_a_device_time_of_its_own_for_each_report() -> None:
    capture = Capture(reports_of(twin_of_capture()), serial="3510099999", advance_clock=True)
    reports = [report_of(capture.answer(START)) for _ in range(3000)]
    assert {one.fields[6] for one in reports} == {"840 3510099999"}
    times = [one.device_time for one in reports]
    assert len(set(times)) == 3000
    assert [time.isoformat(timespec="minutes") for time in times[:2] if time] == [
        "2023-04-04T16:01",
        "2023-04-04T16:02",
    ]
    assert {one.fields[122] for one in reports} == {"LOW"}


def test_a_file_that_is_no_row_of_reports_is_refused() -> None:
    for data in (b"", report()[:-1], report() + b"x", b"x" + report()):
        with pytest.raises(SettingsError, match="whole SNDF reports"):
            reports_of(data)


async def served_to(
    pieces: list[bytes], *, source: Source, software: Software = Software.USUAL
) -> tuple[bytes, Record]:
    writer, record = FakeWriter(), Record()
    await talk(FakeReader(pieces), writer, source=source, clock=FakeClock(), record=record, software=software)
    return b"".join(writer.pieces), record


async def test_sndf_is_answered_and_nothing_else_is() -> None:
    capture = Capture([report()])
    answer, record = await served_to([b"RSET\r", b"SN", b"DF\rSNDX\rSNDF", b"\r\r"], source=capture)
    assert answer == report() * 2
    assert len(record.served) == 2


@pytest.mark.parametrize(
    ("software", "layouts"),
    [
        (Software.USUAL, [SNDF, SNDA]),
        (Software.PHILIPS, [PHILIPS, SNDA]),
        (Software.SNDA_ONLY, [SNDA]),
    ],
)
async def test_each_software_answers_what_it_understands(software: Software, layouts: list[Layout]) -> None:
    capture = Capture([report()], advance_clock=True)
    answer, record = await served_to([b"RSET\rSNDF\rSNDA\r"], source=capture, software=software)
    assert len(answer) == sum(layout.size for layout in layouts)
    said = hear(adapter(period_s=300.0), [answer])
    assert [one.device_time.minute for one in said if isinstance(one, Heard) and one.device_time] == [
        30 + index for index in range(len(layouts))
    ]
    assert refusals(said) == ()
    assert len(record.served) == len(layouts)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, {54: "NORMAL", 51: "NORMAL"}),
        ({122: "LOW"}, {54: "ALARM"}),
        ({122: "RESET", 125: "RESET"}, {54: "RESET", 95: "NORMAL"}),
        ({117: "RESET", 119: "HIGH", 106: "MEDIUM"}, {51: "ALARM", 57: "ALARM", 94: "ALARM"}),
        ({113: "HIGH", 143: "HIGH"}, dict.fromkeys((48, 51, 52, 53, 54, 55, 57, 94, 95), "NORMAL")),
    ],
)
def test_the_short_report_says_the_same_as_far_as_it_can(
    fields: dict[int, str], words: dict[int, str]
) -> None:
    short = report_of(shortened(report(fields)))
    assert {field: short.fields[field] for field in words} == words
    assert (short.fields[9], short.fields[34], short.fields[36]) == ("CMV", "14.0", "7.200")
    assert short.device_time == report_of(report()).device_time


def test_a_scripted_980_is_heard_as_one_and_leaves_its_malfunctions_blank() -> None:
    (one,) = fleet(1, seed=0, start=START, model="980")
    answer = one.answer(START + timedelta(hours=21)) or b""
    fields = report_of(answer).fields
    assert (fields[146], fields[153], fields[160], fields[145]) == ("", "", "NORMAL", "NORMAL")
    (heard,) = hear(adapter(period_s=300.0), [answer])
    assert isinstance(heard, Heard)
    assert heard.alias.namespace == "980"
    assert [edge[:2] for edge in edges([heard])] == [("122", "present")]


async def test_a_command_without_end_is_not_kept_for_ever() -> None:
    answer, _ = await served_to([b"x" * 200] * 50 + [b"\rSNDF\r"], source=Capture([report()]))
    assert answer == report()


async def test_bytes_take_the_time_of_the_line_on_the_clock_given() -> None:
    clock, writer = FakeClock(), FakeWriter()
    await talk(
        FakeReader([b"SNDF\r"]),
        writer,
        source=Capture([report()]),
        clock=clock,
        record=Record(),
        baud=9600,
    )
    assert sum(clock.slept) == pytest.approx(SNDF.size * 10 / 9600)
    assert b"".join(writer.pieces) == report()
    assert len(writer.pieces) > 5


async def test_a_ventilator_switched_off_serves_and_records_nothing() -> None:
    off = Ventilator(
        "1", Routine("r", days_share=0, first_hour=0, shortest_h=1, longest_h=1, off_when_unused=True)
    )
    answer, record = await served_to([b"SNDF\r"], source=off)
    assert (answer, record.served) == (b"", [])


async def test_the_record_tells_which_reports_were_followed_by_another_poll() -> None:
    capture = Capture([report()], advance_clock=True)
    log = io.StringIO()
    record = Record(log=log)
    for polls in (3, 1, 2):
        await talk(
            FakeReader([b"SNDF\r"] * polls),
            FakeWriter(),
            source=capture,
            clock=FakeClock(),
            record=record,
            port=4001,
        )
    assert record.served[0] == Served(4001, 1, "3510000001", "2024-01-09T07:30")
    assert [one.device_time[-2:] for one in record.served] == ["30", "31", "32", "33", "34", "35"]
    assert [one.device_time[-2:] for one in followed(record.served)] == ["30", "31", "34"]
    assert read_log(log.getvalue().splitlines()) == tuple(record.served)


async def read_exactly(link: Connection, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(10):
        while len(data) < count:
            data += await link.read()
    return data


@pytest.mark.system
async def test_a_served_ventilator_is_heard_over_a_socket_and_lets_its_host_go() -> None:
    record = Record()
    source = Capture([report()], advance_clock=True)
    async with serve(source, clock=FakeClock(), record=record) as port:
        for _ in range(2):
            link = await tcp("127.0.0.1", port, connect_timeout_s=5).connect()
            await link.write(b"RSET\rSNDF\r")
            assert len(await read_exactly(link, SNDF.size)) == SNDF.size
            await link.close()
        held = await tcp("127.0.0.1", port, connect_timeout_s=5).connect()
    await held.close()
    assert [(one.port, one.connection) for one in record.served] == [(port, 1), (port, 2)]


@pytest.mark.system
async def test_the_command_serves_several_logs_each_report_and_stops_on_sigterm(tmp_path: Path) -> None:
    capture, log = tmp_path / "capture.bin", tmp_path / "served.jsonl"
    capture.write_bytes(twin_of_capture())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "adapters.simulators.puritan_bennett", "--ventilators", "3"),
        *("--capture", str(capture), "--serial", "3510095001", "--advance-clock", "--log", str(log)),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ports = json.loads(await process.stdout.readline())["ports"]
        assert len(set(ports)) == 3
        for port in ports:
            link = await tcp("127.0.0.1", port, connect_timeout_s=5).connect()
            for _ in range(2):
                await link.write(b"SNDF\r")
                await read_exactly(link, SNDF.size)
            await link.close()
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            code = await process.wait()
    assert code == 0
    served = read_log(log.read_text().splitlines())
    assert [one.serial for one in served[::2]] == ["3510095001", "3510095002", "3510095003"]
    assert len(followed(served)) == 3


@pytest.mark.system
async def test_the_command_serves_at_pseudo_terminals_too() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "adapters.simulators.puritan_bennett", "--serial-port"),
        *("--ventilators", "2", "--model", "980", "--software", "snda-only"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            ports = json.loads(await process.stdout.readline())["ports"]
        assert len(set(ports)) == 2
        link = await serial(Path(ports[0]), SerialLine(9600)).connect()
        await link.write(b"RSET\rSNDF\rSNDA\r")
        answer = await read_exactly(link, SNDA.size)
        await link.close()
        assert report_of(answer).fields[6] == "980 3510090001"
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            code = await process.wait()
    assert code == 0


def test_the_identity_of_a_scripted_ventilator_is_its_serial() -> None:
    (heard,) = heard_over(Ventilator("3510090042", ALWAYS), START)
    assert isinstance(heard, Heard)
    assert [body.serial for body in heard.bodies if isinstance(body, Identity)] == ["3510090042"]
