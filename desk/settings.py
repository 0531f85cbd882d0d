"""Settings: one TOML file, with the environment above it.

Rule 1: whoever reads a setting's name knows its unit; whoever gets it wrong reads what would be right.
Rule 2: secrets stand in files of their own or in the environment, never in the settings file.

`HOURMETER_BROKER__PORT=8883` in the environment stands for `port` in the table `[broker]`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from adapters.contract import Parity
from adapters.hl7_sender import Answers, RefusedAs
from adapters.host.mllp_settings import Overflow
from desk import settings_faults
from telemetry.errors import SettingsError
from telemetry.messages import MeterName

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}\z")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
_T = TypeVar("_T", bound=BaseModel)
_SECRETS = (
    ("broker", "password"),
    ("history", "password"),
    ("history", "token"),
    ("ledger", "password"),
    ("host", "password"),
)
"""Keys of tables that the settings file may not hold."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Secret(_Table):
    """A password from a file or from the environment."""

    password_file: Path | None = None
    """File that holds the password and nothing else; readable by hourmeter's user only."""
    password: SecretStr | None = None
    """For the environment only (`HOURMETER_<TABLE>__PASSWORD`)."""

    def secret(self, where: str) -> str | None:
        """The password, None if none is set. Raises SettingsError if its file cannot be read."""
        return _secret(self.password, self.password_file, f"{where}.password")


def _secret(given: SecretStr | None, file: Path | None, where: str) -> str | None:
    if given is not None:
        return given.get_secret_value()
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text in UTF-8"
        raise SettingsError(
            where=f"{where}_file",
            found=f"{file}: {why}",
            expected=f"a file that holds the {where.partition('.')[2]} and that hourmeter's user may read",
        ) from error


class Broker(Secret):
    """The MQTT broker. Without a host all parts of `hourmeter run` share a bus within the process."""

    host: str = ""
    """Name or address of the broker; empty: the bus within the process."""
    port: Port = 1883
    """TCP port; 8883 is usual with TLS."""
    user: Name = "collector"
    """MQTT user of the collector; an adapter host's user is its publisher name."""
    tls: bool = False
    """Whether to speak TLS."""
    ca_file: Path | None = None
    """PEM file of the authority that signed the broker's certificate; empty: the system's authorities."""
    client_id: Name = "hourmeter-collector"
    """MQTT client id of the collector; one collector per broker session."""
    session_days: Annotated[float, Field(gt=0, le=30)] = 7
    """How long the broker keeps our session while we are away."""


class Journal(_Table):
    """The journal on local disk."""

    folder: Path = Path("data/journal")
    """Folder of the journal."""
    size_cap_mib: Annotated[int, Field(ge=16)] = 20_480
    """At this size nothing more is acknowledged."""
    disk_reserve_mib: Annotated[int, Field(ge=0)] = 512
    """Acknowledging stops while the disk has less than this free."""
    retention_days: Positive = 30
    """Batches older than this that every consumer has passed are deleted."""


class History(Secret):
    """Where messages become points."""

    store: Literal["embedded", "influxdb1", "influxdb2", "influxdb3"] = "embedded"
    """`embedded`: a SQLite file; `influxdb1`, `influxdb2`, `influxdb3`: InfluxDB of that version."""
    file: Path = Path("data/history.db")
    """File of the embedded history."""
    raw_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    """Days for which the embedded history keeps points; its daily roll-ups stay for ever."""
    url: str = "http://127.0.0.1:8086"
    """Address of InfluxDB; InfluxDB 3 listens on 8181 unless told otherwise."""
    database: Annotated[str, Field(min_length=1)] = "hourmeter"
    """Database in InfluxDB, the bucket in InfluxDB 2; it is created if our user or token may."""
    user: str = ""
    """User in InfluxDB 1.x, with `password_file`; empty: none."""
    org: str = ""
    """Organization in InfluxDB 2."""
    token_file: Path | None = None
    """File that holds the token for InfluxDB 2 or 3 and nothing else; readable by hourmeter's user only."""
    token: SecretStr | None = None
    """For the environment only (`HOURMETER_HISTORY__TOKEN`)."""
    verify_tls: bool = True
    """Whether InfluxDB must prove who it is when its address begins with https."""
    ca_file: Path | None = None
    """PEM file of the authority that signed its certificate; empty: the system's authorities."""

    def secret_token(self) -> str | None:
        """The token, None if none is set. Raises SettingsError if its file cannot be read."""
        return _secret(self.token, self.token_file, "history.token")


class Ledger(Secret):
    """The ledger: assets, meters, tickets."""

    url: str = ""
    """`postgresql://USER@HOST/DATABASE?sslmode=verify-full`, without a password; empty: the SQLite file."""
    file: Path = Path("data/ledger.db")
    """SQLite file of the ledger."""


class Rules(_Table):
    """Which rules conclude tickets."""

    folders: tuple[Path, ...] = ()
    """Folders of the site's own rules, each rule a YAML file with `confirmed_by`."""


class Desk(_Table):
    """The page."""

    host: str = "127.0.0.1"
    """Address to listen on. The page has no login yet: keep it on this machine or behind one that has."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8480
    """TCP port; 0 takes any free one and says which."""
    refresh_s: Annotated[int, Field(ge=1, le=3600)] = 2
    """Seconds between two looks at ledger and journal while somebody has a page open."""


class Health(_Table):
    """How a process can be watched: `/healthz`, `/readyz`, `/metrics`; the desk has them beside the page."""

    host: str = "127.0.0.1"
    """Address on which a process without the page listens for them; they have no login."""
    port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """TCP port of it; empty: none. Each process of a machine needs its own, as `HOURMETER_HEALTH__PORT`."""
    lag_s: Positive = 300
    """History and rules may be so far behind before `/readyz` says that the site is not ready."""


class Log(_Table):
    """What the processes say of their work, on standard error; never what a message carries."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    """The least that is said; `--verbose` says at least `info`."""
    format: Literal["plain", "json"] = "plain"
    """`plain`: a line for people, coloured in a terminal; `json`: an object a line."""


class Host(Secret):
    """The adapter host of this machine."""

    publisher: Name | None = None
    """Publisher name, which is also its MQTT user; site code included, as `HN01-icu`."""
    outbox: Path = Path("data/outbox.db")
    """File of the outbox."""
    outbox_cap_mib: Annotated[int, Field(ge=1)] = 2048
    """At this size devices are no longer polled, and this is said."""
    tail_hours: Annotated[float, Field(ge=0)] = 48
    """How long confirmed messages are kept for a restored journal: as long as backups are apart."""
    window: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Unconfirmed messages per lane given to the broker at most."""


class Device(_Table):
    """One device of the adapter host."""

    name: Name
    """Name in topics, unique on this host."""
    protocol: str
    """Protocol id; `hourmeter adapters list` lists them."""
    host: str = ""
    """Address of the device or of its serial-device server."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """TCP or UDP port of it, or ours that it sends to; 0: the usual one of the protocol, if it has one."""
    transport: Literal["tcp", "udp", "listen"] | None = None
    """Where the protocol knows several ways: we connect, we send it datagrams, or it sends them unasked."""
    listen_host: str = "0.0.0.0"  # noqa: S104 - broadcasts come to no other; senders are told apart
    """Address of this machine to which it sends datagrams; 0.0.0.0 for all, and for broadcasts."""
    group: str = ""
    """Multicast group to which it sends datagrams, joined at `listen_host`; empty: none."""
    serial: Path | None = None
    """Serial port of this machine instead of host and port; names in `/dev/serial/by-id/` stay the same."""
    baud_rate: Annotated[int | None, Field(ge=50, le=4_000_000)] = None
    """Bits per second of the serial port; this and the next three empty: the protocol's own."""
    data_bits: Annotated[int | None, Field(ge=5, le=8)] = None
    """Data bits of a character on the serial port."""
    parity: Parity | None = None
    """`none`, `even` or `odd`."""
    stop_bits: Annotated[int | None, Field(ge=1, le=2)] = None
    """Stop bits of a character on the serial port."""
    endpoint: str = ""
    """SDC device instead of host and port: `urn:uuid:...` to be searched for, or its `https://` address."""
    cert_file: Path | None = None
    """PEM file of our certificate for SDC, with `key_file` and `ca_file`; empty: no TLS."""
    key_file: Path | None = None
    """PEM file of its key."""
    ca_file: Path | None = None
    """PEM file of the authority that the SDC device's certificate comes from."""
    plain: bool = False
    """Speak to an SDC device without TLS, although another machine could listen or answer in its place."""
    replay: Path | None = None
    """A capture file instead of a device."""
    poll_s: Annotated[float | None, Field(gt=0, le=86_400)] = None
    """Seconds between two readings; empty: the protocol's own."""
    sole_reader_confirmed_by: str = ""
    """Who made sure that no other system reads it; asked for where a device serves one reader only."""
    options: Mapping[str, object] = Field(default_factory=dict)
    """Table `[device.options]`: what the protocol itself lets you set; see its page in docs/devices."""


class Gateway(_Table):
    """Where HL7 gateways connect to this machine over MLLP; nothing is ever sent to them but answers."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-][A-Za-z0-9_-]{0,31}\z")]
    """Begins the names of all its devices in topics; begins no other name on this host."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all of this machine."""
    port: Port
    """TCP port to listen on; 2575 is usual."""
    peers: tuple[IPvAnyNetwork, ...] = ()
    """Addresses or networks from which connections are taken; empty: from everywhere."""
    period_s: Annotated[float, Field(gt=0, le=86_400)] = 60
    """Seconds between two reports of one device, as the gateway is set; after three it is mute."""
    answers: Answers = Answers.AUTO
    """`auto`: as the message asks; `commit`: CA; `application`: AA; `none`."""
    refused: RefusedAs = RefusedAs.ACCEPT
    """How a message that cannot be read is answered; `error` lets many gateways repeat it for ever."""
    encoding: str = ""
    """Encoding that it really uses, as `cp1258`, where MSH-18 is wrong; empty: as MSH-18 says."""
    answer_within_s: Annotated[float, Field(ge=0.1, le=60)] = 2
    """Seconds within which each message is answered, whatever happens behind."""
    overflow: Overflow = Overflow.ACKNOWLEDGE
    """Without room: `acknowledge` and count the loss, or `withhold` the answer so that the gateway waits."""
    room: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Messages that wait in memory at most while the outbox takes none."""
    room_mib: Annotated[int, Field(ge=1)] = 32
    """Their size at most."""
    max_message_mib: Annotated[int, Field(ge=1, le=64)] = 1
    """Size of an HL7 message at most."""
    message_within_s: Annotated[float, Field(ge=1, le=3_600)] = 60
    """Seconds that a message may take from its first byte to its last."""
    max_connections: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Connections at a time; the one that was silent longest makes room for a new one."""
    max_devices: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Devices that are told apart; messages of others are answered, counted and dropped."""
    cert_file: Path | None = None
    """PEM file of the certificate to speak TLS with, with `key_file`; empty: no TLS."""
    key_file: Path | None = None
    """PEM file of its key."""


class AssetAlias(_Table):
    """A name by which a protocol knows the asset."""

    protocol: str
    """Protocol id."""
    namespace: str = ""
    """What the identifier is unique in: for Puritan Bennett the model."""
    identifier: Annotated[str, Field(min_length=1)]
    """Serial number, or port or bed where the protocol tells none."""


class Baseline(_Table):
    """What a meter showed when the asset was entered, so that work is not due by guess."""

    meter: MeterName
    """Name of the meter, as `ventilation_h`."""
    reading: Annotated[float, Field(ge=0)]
    """What the device's own hour counter showed."""
    last_done: Annotated[float, Field(ge=0)]
    """The reading at which work was last completed."""


class Asset(_Table):
    """One asset of the site."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}\z")]
    """Site code and a part that never changes, as `HN01-0042`."""
    label: str = ""
    """Inventory label, as people read it."""
    ward: str = ""
    """Ward or department that holds the asset."""
    device_type: str = ""
    """As `ventilator`; rules choose by it."""
    manufacturer: str = ""
    """As on the type plate."""
    model: str = ""
    """As on the type plate."""
    serial: str = ""
    """As on the type plate."""
    aliases: tuple[AssetAlias, ...] = ()
    """How adapters know it; an asset without any is kept with manual readings."""
    baselines: tuple[Baseline, ...] = ()
    """Readings of its hour counters at the start."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="HOURMETER_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    broker: Broker = Broker()
    journal: Journal = Journal()
    history: History = History()
    ledger: Ledger = Ledger()
    rules: Rules = Rules()
    desk: Desk = Desk()
    health: Health = Health()
    log: Log = Log()
    host: Host = Host()
    device: tuple[Device, ...] = ()
    gateway: tuple[Gateway, ...] = ()
    asset: tuple[Asset, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file."""
        return env_settings, init_settings

    @field_validator("device")
    @classmethod
    def _device_names_differ(cls, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        _differ([device.name for device in devices], "device name")
        return devices

    @field_validator("gateway")
    @classmethod
    def _gateways_differ(cls, gateways: tuple[Gateway, ...]) -> tuple[Gateway, ...]:
        _differ([gateway.name for gateway in gateways], "gateway name")
        return gateways

    @field_validator("asset")
    @classmethod
    def _assets_differ(cls, assets: tuple[Asset, ...]) -> tuple[Asset, ...]:
        _differ([asset.id for asset in assets], "asset id")
        _differ(
            [f"{a.protocol} {a.namespace} {a.identifier}" for asset in assets for a in asset.aliases],
            "alias",
        )
        return assets


def _differ(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} {twice[0]!r} is given twice")


def load(file: Path | None) -> Settings:
    """The settings of a file (None: defaults) under the environment. Raises SettingsError.

    Relative paths in the file are relative to the file.
    """
    found = _judged(file)
    if isinstance(found, Settings):
        return found
    raise found[0]


def faults(file: Path | None) -> tuple[SettingsError, ...]:
    """Everything in a settings file that is wrong; `load` raises the first of it."""
    found = _judged(file)
    return () if isinstance(found, Settings) else found


def tables(file: Path | None) -> frozenset[str]:
    """The tables of which file or environment say anything. Raises SettingsError; the rest must be right."""
    return frozenset(Settings.model_validate({} if file is None else _read(file)).model_fields_set)


def _judged(file: Path | None) -> Settings | tuple[SettingsError, ...]:
    try:
        data = {} if file is None else _read(file)
    except SettingsError as error:
        return (error,)
    origin = "environment" if file is None else str(file)
    if secrets := _secrets_among(data, origin):
        return secrets
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        return settings_faults.faults(error, model=Settings, origin=origin, given=data)
    return settings if file is None else _anchored(settings, file.parent)


def _secrets_among(data: Mapping[str, object], origin: str) -> tuple[SettingsError, ...]:
    """Secrets that stand in the file; where they belong, and never what they are."""
    return tuple(
        SettingsError(
            where=f"{origin}: {table}.{key}",
            found="a secret in the settings file",
            expected=f"{table}.{key}_file, or HOURMETER_{table.upper()}__{key.upper()} in the environment",
        )
        for table, key in _SECRETS
        if isinstance(given := data.get(table), dict) and key in given
    )


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise SettingsError(
            where=str(file),
            found=error.strerror or "cannot be read",
            expected="a TOML file, see deploy/hourmeter.toml",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(where=str(file), found=str(error), expected="a TOML file in UTF-8") from error


def _anchored(table: _T, folder: Path) -> _T:
    """The table with relative paths read from the folder of their file."""

    def anchor(value: object) -> object:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, BaseModel):
            return _anchored(value, folder)
        if isinstance(value, tuple):
            return tuple(map(anchor, value))
        return value

    return table.model_copy(update={name: anchor(getattr(table, name)) for name in type(table).model_fields})
