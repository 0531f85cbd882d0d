"""What the operator sets of the connection to the broker, and what a broker's refusal says about it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

import mqtt5

from telemetry import topics
from telemetry.errors import HourmeterError, SettingsError, Unavailable

DAY_S = 24 * 60 * 60
PACKET_LIMIT = 1024 * 1024
"""Largest packet we take, in bytes. Far above any broker's own limit for us: Mosquitto acknowledges a message
that is larger than its subscriber takes, and drops it (dependencies.md)."""


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """One broker and our session with it. Raises SettingsError if the session could not be kept."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    password_from: str = "broker.password"  # noqa: S105 - where the password stands, not the password
    """Where the operator finds the password, for messages."""
    user_from: str = "broker.user"
    """Where the operator finds the user, likewise."""
    client_id: str = "hourmeter-collector"
    """Names the session: the same at every start, and one per journal."""
    session_expiry_s: int = 7 * DAY_S
    """How long the broker keeps our session and its queue while we are away, in seconds."""
    keep_alive_s: float = 30
    """A broker silent for so long is dead, in seconds."""
    window: int = 10_000
    """Messages received and not acknowledged at which we stop reading; also our receive maximum."""
    window_bytes: int = 32 * 1024 * 1024
    """Bytes received and not acknowledged at which we stop reading."""
    connect_within_s: float = 10
    """Time for address, connection, TLS and the broker's welcome together, in seconds."""

    def __post_init__(self) -> None:
        """Bound what the broker or the protocol would bend silently."""
        if not 60 <= self.session_expiry_s <= 30 * DAY_S:
            raise SettingsError(
                where="broker.session_days",
                found=f"{self.session_expiry_s} seconds",
                expected="a minute to 30 days: a queue of an abandoned session fills the broker's memory",
            )
        if not 1 <= self.window <= 65_535:
            raise SettingsError(where="window", found=str(self.window), expected="1 to 65535")

    @property
    def broker(self) -> str:
        """The broker as messages name it."""
        return f"MQTT broker {self.host}:{self.port}"


class TakenOver(SettingsError):  # noqa: N818 - the word of the protocol
    """Another collector has our session: never reconnect, or the two take turns for ever."""

    def __init__(self, settings: MqttSettings) -> None:
        super().__init__(
            where=settings.broker,
            found=f"another collector took over the session {settings.client_id!r}",
            expected="stop one of the two: a broker serves one collector, and a journal has one",
        )


def no_mqtt5(settings: MqttSettings) -> SettingsError:
    """A broker that answered in an older version of the protocol."""
    return SettingsError(
        where=settings.broker,
        found="speaks no MQTT 5",
        expected="a broker with MQTT 5, such as Mosquitto 2, at broker.host and broker.port",
    )


def unreachable(settings: MqttSettings, error: OSError) -> HourmeterError:
    """What it means that there is no connection, or no TLS on it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return SettingsError(
            where=settings.broker,
            found=f"its certificate is not trusted ({error.verify_message})",
            expected="set broker.ca_file to the authority that signed it, broker.host to a name it bears",
        )
    if isinstance(error, ssl.SSLError):
        return Unavailable(
            settings.broker, why=f"no TLS ({error.reason})", advice="does this port speak TLS?"
        )
    return Unavailable(
        settings.broker,
        why=error.strerror or str(error),
        advice="does it run, and are broker.host, broker.port and broker.tls right?",
    )


def connect_refused(settings: MqttSettings, answer: mqtt5.ConnAckPacket) -> HourmeterError:
    """What a CONNACK other than success means (MQTT 5, 3.2.2.2): mended by the operator, or by waiting."""
    code = mqtt5.ConnAckReasonCode
    reason = _words(answer.reason_code, answer.reason_str)
    match answer.reason_code:
        case (
            code.BAD_USER_NAME_OR_PASSWORD
            | code.NOT_AUTHORIZED
            | code.BANNED
            | code.BAD_AUTHENTICATION_METHOD
        ):
            return SettingsError(
                where=settings.broker,
                found=f"refuses user {settings.user!r} ({reason})",
                expected=f"check {settings.user_from}, the password in {settings.password_from}, "
                "and that the broker's password file knows them",
            )
        case code.UNSUPPORTED_PROTOCOL_VERSION:
            return no_mqtt5(settings)
        case code.CLIENT_ID_NOT_VALID:
            return SettingsError(
                where="broker.client_id",
                found=f"{settings.client_id!r} is refused by {settings.broker}",
                expected="a name of A-Z a-z 0-9 that the broker allows",
            )
        case code.USE_ANOTHER_SERVER | code.SERVER_MOVED:
            return SettingsError(
                where=settings.broker,
                found=f"sends us away ({reason})",
                expected=f"set broker.host and broker.port to {answer.server_reference or 'the new broker'}",
            )
    return Unavailable(settings.broker, why=f"refuses connections now ({reason})")


def subscribe_refused(settings: MqttSettings, answer: mqtt5.SubAckPacket) -> SettingsError | None:
    """What a SUBACK other than wanted means; None if all messages and the own claim are granted."""
    code = mqtt5.SubAckReasonCode
    wanted = (
        (topics.EVERYTHING, code.GRANTED_QOS_AT_LEAST_ONCE),
        (topics.confirmed(settings.user), code.GRANTED_QOS_AT_MOST_ONCE),
    )
    for (topic, qos), granted in zip(wanted, answer.reason_codes, strict=True):
        if granted != qos:
            return reading_refused(settings, topic, granted, answer.reason_str)
    return None


def reading_refused(
    settings: MqttSettings, topic: str, granted: mqtt5.SubAckReasonCode, said: str | None
) -> SettingsError:
    """A subscription that is not granted as it was asked for."""
    return SettingsError(
        where=settings.broker,
        found=f"refuses {settings.user!r} the subscription of {topic} ({_words(granted, said)})",
        expected=f"its access list (ACL) needs `topic read {topic}` for this user",
    )


def publish_refused(
    settings: MqttSettings, topic: str, answer: mqtt5.PubAckPacket
) -> SettingsError | Unavailable | None:
    """What a negative PUBACK means; None if the broker has the message, subscribers or not."""
    code = mqtt5.PubAckReasonCode
    if answer.reason_code in (code.SUCCESS, code.NO_MATCHING_SUBSCRIBERS):
        return None
    reason = _words(answer.reason_code, answer.reason_str)
    if answer.reason_code == code.NOT_AUTHORIZED:
        return SettingsError(
            where=settings.broker,
            found=f"refuses {settings.user!r} to publish {topic} ({reason})",
            expected=f"its access list (ACL) needs `topic write {topics.confirmed('+')}` for this user",
        )
    return Unavailable(settings.broker, why=f"does not take a message for {topic} ({reason})")


def disconnected(settings: MqttSettings, farewell: mqtt5.DisconnectPacket) -> HourmeterError:
    """What the broker's DISCONNECT means."""
    if farewell.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
        return TakenOver(settings)
    return Unavailable(
        settings.broker, why=f"ended the connection ({_words(farewell.reason_code, farewell.reason_str)})"
    )


def _words(
    code: mqtt5.ConnAckReasonCode
    | mqtt5.SubAckReasonCode
    | mqtt5.PubAckReasonCode
    | mqtt5.DisconnectReasonCode,
    said: str | None,
) -> str:
    name = code.name.lower().replace("_", " ")
    return f"{name}: {said[:200]!r}" if said else name
