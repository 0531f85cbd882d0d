"""What was measured, as tables or as JSON: medians of the rounds, with the lowest and highest beside them."""

from __future__ import annotations

import io
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.bench import Counts
from benchmarks.machine import Memory
from benchmarks.rounds import ALARM_RATE, TICKET_LOOK_S, BareRound, Latency, Round
from benchmarks.stages import Stage
from collector.accounting import Accounting

FLAT_OUT = "flat out"
_PROCESSES = ("hourmeter", "broker", "influxd")
_WIDTH = 160


@dataclass(slots=True)
class Measured:
    """All rounds by the name of their case, and what else was measured."""

    devices: int
    warm_up: Round | None = None
    line: dict[str, list[Round]] = field(default_factory=dict)
    bare: dict[str, list[BareRound]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    latencies: list[Latency] = field(default_factory=list)
    left_over: int = 0
    """Messages that the broker still held for the collector's session."""
    counts: Counts = field(default_factory=Counts)
    """Of the whole run, warm-up and latency included."""
    accounting: Accounting | None = None
    stages: tuple[Stage, ...] = ()

    @property
    def batch_size(self) -> int:
        """Messages a commit of the journal flat out."""
        rounds = self.line[FLAT_OUT]
        return max(1, round(sum(r.counts.journaled for r in rounds) / max(1, sum(r.batches for r in rounds))))

    @property
    def adds_up(self) -> bool:
        """Whether nothing is lost, nothing is counted twice, and every ticket has come."""
        accounting = self.accounting
        return (
            accounting is not None
            and accounting.total.unaccounted == accounting.missing == accounting.lost == self.left_over == 0
            and accounting.rules is not None
            and accounting.rules.unaccounted == accounting.rules.failed == 0
            and accounting.total.stored == accounting.total.received == self.counts.received
            and self.counts.are_equal
            and all(round_.counts.are_equal for rounds in self.line.values() for round_ in rounds)
            and all(len(latency.ms) == latency.expected for latency in self.latencies)
        )


Column = tuple[list[Round], list[BareRound]]


def _spread(values: Sequence[float], *, digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def _rate(messages: int, seconds: float) -> float:
    return messages / seconds if seconds > 0 else 0.0


def _us(round_: Round, name: str) -> float:
    return round_.cpu[name] / max(1, round_.counts.received) * 1e6


def _bare_us(round_: BareRound) -> float:
    return round_.cpu_s / round_.messages * 1e6


def _ratio(above: Sequence[float], below: Sequence[float]) -> str:
    under = statistics.median(below)
    return f"{statistics.median(above) / under:.2f}" if under else "-"


def _total(line: Sequence[Round]) -> Counts:
    return sum((round_.counts for round_ in line), Counts())


def _count_row(name: str) -> tuple[str, Callable[[Column], str]]:
    return name, lambda column: f"{getattr(_total(column[0]), name):,}"


def _pace_row(label: str, until: str) -> tuple[str, Callable[[Column], str]]:
    def cell(column: Column) -> str:
        return _spread([_rate(r.counts.published, getattr(r, until)) for r in column[0]])

    return label, cell


def _cpu_row(name: str) -> tuple[str, Callable[[Column], str]]:
    return f"CPU µs/message, {name}", lambda column: _spread([_us(r, name) for r in column[0]], digits=1)


_ROWS: tuple[tuple[str, Callable[[Column], str]], ...] = (
    *(_count_row(one.name) for one in fields(Counts)),
    ("all equal", lambda column: _yes(all(r.counts.are_equal for r in column[0]))),
    _pace_row("messages/s taken by the broker", "published_s"),
    _pace_row("messages/s until journaled and acknowledged", "acknowledged_s"),
    _pace_row("messages/s until stored in InfluxDB", "stored_s"),
    _pace_row("messages/s until concluded", "concluded_s"),
    *(_cpu_row(name) for name in _PROCESSES),
    (
        "bare client: messages/s",
        lambda column: _spread([_rate(r.messages, r.acknowledged_s) for r in column[1]]),
    ),
    ("bare client: CPU µs/message", lambda column: _spread([_bare_us(r) for r in column[1]], digits=1)),
    (
        "hourmeter : bare, messages/s",
        lambda column: _ratio(
            [_rate(r.counts.published, r.acknowledged_s) for r in column[0]],
            [_rate(r.messages, r.acknowledged_s) for r in column[1]],
        ),
    ),
    (
        "hourmeter : bare, CPU",
        lambda column: _ratio([_us(r, "hourmeter") for r in column[0]], [_bare_us(r) for r in column[1]]),
    ),
)


def _main_table(measured: Measured) -> Table:
    rounds = len(measured.line[FLAT_OUT])
    table = _table(f"{rounds} rounds: sums of counts, else medians (range)", *measured.line)
    for label, cell in _ROWS:
        table.add_row(label, *(cell((measured.line[name], measured.bare[name])) for name in measured.line))
    return table


def _notes(measured: Measured) -> tuple[str, ...]:
    memory = (
        f"Resident memory, {name} after the rounds: {one.now_mib:.0f} MiB, {one.highest_mib:.0f} at most."
        for name, one in measured.memory.items()
    )
    latency = (
        f"Alarm to ticket, {one.name}: p50 {one.median:.0f} ms, p95 {one.quantile(0.95):.0f} ms,"
        f" p99 {one.quantile(0.99):.0f} ms,"
        f" max {one.quantile(1):.0f} ms; {len(one.ms)} of {one.expected} tickets."
        for one in measured.latencies
    )
    return (
        *memory,
        *latency,
        f"Latency is at {ALARM_RATE:,} messages/s, the ledger looked at every {TICKET_LOOK_S * 1000:.0f} ms.",
        f"Unacknowledged at the broker in the end: {measured.left_over}.",
        f"The whole run, {measured.counts.published:,} messages, adds up: {_yes(measured.adds_up)}.",
    )


def _yes(fact: object) -> str:
    return "yes" if fact else "NO"


def _stage_table(measured: Measured) -> Table:
    table = _table("stage", "CPU µs/message", "elapsed µs/message", "share")
    whole = statistics.median(_us(round_, "hourmeter") for round_ in measured.line[FLAT_OUT])
    for stage in measured.stages:
        table.add_row(
            stage.name, f"{stage.cpu_us:.1f}", f"{stage.elapsed_us:.1f}", _share(stage.cpu_us, whole)
        )
    rest = whole - sum(stage.cpu_us for stage in measured.stages)
    table.add_row("event loop, sockets, threads, ticks", f"{rest:.1f}", "", _share(rest, whole))
    table.add_row("whole process, flat out", f"{whole:.1f}", "", "100 %")
    return table


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}".replace("%", " %") if whole else "-"


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else box.MARKDOWN)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_WIDTH, file=io.StringIO())
    with console.capture() as drawn:
        console.print(table)
    lines = [line.rstrip() for line in drawn.get().splitlines()]
    sys.stdout.write("\n".join(filter(None, lines)) + "\n")


def show(measured: Measured, *, facts: Sequence[str], command: str, date: str) -> None:
    """Print everything; where it is piped as Markdown without colours."""
    head = (f"`{command}`" + (f", {date}" if date else ""), *facts)
    sys.stdout.write("".join(f"- {line}\n" for line in head) + "\n")
    _print(_main_table(measured))
    sys.stdout.write("\n" + "".join(f"- {line}\n" for line in _notes(measured)) + "\n")
    _print(_stage_table(measured))
    sys.stdout.write(
        f"\nStages: one process, nothing else at work, {measured.batch_size:,} messages a journal batch as"
        " measured flat out; a share is of the whole process flat out.\n"
    )


def as_json(measured: Measured, *, facts: Sequence[str], command: str) -> dict[str, Any]:
    """Everything as plain values."""
    return asdict(measured) | {
        "facts": list(facts),
        "command": command,
        "batch_size": measured.batch_size,
        "adds_up": measured.adds_up,
    }
