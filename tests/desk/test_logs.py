"""Log lines: one an event, for people and for machines, whoever says it; nothing that a message carries."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.inbound import Received
from desk import reading
from desk.bus import Bus
from desk.clock import system_clock
from desk.compose import Part, Site, run
from desk.logs import formatter, log_to_stderr
from desk.settings import Log, Settings
from telemetry.times import iso
from tests.collector.journals import usage


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root of all loggers, given back as it was."""
    logger = logging.getLogger()
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


def said(
    log: Log, *, terminal: bool = False, name: str = "collector.keep"
) -> tuple[logging.Logger, io.StringIO]:
    """A logger of its own, and where its lines go."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(log, terminal=terminal))
    logger = logging.Logger(name, logging.DEBUG)  # noqa: LOG001 - it shares nothing with other tests
    logger.addHandler(handler)
    return logger, stream


def test_a_plain_line_is_level_and_sentence_with_what_was_said_beside_it() -> None:
    logger, stream = said(Log())
    logger.warning("broker: %s; trying again", "refused", extra={"attempt": 3})
    assert stream.getvalue() == "WARNING broker: refused; trying again attempt=3\n"


def test_an_event_is_one_line_whatever_stands_in_it() -> None:
    for terminal in (False, True):
        logger, stream = said(Log(), terminal=terminal)
        logger.error("topic %s refused", "a\nERROR forged\r\x1b[2Kb Máy thở")
        assert len(stream.getvalue().splitlines()) == 1
        assert r"a\nERROR forged\r\x1b[2Kb Máy thở" in stream.getvalue()


def test_a_terminal_gets_colours_and_the_time() -> None:
    logger, stream = said(Log(), terminal=True)
    logger.warning("broker: %s", "connected", extra={"attempt": 3})
    assert "\x1b[" in stream.getvalue()
    assert "broker: connected" in stream.getvalue()


def test_json_names_the_event_by_what_the_code_says() -> None:
    logger, stream = said(Log(format="json"))
    logger.error("%d dead letters; the first: %s", 3, "Máy thở\n", extra={"kind": "usage"})
    logger.info("broker: connected")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("at").endswith("Z")
    assert first == {
        "event": "%d dead letters; the first: %s",
        "message": "3 dead letters; the first: Máy thở\n",
        "level": "error",
        "logger": "collector.keep",
        "kind": "usage",
    }
    assert second["event"] == second["message"] == "broker: connected"


@pytest.mark.parametrize("log", [Log(), Log(format="json")])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_traceback_comes_without_the_values_of_variables(log: Log, *, terminal: bool) -> None:
    logger, stream = said(log, terminal=terminal)
    values = {"key": f"the {len(stream.getvalue())}th value"}
    try:
        del values["another"]
    except KeyError:
        logger.exception("fault of ours")
    assert "KeyError" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "the 0th value" not in stream.getvalue()


@pytest.mark.parametrize(
    ("log", "verbose", "least"),
    [
        (Log(), False, logging.WARNING),
        (Log(), True, logging.INFO),
        (Log(level="error"), False, logging.ERROR),
        (Log(level="error"), True, logging.INFO),
        (Log(level="debug"), False, logging.DEBUG),
        (Log(level="debug"), True, logging.DEBUG),
    ],
)
def test_verbose_says_at_least_info_and_debug_is_a_setting(
    root: logging.Logger, log: Log, *, verbose: bool, least: int
) -> None:
    log_to_stderr(log, verbose=verbose)
    assert root.level == least


# -- what messages carry ------------------------------------------------------------------------------------

CANARY = "CANARY"


def _topic(kind: str, device: str = "vent1") -> str:
    return f"hourmeter/1/hn01-a/{device}/{kind}"


def _received(kind: str, payload: bytes, *, seq: int | None = None) -> Received:
    properties = () if seq is None else usage(seq).properties
    return Received(_topic(kind), payload, properties, retain=False, token=None)


def _hostile() -> tuple[Received, ...]:
    """Messages that carry the canary wherever a payload can carry something: good ones and bad ones."""
    alarm = {
        "kind": "alarm",
        "key": CANARY,
        "code": CANARY,
        "text": CANARY,
        "alarm_kind": "technical",
        "priority": "high",
        "phase": "start",
        "condition": "active",
        "raw": CANARY,
    }
    alias = {"protocol": "puritan-bennett", "namespace": CANARY, "identifier": CANARY}

    def message(body: dict[str, Any], **more: object) -> bytes:
        return json.dumps({"v": 1, "alias": alias, "body": body, **more}).encode()

    good = message(alarm, observed_at=iso(system_clock().now_ms()))
    return (
        _received("alarm", good, seq=1),
        _received("alarm", good.replace(b"technical", b"advisory"), seq=1),  # another one under its number
        _received("alarm", message(alarm, observed_at="2999-01-01T00:00:00Z"), seq=2),  # far ahead
        _received("alarm", good),
        _received("alarm", message({**alarm, "priority": CANARY}), seq=3),
        _received("alarm", message({**alarm, CANARY: 1}), seq=4),  # a field of the sender's own
        _received("alarm", message({"kind": CANARY}), seq=5),
        _received("usage", good, seq=6),  # a body of another kind
        _received("alarm", f"{CANARY} is no JSON".encode(), seq=7),
        _received("alarm", CANARY.encode() + b"\xff", seq=8),
        _received("alarm", b'{"' + CANARY.encode() * 20_000 + b'"}', seq=9),  # too long
        _received("waveform", CANARY.encode(), seq=10),  # no kind of ours
        _received("sync", CANARY.encode()),
    )


async def _carried(settings: Settings, received: int) -> bool:
    """Whether so many messages have come in and all of them have gone on."""
    if not (settings.journal.folder / "journal.db").exists():
        return False
    total = (await reading.accounting(settings)).total
    return total.received >= received and not total.pending


@pytest.mark.usefixtures("root")
async def test_nothing_that_a_message_carries_is_ever_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each message goes through the whole line alone, so that it is the one that is spoken of."""
    settings = Settings.model_validate(
        {
            "journal": {"folder": tmp_path / "journal", "disk_reserve_mib": 0},
            "history": {"file": tmp_path / "history.db"},
            "ledger": {"file": tmp_path / "ledger.db"},
            "log": {"level": "info"},
        }
    )
    log_to_stderr(settings.log)
    bus = Bus()
    site = Site(settings, system_clock(), bus)
    running = asyncio.ensure_future(run(site, frozenset({Part.COLLECT, Part.CONCLUDE})))
    try:
        async with asyncio.timeout(60):
            for number, received in enumerate(_hostile(), 1):
                await bus.send(received)
                while not running.done() and not await _carried(settings, number):
                    await asyncio.sleep(0.02)
    finally:
        site.stopping.set()
        await running
    lines = capsys.readouterr().err
    assert lines.count("1 dead letters") >= 8, "the line was really run"
    assert lines.count("1 quarantined") == 2
    assert CANARY not in lines
