"""Whether the device that speaks is the one that spoke there before: asked of a person, never merged unseen.

Rule 1: a topic that spoke under one strong alias and speaks under another raises one ticket. A gateway names
its topics by the devices' own aliases, so those behind it raise none; nor do the places of a rack, nor two
aliases of one asset, nor a device that was heard at another port before, where both are assets: pumps change
places and ventilators beds, and each keeps its hours. Nor does what speaks in the place of a retired asset.
Rule 2: a weak alias under which another serial or model is told, or that comes from another topic, is doubted
from then on: its hours are provisional until someone confirms device and port.
Rule 3: what comes late is not judged; and where neither device is any asset's, nobody is asked.
"""

from __future__ import annotations

from typing import Final

from rules.attributes import ENDED
from rules.book import Work, own_origin
from rules.fleet import Fleet
from rules.inputs import AliasKey, alias_key
from rules.registry import PORT_NAMESPACE
from rules.state import Device, Port, PortName
from rules.tickets import IdentityEvidence
from rules.words import TicketKind, TicketPriority, TicketState
from telemetry.messages import Alias, Identity

ORIGIN: Final = "identity-change"


def hear_at_port(fleet: Fleet, name: PortName, key: AliasKey, device: Device, *, event_ms: int) -> None:
    """A strong alias speaks at a topic where another one did, or none."""
    port = fleet.state.ports.get(name)
    if port is None or port.key == key:
        device.displaced = False
        if port is None:
            fleet.set_port(name, Port(key, event_ms))
        return
    before = fleet.state.devices[port.key]
    device.displaced = event_ms < before.heard_ms
    if device.displaced:
        return
    fleet.set_port(name, Port(key, event_ms))
    before.displaced = True
    fleet.touch(port.key)
    was = fleet.directory.asset_of(port.key, before.heard_ms)
    now = fleet.directory.asset_of(key, event_ms)
    has_moved = (device.publisher, device.name) != name
    if was is not None and (was == now or (has_moved and now is not None) or _is_retired(fleet, was)):
        return
    if _is_place_of_rack(fleet, name, key):
        return
    _ask(
        fleet,
        "/".join(name),
        was or now,
        before=_named(port.key),
        after=_named(key),
        before_ms=before.heard_ms,
        since_ms=event_ms,
        provisional=False,
    )


def _is_retired(fleet: Fleet, asset: str) -> bool:
    return fleet.state.assets[asset].life_cycle in ENDED


def _is_place_of_rack(fleet: Fleet, name: PortName, key: AliasKey) -> bool:
    """Whether the topic is that of a unit: its name begins with that of a link of the same protocol.

    Not so where its host has named the topic itself as a port before anyone spoke there: that is a link too.
    """
    publisher, device = name
    own = fleet.state.devices.get((key[0], PORT_NAMESPACE, f"{publisher}/{device}"))
    if own is not None and not own.has_spoken:
        return False
    parts = device.split("-")
    links = ("-".join(parts[:length]) for length in range(1, len(parts)))
    return any((key[0], PORT_NAMESPACE, f"{publisher}/{link}") in fleet.state.devices for link in links)


def hear_identity(fleet: Fleet, key: AliasKey, device: Device, said: Identity, *, event_ms: int) -> None:
    """A device under a weak alias says who it is."""
    was, told = (device.model, device.serial), (said.model, said.serial)
    if any(old and new and old != new for old, new in zip(was, told, strict=True)):
        _doubt(fleet, key, device, before=_plate(*was), after=_plate(*told), event_ms=event_ms)


def hear_elsewhere(fleet: Fleet, key: AliasKey, device: Device, name: PortName, *, event_ms: int) -> None:
    """A weak alias speaks at another topic than before."""
    before = f"{device.publisher}/{device.name}"
    _doubt(fleet, key, device, before=before, after="/".join(name), event_ms=event_ms)


def _doubt(fleet: Fleet, key: AliasKey, device: Device, *, before: str, after: str, event_ms: int) -> None:
    device.doubted_ms = event_ms
    device.put_aside(tuple(device.reported))
    _ask(
        fleet,
        _named(key),
        fleet.directory.asset_of(key, event_ms),
        before=before,
        after=after,
        before_ms=device.heard_ms,
        since_ms=event_ms,
        provisional=True,
    )


def settle_identity(fleet: Fleet, alias: Alias, *, at_ms: int, who: str) -> None:
    """Someone has said whose this alias is: what was asked of it is answered."""
    ticket = fleet.book.open_for(_cause(_named(alias_key(alias))))
    if ticket is not None:
        fleet.book.end(ticket, TicketState.CLOSED, at_ms=at_ms, who=who, note="answered at the desk")


def _ask(
    fleet: Fleet,
    where: str,
    asset: str | None,
    *,
    before: str,
    after: str,
    before_ms: int,
    since_ms: int,
    provisional: bool,
) -> None:
    if asset is None:
        return
    fleet.book.want(
        Work(
            cause=_cause(where),
            kind=TicketKind.DATA,
            priority=TicketPriority.P3,
            asset=asset,
            origin=own_origin(ORIGIN),
            title="Another device speaks at this port",
            action="See which device hangs there, and say at the desk whose it is and since when.",
            evidence=(
                IdentityEvidence(
                    where=where,
                    before=before,
                    after=after,
                    before_ms=before_ms,
                    since_ms=since_ms,
                    provisional=provisional,
                ),
            ),
            at_ms=since_ms,
        )
    )


def _cause(where: str) -> str:
    return f"identity:{where}"[:256]


def _named(key: AliasKey) -> str:
    return " ".join(filter(None, key))


def _plate(model: str, serial: str) -> str:
    return f"{model or 'unknown model'}, serial {serial or 'unknown'}"
