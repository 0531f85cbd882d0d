"""The registry over a real broker: devices speak unclaimed, people import, claim, correct and retire.

What people type runs as the command line does; the site runs in this process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from typer.testing import CliRunner

from desk import cli, reading
from desk.broker import Broker
from desk.child import LOOPBACK
from desk.settings import Settings
from rules.overview import FleetRow, UnclaimedRow
from rules.tickets import Ticket
from telemetry.errors import HourmeterError
from telemetry.messages import MeterName
from tests.system.in_process import InProcess, in_process
from tests.system.servers import password
from tests.system.stand import DEMO_RULES, HOURMETER, PUBLISHER, Part, until

pytestmark = pytest.mark.system

STEP = timedelta(minutes=10)
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
"""Six hours ago: what devices say of the time since is taken as it is."""
VENT = {"protocol": "puritan-bennett", "namespace": "840", "identifier": "3510072467"}
OTHER = VENT | {"identifier": "3510072468"}
PUMP = {"protocol": "bbraun-bcc", "namespace": "6144", "identifier": "51559"}
SAME_PUMP = PUMP | {"identifier": "I51559"}
PORT = {"protocol": "medibus", "namespace": "port", "identifier": "evita-1", "strength": "weak"}
REFUSED = "2 rows with 3 faults, so nothing was entered; mend all of them and import the file again"
INVENTORY = """\
Mã thiết bị;Tên thiết bị;Hãng sản xuất;Model;Khoa/Phòng;Nguồn vốn;Protocol;Namespace;Identifier
HN01-0001;Máy thở;Puritan Bennett;840;Hồi sức;Viện trợ;;;
HN01-0002;Bơm tiêm điện;B. Braun;Perfusor Space;Hồi sức;Ngân sách;bbraun-bcc;6144;51559;I51559
HN01-0003;Máy thở;Dräger;Evita V300;Cấp cứu;Ngân sách;;;
HN01-0004;Máy hút dịch;Yuwell;7A-23D;Cấp cứu;Ngân sách;;;
"""


class Desk:
    """A site at work, its devices, and a person at its terminal."""

    def __init__(self, site: InProcess, client: aiomqtt.Client) -> None:
        self.site = site
        self._client = client
        self._sent = 0

    async def says(self, device: str, alias: dict[str, str], *, begin: int, end: int) -> None:
        """A device is in use from one step to another, and tells it every ten minutes."""
        for step in range(begin, end + 1):
            body = {"kind": "usage", "state": "in_use", "period_s": STEP.total_seconds(), "meters": []}
            told = {"alias": alias, "observed_at": (BEGAN + step * STEP).isoformat(), "body": body}
            await self._client.publish(f"hourmeter/1/{PUBLISHER}/{device}/usage", json.dumps(told), qos=1)
            self._sent += 1

    async def concluded(self) -> None:
        """Wait until the rules have heard all of it."""

        async def is_so() -> bool:
            self.site.check()
            if not self.settings.ledger.file.exists():
                return False
            rules = (await reading.accounting(self.settings)).rules
            return rules is not None and rules.concluded >= self._sent

        await until(is_so, within_s=20, what=f"{self._sent} messages concluded")

    async def types(self, *arguments: str) -> str:
        """What a command of `assets` says. Raises what it fails with."""
        settings = str(self.site.folder / "collector.toml")
        line = ["assets", *arguments, "--settings", settings]
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, line)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    @property
    def settings(self) -> Settings:
        """The site's settings."""
        return self.site.load("collector.toml")

    async def fleet(self) -> tuple[FleetRow, ...]:
        """All assets as they stand."""
        return (await reading.devices(self.settings))[0]

    async def asset(self, number: str) -> FleetRow:
        """One asset as it stands."""
        return next(row for row in await self.fleet() if row.asset == number)

    async def unclaimed(self) -> tuple[UnclaimedRow, ...]:
        """What nobody has claimed."""
        return (await reading.devices(self.settings))[1]

    async def tickets(self) -> tuple[Ticket, ...]:
        """The open tickets."""
        return await reading.tickets(self.settings, closed_too=False)


def hours(row: FleetRow | UnclaimedRow) -> float:
    """Its hours of ventilation, or of running."""
    (meter,) = [meter for meter in row.meters if meter.name is MeterName.VENTILATION_H]
    return round(meter.low_h, 2)


@pytest.fixture
async def desk(tmp_path: Path, mosquitto: Broker, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Desk]:
    """A site without any asset, its collector and rules at work."""
    caplog.set_level("INFO")
    rule = (DEMO_RULES / "demo-service-250h.yaml").read_text()
    async with in_process(tmp_path, mosquitto, devices="", assets="", rules=rule) as site:
        client = aiomqtt.Client(LOOPBACK, mosquitto.port, username=PUBLISHER, password=password(PUBLISHER))

        async def is_connected() -> bool:
            site.check()
            return "broker: connected" in caplog.text

        await until(is_connected, within_s=20, what="the collector's session")
        async with client:
            yield Desk(site, client)


async def test_devices_that_nobody_knows_are_imported_and_claimed_with_all_they_said(desk: Desk) -> None:
    await desk.says("vent-1", VENT, begin=0, end=12)
    await desk.says("pump-1", PUMP, begin=0, end=6)
    await desk.says("pump-1b", SAME_PUMP, begin=12, end=18)
    await desk.concluded()
    assert {row.alias[2]: hours(row) for row in await desk.unclaimed()} == {
        "3510072467": 2,
        "51559": 1,
        "I51559": 1,
    }
    sheet = desk.site.folder / "kiem-ke.csv"
    sheet.write_text(INVENTORY.replace("51559;I51559", '"51559;I51559"'))
    assert "4 new, 0 changed, 0 same; a dry run" in await desk.types("import", str(sheet), "--dry-run")
    assert await desk.fleet() == ()
    told = await desk.types("import", str(sheet), "--by", "Lan")
    assert "4 new, 0 changed, 0 same; entered" in told
    (review,) = await desk.tickets()
    assert review.id in told
    assert (review.asset, review.cause.partition(":")[0]) == ("", "baseline_review")
    assert "4 same; there is nothing to enter" in await desk.types("import", str(sheet))

    assert hours(await desk.asset("HN01-0002")) == 2, "one pump under two names"
    (left,) = await desk.unclaimed()
    command = (await desk.types("list", "--unclaimed")).splitlines()[-1]
    assert command == "hourmeter assets claim ASSET puritan-bennett 840 3510072467"
    assert left.first_ms == int(BEGAN.timestamp() * 1000)
    await desk.types("claim", "HN01-0001", *command.split()[4:], "--by", "Lan")
    assert hours(await desk.asset("HN01-0001")) == 2, "back to its first message"
    assert await desk.unclaimed() == ()

    shown = json.loads(await desk.types("show", "HN01-0001", "--json"))
    assert [(one["identifier"], one["from"], one["to"]) for one in shown["aliases"]] == [
        ("3510072467", None, None)
    ]
    for number in ("HN01-0001", "HN01-0003"):
        reading = ("--meter", "ventilation_h", "--reading", "8000", "--last-done", "7900")
        await desk.types("amend", number, *reading, "--by", "Lan", "--reason", "read at the device")
    assert await desk.tickets() == (), "the review has ended: every reading is there"


async def test_a_port_is_claimed_since_a_day_and_provisional_until_somebody_looked(desk: Desk) -> None:
    await desk.says("evita-1", PORT, begin=0, end=24)
    await desk.concluded()
    sheet = desk.site.folder / "two.csv"
    sheet.write_text("id,ward,type,funding\nHN01-0003,ICU,ventilator,budget\nHN01-0009,ICU,suction,budget\n")
    await desk.types("import", str(sheet), "--by", "Lan")
    with pytest.raises(HourmeterError, match="is a port or a bed and no serial number: say since when"):
        await desk.types("claim", "HN01-0003", "medibus", "port", "evita-1")
    since = (BEGAN + 12 * STEP).isoformat()
    await desk.types("claim", "HN01-0003", "medibus", "port", "evita-1", "--from", since, "--by", "Lan")
    asset = await desk.asset("HN01-0003")
    assert (hours(asset), asset.provisional) == (2, True)
    assert await desk.unclaimed() == ()
    await desk.types("confirm", "HN01-0003", "medibus", "port", "evita-1", "--by", "Lan")
    assert not (await desk.asset("HN01-0003")).provisional
    with pytest.raises(HourmeterError, match="belongs to HN01-0003"):
        await desk.types("claim", "HN01-0009", "medibus", "port", "evita-1", "--from", since)

    await desk.types("move", "HN01-0003", "Cấp cứu", "--reason", "điều chuyển 12/2026", "--by", "Lan")
    assert (await desk.asset("HN01-0003")).ward == "Cấp cứu"
    assert "ward: ICU → Cấp cứu\tLan" in await desk.types("show", "HN01-0003")


async def test_another_device_behind_a_link_asks_somebody_and_a_retired_one_asks_no_more(desk: Desk) -> None:
    sheet = desk.site.folder / "one.csv"
    sheet.write_text(
        "id,type,protocol,namespace,identifier,meter,reading,last done\n"
        "HN01-0001,ventilator,puritan-bennett,840,3510072467,ventilation_h,8000,7700\n"
    )
    await desk.says("vent-1", VENT, begin=0, end=3)
    await desk.concluded()
    await desk.types("import", str(sheet), "--by", "Lan")
    await desk.says("vent-1", OTHER, begin=4, end=6)
    await desk.concluded()

    async def is_asked() -> bool:
        return any(ticket.cause.startswith("identity:") for ticket in await desk.tickets())

    await until(is_asked, within_s=20, what="the ticket about another identity")
    assert [row.alias[2] for row in await desk.unclaimed()] == ["3510072468"]
    await desk.types("retire", "HN01-0001", "thanh lý", "--reason", "decision 12/2026", "--by", "Lan")
    assert not [ticket for ticket in await desk.tickets() if ticket.asset == "HN01-0001"]
    assert {row.alias[2] for row in await desk.unclaimed()} >= {"3510072468"}
    with pytest.raises(HourmeterError, match="HN01-0001 is disposed already"):
        await desk.types("retire", "HN01-0001", "lost", "--reason", "again")


async def test_bad_rows_are_all_named_by_the_command_and_nothing_is_entered(tmp_path: Path) -> None:
    (tmp_path / "hourmeter.toml").write_text("")
    (tmp_path / "fleet.csv").write_text(
        "Mã thiết bị;Khoa;Tình trạng;Hết bảo hành\nHN01 1;ICU;đang bay;\nHN01-2;ICU;tốt;31/02/2027\n"
    )
    part = Part(
        (HOURMETER, "assets", "import", "fleet.csv", "--by", "Lan"),
        {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONUTF8": "1"},
        tmp_path / "import.log",
    )
    await part.start()
    assert await part.ended() == 2
    told = [line.split("\t")[:3] for line in part.said().splitlines()]
    assert sorted(told) == sorted(
        [
            ["row", "column", "found"],
            ["2", "Mã thiết bị", "'HN01 1'"],
            ["2", "Tình trạng", "'đang bay'"],
            ["3", "Hết bảo hành", "31/02/2027: there is no day 31 of month 2"],
            [f"hourmeter: fleet.csv: {REFUSED}"],
        ]
    )
