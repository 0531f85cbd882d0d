"""What the page of one asset shows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from desk.views import DeviceRow, TicketRow
from rules.attributes import Attribute
from rules.episodes import Life
from rules.meters import Adjustment
from rules.words import Standing
from telemetry.messages import MeterName


@dataclass(frozen=True, slots=True)
class AdjustmentRow:
    """A meter was set to another figure, for a reason that stays on record."""

    meter: MeterName
    made: Adjustment


@dataclass(frozen=True, slots=True)
class StandingRow:
    """How one meter rule stands for an asset."""

    title: str
    meter: MeterName
    standing: Standing
    why: str
    """What keeps it from being evaluated; empty if nothing does."""
    due_h: float | None


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """The present or last occurrence of a technical alarm or a fault; never of a physiological alarm."""

    kind: str
    """`alarm` or `fault`."""
    code: str
    text: str
    life: Life
    began_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class AliasRow:
    """A time in which a device speaks, or spoke, for the asset under a name."""

    name: str
    """Protocol, namespace and identifier, as a person reads them."""
    is_weak: bool
    """Whether it is a port or a bed and no serial number."""
    from_ms: int | None
    """None: since its first message."""
    to_ms: int | None
    """None: until further notice."""
    confirmed_by: str = ""
    """Who saw the device at its port."""


@dataclass(frozen=True, slots=True)
class WardRow:
    """A ward that holds, or held, the asset since a time; empty: none is on record."""

    ward: str
    from_ms: int


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One entry of the life sheet."""

    attribute: Attribute
    before: str
    value: str
    from_ms: int
    by: str
    reason: str
    counts: bool
    """False where it was taken back."""


@dataclass(frozen=True, slots=True)
class AssetView:
    """One asset with all that is on record of it."""

    row: DeviceRow
    device_type: str
    aliases: tuple[AliasRow, ...]
    """The names under which it may be heard, open ones first."""
    heard_as: tuple[str, ...]
    """Publisher and device as named in its topics."""
    adjustments: tuple[AdjustmentRow, ...]
    """Newest first."""
    standings: tuple[StandingRow, ...]
    episodes: tuple[EpisodeRow, ...]
    """Newest first."""
    tickets: tuple[TicketRow, ...]
    """Open ones, and those that ended lately."""
    facts: tuple[tuple[Attribute, str], ...] = ()
    """What else is on record of it; what is not known is left out."""
    wards: tuple[WardRow, ...] = ()
    """The latest first."""
    changes: tuple[ChangeRow, ...] = ()
    """The newest first."""
