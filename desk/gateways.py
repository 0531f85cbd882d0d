"""From the settings of a gateway to what the adapter host knows of it."""

from __future__ import annotations

from adapters.hl7_sender import Sender
from adapters.host.mllp_settings import Certificate, GatewaySettings, Times
from desk.settings import Gateway
from telemetry.errors import SettingsError

_MIB = 1 << 20


def gateway_of(gateway: Gateway) -> GatewaySettings:
    """The gateway as the adapter host knows it. Raises SettingsError."""
    if (gateway.cert_file is None) != (gateway.key_file is None):
        raise SettingsError(
            where=f"gateway {gateway.name!r}",
            found="has one of cert_file and key_file",
            expected="both, to speak TLS, or none",
        )
    return GatewaySettings(
        gateway.name,
        gateway.port,
        host=gateway.host,
        sender=Sender(
            answers=gateway.answers,
            refused=gateway.refused,
            encoding=gateway.encoding,
            max_message_bytes=gateway.max_message_mib * _MIB,
        ),
        peers=gateway.peers,
        period_s=gateway.period_s,
        overflow=gateway.overflow,
        times=Times(answer_s=gateway.answer_within_s, message_s=gateway.message_within_s),
        room=gateway.room,
        room_bytes=gateway.room_mib * _MIB,
        most_connections=gateway.max_connections,
        most_devices=gateway.max_devices,
        certificate=None
        if gateway.cert_file is None or gateway.key_file is None
        else Certificate(gateway.cert_file, gateway.key_file),
    )
