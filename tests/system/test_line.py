"""The main job: bytes of a ventilator in, points in InfluxDB and an explained ticket out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from adapters.simulators.pb_ventilator import reports_of
from adapters.simulators.puritan_bennett import serve
from adapters.simulators.served import Record
from desk.broker import Broker
from desk.clock import system_clock
from tests.adapters.ventilators import CAPTURE, twin_of_capture
from tests.system.servers import Influx
from tests.system.stand import Stand, until

SERIAL = "3510072467"
FRAMES = 33


class _Once:
    """A ventilator that answers with each report of a capture once, and is then switched off."""

    def __init__(self, reports: tuple[bytes, ...]) -> None:
        self._left = list(reports)

    def answer(self, now: datetime) -> bytes | None:  # noqa: ARG002 - a capture has its own time
        return self._left.pop(0) if self._left else None


@pytest.fixture
async def stand(tmp_path: Path, mosquitto: Broker, influx: Influx) -> AsyncIterator[Stand]:
    stand = Stand(tmp_path, mosquitto, influx, assets=[SERIAL])
    try:
        yield stand
    finally:
        await stand.end()


@pytest.mark.system
@pytest.mark.parametrize("source", ["recorded", "self-made"])
async def test_a_capture_becomes_points_and_one_explained_ticket(
    stand: Stand, influx: Influx, source: str
) -> None:
    if source == "recorded" and not CAPTURE.exists():
        pytest.skip("the shared samples are not here; the self-made capture proves the same")
    reports = reports_of(CAPTURE.read_bytes() if source == "recorded" else twin_of_capture())
    assert len(reports) == FRAMES
    record = Record()
    async with serve(_Once(reports), clock=system_clock(), record=record) as port:
        stand.write_host([port], poll_s=0.05)
        collector, host = stand.part("run", "collector.toml"), stand.part("adapt", "host.toml")
        await collector.start()
        await stand.collecting()
        await host.start()

        async def all_stored() -> bool:
            return await stand.usage("stored") == FRAMES

        await until(all_stored, within_s=60, what="33 usage messages stored")
        assert await host.stop() == 0
    assert len(record.served) == FRAMES

    async def all_concluded() -> bool:
        accounting = await stand.accounting()
        return not accounting.is_pending and accounting.kinds["status"].stored == 4

    await until(all_concluded, within_s=30, what="everything concluded")
    accounting = await stand.read("accounting")
    for kind, line in accounting["kinds"].items():
        (row,) = await influx.query(f'SELECT count(corrected) FROM "{kind}"') or ({"count": 0},)  # noqa: S608 - names of ours
        assert row["count"] == line["stored"] == line["received"], kind
    assert {kind: line["stored"] for kind, line in accounting["kinds"].items()} == {
        "usage": FRAMES,
        "identity": 1,
        "metrics": 1,
        "alarm": 1,
        "status": 4,
    }
    assert (accounting["unaccounted"], accounting["missing"], accounting["lost"]) == (0, 0, 0)
    (alarm,) = await influx.query('SELECT * FROM "alarm"')
    assert (alarm["code"], alarm["phase"], alarm["priority"]) == ("122", "present", "low")
    (identity,) = await influx.query('SELECT * FROM "identity"')
    assert identity["serial"] == SERIAL
    states = await influx.query('SELECT distinct(state) FROM "usage"')
    assert [row["distinct"] for row in states] == ["in_use"]
    (ticket,) = await stand.read("tickets", "list")
    assert (ticket["asset"], ticket["rule"], ticket["occurrences"]) == ("HN01-0001", "demo-o2-supply-low", 1)
    code, told, _ = await stand.tell("tickets", "show", ticket["id"])
    assert code == 0
    for word in ("122", "demo-o2-supply-low", "HN01-0001"):
        assert word in told
    closed, said, _ = await stand.tell(
        "tickets", "close", ticket["id"], "--by", "An", "--note", "hose changed"
    )
    assert (closed, said.strip()) == (0, f"{ticket['id']}: done")
    assert await stand.read("tickets", "list") == []
    again, _, complaint = await stand.tell("tickets", "close", ticket["id"], "--by", "An")
    assert again == 1
    assert "is not an open ticket" in complaint
    (asset,) = (await stand.read("devices"))["assets"]
    assert (asset["link"], asset["operating"]) == ("offline", "unknown")
    assert await collector.stop() == 0
