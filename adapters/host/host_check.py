"""What is wrong with the settings of a host, said before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.contract import ProtocolFile
from adapters.host.host_settings import DeviceSettings, HostSettings
from adapters.host.units import LONGEST_NAME, LONGEST_PORT, LONGEST_UNIT
from telemetry import topics
from telemetry.errors import SettingsError


def check(settings: HostSettings, protocols: Mapping[str, ProtocolFile]) -> None:
    """Raises SettingsError for the first thing that is wrong."""
    if not topics.is_name(settings.publisher):
        _refuse("publisher", repr(settings.publisher), "must be 1 to 64 of A-Z a-z 0-9 _ -")
    for device in settings.devices:
        _check_device(device, protocols)
        most = LONGEST_PORT - 1 - (LONGEST_UNIT + 1 if protocols[device.protocol].info.units else 0)
        if (found := len(settings.publisher) + len(device.name)) > most:
            _refuse(
                f"device {device.name!r}",
                f"its name and the publisher's have {found} characters",
                f"must be {most} together at most",
            )
    _check_names(settings, protocols)


def _check_device(device: DeviceSettings, protocols: Mapping[str, ProtocolFile]) -> None:
    where = f"device {device.name!r}"
    if not topics.is_name(device.name) or device.name.startswith("_"):
        _refuse(where, "is no name for a topic", "must be 1 to 64 of A-Z a-z 0-9 _ -, not beginning with _")
    if device.protocol not in protocols:
        _refuse(where, f"protocol {device.protocol!r} is not known", f"use one of: {', '.join(protocols)}")
    if device.poll_s is not None and device.poll_s <= 0:
        _refuse(where, f"poll_s is {device.poll_s:g}", "must be more than 0 seconds")


def _check_names(settings: HostSettings, protocols: Mapping[str, ProtocolFile]) -> None:
    """Every name is given once; those that begin the names of other devices begin no name that is given."""
    names = [device.name for device in settings.devices]
    for name in names:
        if names.count(name) > 1:
            _refuse(f"device {name!r}", "is named twice", "must be a name of its own for every device")
    begin = dict(_beginnings(settings, protocols))
    given = [*names, *(one.name for one in settings.gateways)]
    for where, name in begin.items():
        if not topics.is_name(name) or name.startswith("_") or len(name) > LONGEST_NAME:
            what = "a gateway" if where.startswith("gateway") else "a link with several devices"
            expected = f"must be 1 to {LONGEST_NAME} of A-Z a-z 0-9 _ -, not beginning with _"
            _refuse(where, f"is no name for {what}", expected)
        others = list(given)
        others.remove(name)
        if taken := next((other for other in others if f"{other}-".startswith(f"{name}-")), ""):
            _refuse(where, f"begins the name {taken!r}", "must be a name that begins no other on this host")


def _beginnings(settings: HostSettings, protocols: Mapping[str, ProtocolFile]) -> Iterator[tuple[str, str]]:
    """What names the devices behind it with its own name first, and that name."""
    for gateway in settings.gateways:
        yield f"gateway {gateway.name!r}", gateway.name
    for device in settings.devices:
        if protocols[device.protocol].info.units:
            yield f"device {device.name!r}", device.name


def _refuse(where: str, found: str, expected: str) -> None:
    raise SettingsError(where=where, found=found, expected=expected)
