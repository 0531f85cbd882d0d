"""From the settings of a device to what the adapter host knows of it: protocol, the way there, options.

Rule: whatever does not fit the protocol is said with the device's name and with what would fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Final, NoReturn

from pydantic import ValidationError

from adapters.contract import Options, ProtocolFile, ProtocolInfo, Way
from adapters.host.host import DeviceSettings, Listen, Port, Replay, SerialPort, Tcp, Udp
from adapters.host.sdc_link import SdcPeer
from adapters.host.ways import Reached
from desk.settings import Device
from telemetry.errors import SettingsError

_BY_NETWORK: Final = (Way.TCP, Way.UDP, Way.LISTEN)


def device_of(device: Device, protocols: Mapping[str, ProtocolFile]) -> DeviceSettings:
    """The device as the adapter host knows it. Raises SettingsError."""
    if (protocol := protocols.get(device.protocol)) is None:
        _refuse(
            device,
            f"protocol {device.protocol!r} is not known",
            f"one of: {', '.join(protocols)}",
            key="protocol",
        )
    options = _options(device, protocol)
    fitting = options or (protocol.options() if protocol.options else None)
    return DeviceSettings(
        device.name,
        device.protocol,
        reached(device, protocol.info, only=fitting.way if fitting else None),
        device.poll_s,
        options=options,
    )


def reached(device: Device, info: ProtocolInfo, *, only: Way | None = None) -> Reached:
    """The one way to the device that is given. Raises SettingsError for none, several, or half of one,

    for one that the protocol does not know, and for a port of one reader that nobody has confirmed.
    `only`: the network way that fits the options.
    """
    if info.ways == (Way.GATEWAY,):
        _refuse(
            device,
            f"protocol {info.id!r} comes from gateways that connect to this machine",
            f'a [[gateway]] with name = "{device.name}" and port, instead of this [[device]]',
        )
    line = (device.baud_rate, device.data_bits, device.parity, device.stop_bits)
    _check_one_way(device, sets_line=line != (None, None, None, None))
    if device.replay is not None:
        return Replay(device.replay)
    if info.one_client and not device.sole_reader_confirmed_by.strip():
        _refuse(
            device,
            f"{info.title} serves one reader only, and nobody has confirmed that no other system reads it",
            'sole_reader_confirmed_by = "NAME" of the person who made sure',
        )
    if device.serial is not None:
        if Way.SERIAL not in info.ways or info.line is None:
            _refuse(
                device, f"protocol {info.id!r} is not spoken over a serial port", _known(info), key="serial"
            )
        return SerialPort(device.serial, *line)
    if device.endpoint or Way.SDC in info.ways:
        return _sdc(device, info)
    return _by_network(device, info, only=only)


def _sdc(device: Device, info: ProtocolInfo) -> SdcPeer:
    if Way.SDC not in info.ways:
        found = f"protocol {info.id!r} is not spoken to an SDC endpoint"
        _refuse(device, found, _known(info), key="endpoint")
    if not device.endpoint.startswith(("urn:", "https://", "http://")):
        _refuse(
            device,
            f"is not reached: {device.endpoint!r} is no endpoint of SDC",
            'endpoint = "urn:uuid:..." of the device, or its address "https://..."',
        )
    return SdcPeer(
        device.endpoint,
        our_address=_our_address(device),
        certificate=device.cert_file,
        key=device.key_file,
        authority=device.ca_file,
        is_plain=device.plain,
    )


def _check_one_way(device: Device, *, sets_line: bool) -> None:
    ways = {
        "host": bool(device.host or device.port),
        "serial": device.serial,
        "endpoint": device.endpoint,
        "replay": device.replay,
    }
    given = [name for name, value in ways.items() if value]
    if len(given) > 1:
        _refuse(device, f"has {' and '.join(given)}", "one of host with port, serial, endpoint, replay")
    if sets_line and device.serial is None:
        _refuse(
            device,
            "sets a serial port but names none",
            'serial = "/dev/ttyUSB0", or no baud_rate, data_bits, parity and stop_bits',
        )


def _by_network(device: Device, info: ProtocolInfo, *, only: Way | None) -> Reached:
    way = _way(device, info, only=only)
    port = device.port or (info.usual_port if way is info.ways[0] or len(_networked(info)) == 1 else None)
    if not (device.host and port):
        _refuse(
            device,
            "is not reached: no host with port, serial or replay",
            "host and port of the device or its serial-device server, serial port, or replay of a capture",
        )
    if way is not Way.LISTEN and device.group:
        _refuse(device, "joins a group but is not listened for", 'transport = "listen", or no group')
    match way:
        case Way.TCP:
            return Tcp(device.host, port)
        case Way.UDP:
            return Udp(device.host, port)
        case _:
            return Listen(device.host, Port(_our_address(device), port, _group(device)))


def _way(device: Device, info: ProtocolInfo, *, only: Way | None) -> Way:
    """How it is reached over the network."""
    known = _networked(info)
    if only in known and device.transport not in (None, only):
        found = f"protocol {info.id!r}, with its options so, is not spoken over {device.transport!r}"
        _refuse(device, found, f"{only.value!r}, or none", key="transport")
    if only in known:
        return only
    if not known:
        _refuse(device, f"protocol {info.id!r} is not spoken over host and port", _known(info))
    if device.transport is not None:
        if device.transport not in known:
            found = f"protocol {info.id!r} is not spoken over {device.transport!r}"
            _refuse(device, found, f"one of: {', '.join(known)}", key="transport")
        return Way(device.transport)
    if len(known) > 1:
        found = f"protocol {info.id!r} is spoken in several ways and none is chosen"
        _refuse(device, found, f"one of: {', '.join(known)}", key="transport")
    return known[0]


def _networked(info: ProtocolInfo) -> list[Way]:
    """The first of several is the one that has the usual port."""
    return [way for way in info.ways if way in _BY_NETWORK]


def _our_address(device: Device) -> str:
    try:
        return str(IPv4Address(device.listen_host))
    except AddressValueError:
        return _refuse(
            device,
            f"{device.listen_host!r} is no IPv4 address",
            "an address of this machine",
            key="listen_host",
        )


def _group(device: Device) -> str:
    if not device.group:
        return ""
    try:
        group = IPv4Address(device.group)
    except AddressValueError:
        group = IPv4Address(0)
    if not group.is_multicast:
        _refuse(device, f"{device.group!r} is no multicast group", "as 224.0.23.63", key="group")
    return str(group)


def _options(device: Device, protocol: ProtocolFile) -> Options | None:
    """What is set of the protocol; None where nothing is."""
    if not device.options:
        return None
    if protocol.options is None:
        _refuse(
            device,
            f"protocol {protocol.info.id!r} has nothing that can be set",
            "no [device.options]",
            key="options",
        )
    try:
        return protocol.options.model_validate(device.options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            found, expected = "is no option", f"one of: {', '.join(protocol.options.model_fields)}"
        else:
            found, expected = f"is {first['input']!r:.80}", first["msg"]
        raise SettingsError(
            where=f"device {device.name!r}: options.{key}", found=found, expected=expected
        ) from error


def _known(info: ProtocolInfo) -> str:
    words = {
        Way.SERIAL: "serial port",
        Way.TCP: "host and port",
        Way.UDP: "host and port",
        Way.LISTEN: "host that sends here, and port of ours",
        Way.SDC: "endpoint",
        Way.GATEWAY: "a [[gateway]]",
    }
    return ", or ".join(dict.fromkeys([*(words[way] for way in info.ways), "replay"]))


def _refuse(device: Device, found: str, expected: str, *, key: str = "") -> NoReturn:
    where = f"device {device.name!r}" + (f": {key}" if key else "")
    raise SettingsError(where=where, found=found, expected=expected)
