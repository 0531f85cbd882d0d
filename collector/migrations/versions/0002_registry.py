"""The registry with history: assets as entries, meters written down at assets, what devices counted by day.

A device's hours were counted on from its last reading; they are counted from its first word on, and what it
stood at when that reading was made is kept as a pin.
"""

from __future__ import annotations

import json
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_HOUR_MS: Final = 3_600_000
_ATTRIBUTES: Final = ("label", "device_type", "manufacturer", "model", "ward")
_ALIAS: Final = ("protocol", "namespace", "identifier")
_Document = dict[str, Any]


def _words(length: int) -> sa.String:
    """As in the first ledger."""
    return sa.String(length).with_variant(sa.String(collation="C"), "postgresql")


def _name(column: str, length: int = 64) -> sa.Column[str]:
    return sa.Column(column, _words(length), nullable=False)


def _document() -> sa.Column[str]:
    return sa.Column("document", sa.Text, nullable=False)


def upgrade() -> None:
    """Make the new tables, and tell anew what the old documents say."""
    op.create_table(
        "asset_meters",
        _name("asset"),
        _name("meter", 32),
        _document(),
        sa.PrimaryKeyConstraint("asset", "meter"),
    )
    op.create_table("device_days", *map(_name, _ALIAS), _document(), sa.PrimaryKeyConstraint(*_ALIAS))
    op.create_table(
        "ports",
        _name("publisher"),
        _name("device"),
        *map(_name, _ALIAS),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("publisher", "device"),
    )
    connection = op.get_bind()
    _assets(connection)
    _devices(connection)


def _assets(connection: sa.Connection) -> None:
    assets = sa.table("assets", sa.column("id", sa.String), sa.column("document", sa.Text))
    inputs = sa.table("inputs", sa.column("at_ms", sa.BigInteger), sa.column("kind", sa.String))
    said = sa.select(sa.func.max(inputs.c.at_ms)).where(inputs.c.kind == "registry")
    at_ms = connection.execute(said).scalar() or 0
    for row in connection.execute(sa.select(assets)).all():
        told = json.dumps(_asset(json.loads(row.document), at_ms))
        connection.execute(assets.update().where(assets.c.id == row.id).values(document=told))


def _asset(old: _Document, at_ms: int) -> _Document:
    """An asset of the settings as entries that the settings said."""
    said = {"at_ms": at_ms, "by": "settings", "reason": "the settings file"}
    told = [name for name in _ATTRIBUTES if old.get(name)]
    return {
        "id": old["id"],
        "changes": [
            {
                "number": number,
                "attribute": name,
                "before": "",
                "value": old[name],
                "from_ms": at_ms,
                "said": said,
            }
            for number, name in enumerate(told, start=1)
        ],
        "spoken": [
            {
                "number": number,
                "what": "claimed",
                "alias": alias,
                "from_ms": None,
                "to_ms": None,
                "said": said,
            }
            for number, alias in enumerate(old.get("aliases", ()), start=1)
        ],
        "baselines": old.get("baselines", []),
        "settings": old,
    }


def _devices(connection: sa.Connection) -> None:
    devices = sa.table(
        "devices",
        *(sa.column(name, sa.String) for name in (*_ALIAS, "asset")),
        sa.column("document", sa.Text),
    )
    meters = sa.table(
        "asset_meters", *(sa.column(name, sa.String) for name in ("asset", "meter", "document"))
    )
    highest: dict[tuple[str, str], tuple[int, str]] = {}
    rows = connection.execute(sa.select(devices).order_by(*(devices.c[name] for name in _ALIAS))).all()
    told = [json.loads(row.document) for row in rows]
    speaking = _speaking(told)
    ports = sa.table(
        "ports",
        *(sa.column(name, sa.String) for name in ("publisher", "device", *_ALIAS)),
        sa.column("since_ms", sa.BigInteger),
    )
    for row, device in zip(rows, told, strict=True):
        for name, meter in device["derived"].items():
            low_ms = meter["counted_ms"] + meter["offset_ms"]
            if meter["adjustments"] and row.asset and low_ms > highest.get((row.asset, name), (-1, ""))[0]:
                highest[row.asset, name] = (low_ms, json.dumps(_written(meter)))
            device["derived"][name] = _derived(meter, device)
        for episode in device["episodes"].values():
            episode["counted_by"] = [f"{row.asset} {rule}" for rule in episode["counted_by"]]
        key = {name: getattr(row, name) for name in _ALIAS}
        if speaking.get((device["publisher"], device["name"]), {}) is device:
            at = {"publisher": device["publisher"], "device": device["name"], "since_ms": device["first_ms"]}
            connection.execute(ports.insert().values(**at, **key))
        else:
            device["displaced"] = device["alias"]["strength"] == "strong"
        of_device = sa.and_(*(devices.c[name] == key[name] for name in _ALIAS))
        connection.execute(devices.update().where(of_device).values(document=json.dumps(device)))
    for (asset, name), (_, document) in highest.items():
        connection.execute(meters.insert().values(asset=asset, meter=name, document=document))


def _speaking(devices: list[_Document]) -> dict[tuple[str, str], _Document]:
    """Of the devices with a serial number the one heard last at each topic."""
    found: dict[tuple[str, str], _Document] = {}
    for device in devices:
        port = (device["publisher"], device["name"])
        if device["alias"]["strength"] == "strong" and (
            port not in found or device["heard_ms"] > found[port]["heard_ms"]
        ):
            found[port] = device
    return found


def _written(meter: _Document) -> _Document:
    """The last reading of a meter, as the asset's."""
    last = meter["adjustments"][-1]
    return {
        "reading_ms": round(last["now_h"] * _HOUR_MS),
        "since_ms": last["at_ms"],
        "adjustments": meter["adjustments"],
    }


def _derived(meter: _Document, device: _Document) -> _Document:
    """A device's meter, counted from its first word on."""
    last_ms = device["last"][0] if device["last"] else device["heard_ms"]
    told = {
        "since_ms": meter["since_ms"],
        "last_ms": max(last_ms, meter["since_ms"]),
        "counted_ms": meter["counted_ms"],
        "known_ms": meter["known_ms"],
        "unknown_ms": meter["unknown_ms"],
    }
    if not meter["adjustments"]:
        return told
    since_ms = meter["since_ms"]
    stood_ms = round(meter["adjustments"][-1]["now_h"] * _HOUR_MS) - meter["offset_ms"]
    at_reading = [stood_ms, stood_ms, 0]
    is_come = last_ms >= since_ms > device["first_ms"]
    return told | {
        "since_ms": min(device["first_ms"], since_ms),
        "last_ms": last_ms,
        "known_ms": meter["known_ms"] + stood_ms,
        "pins": {str(since_ms): at_reading} if is_come else {},
        "awaited": [] if last_ms >= since_ms else [since_ms],
    }
