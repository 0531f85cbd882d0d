"""Settings: one TOML file, with the environment above it.

Rule 1: whoever reads a setting's name knows its unit; whoever gets it wrong reads what would be right.
Rule 2: secrets stand in files of their own or in the environment, never in the settings file.

`HOURMETER_BROKER__PORT=8883` in the environment stands for `port` in the table `[broker]`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from telemetry.errors import SettingsError
from telemetry.messages import MeterName

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}\z")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
_T = TypeVar("_T", bound=BaseModel)


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
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "is no text in UTF-8"
            raise SettingsError(
                where=f"{where}.password_file",
                found=f"{self.password_file}: {why}",
                expected="a file that holds the password and that hourmeter's user may read",
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

    store: Literal["embedded", "influxdb1"] = "embedded"
    """`embedded`: a SQLite file; `influxdb1`: InfluxDB 1.x."""
    file: Path = Path("data/history.db")
    """File of the embedded history."""
    url: str = "http://127.0.0.1:8086"
    """Address of InfluxDB."""
    database: Annotated[str, Field(min_length=1)] = "hourmeter"
    """Database in InfluxDB; it is created if our user may."""
    user: str = ""
    """User in InfluxDB; empty: none."""


class Ledger(_Table):
    """The ledger: assets, meters, tickets."""

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
    refresh_s: Annotated[int, Field(ge=1, le=3600)] = 5
    """Seconds after which the page loads itself anew."""


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
    """Protocol id; `hourmeter decode --help` lists them."""
    host: str = ""
    """Address of the device or of its serial-device server."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """TCP port of it."""
    replay: Path | None = None
    """A capture file instead of a device."""
    poll_s: Annotated[float | None, Field(gt=0, le=86_400)] = None
    """Seconds between two readings; empty: the protocol's own."""


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
    host: Host = Host()
    device: tuple[Device, ...] = ()
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
    data = {} if file is None else _read(file)
    origin = "environment" if file is None else str(file)
    for table in ("broker", "history", "host"):
        given = data.get(table)
        if isinstance(given, dict) and "password" in given:
            raise SettingsError(
                where=f"{origin}: {table}.password",
                found="a secret in the settings file",
                expected=f"{table}.password_file, or HOURMETER_{table.upper()}__PASSWORD in the environment",
            )
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:
            raise SettingsError(
                where="environment", found=first["msg"], expected="lists as JSON, or in the settings file"
            ) from None
        raise SettingsError(where=f"{origin}: {key}", found=_shown(first), expected=first["msg"]) from None
    return settings if file is None else _anchored(settings, file.parent)


def _shown(error: ErrorDetails) -> str:
    """What was found, unless it might be a secret under a mistyped name."""
    if error["type"] == "extra_forbidden":
        return "is no setting"
    value = error["input"]
    return f"is {value!r:.80}" if isinstance(value, str | int | float) else "is not of the right form"


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
