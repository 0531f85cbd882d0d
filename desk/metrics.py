"""The figures of a moment, as Prometheus and its kin read them, and the document that lists them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from desk.figures import FIGURES, Kind
from desk.vitals import Vitals

_PREAMBLE: Final = """\
# Metrics

`GET /metrics` tells these figures in the formats of Prometheus and OpenMetrics; [operations](operations.md)
says where it is served. A figure is absent where its part is not in that process. Journal and ledger are told
by every process of a site that has the journal, the same by each: scrape the desk's for them, and each
process for its own. Written from the code."""
_PROCESS: Final = """\
Beside them stand `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`,
`process_virtual_memory_bytes`, `process_max_fds` and `process_start_time_seconds` of the process itself."""


class Exposition(NamedTuple):
    """An answer to /metrics."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True, eq=False)
class _Moment(Collector):
    """The figures of one moment, for one answer."""

    vitals: Vitals

    def collect(self) -> Iterator[Metric]:
        """Every figure that has something to tell."""
        for figure in FIGURES:
            family: CounterMetricFamily | GaugeMetricFamily
            if figure.kind is Kind.COUNTER:
                family = CounterMetricFamily(figure.name, figure.meaning, labels=figure.labels)
            else:
                family = GaugeMetricFamily(figure.name, figure.meaning, labels=figure.labels)
            for labels, value in figure.read(self.vitals):
                family.add_metric(labels, value)
            if family.samples:
                yield family


def exposition(vitals: Vitals, *, accept: str) -> Exposition:
    """All figures with those of the process, in a format that the reader accepts."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Moment(vitals))
    registry.register(ProcessCollector(registry=None))
    encode, content_type = choose_encoder(accept)
    return Exposition(encode(registry), content_type)


def document() -> str:
    """Every figure as Markdown."""
    lines = [_PREAMBLE, "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for figure in FIGURES:
        labels = ", ".join(f"`{label}`" for label in figure.labels)
        lines.append(f"| `{figure.name}` | {figure.kind} | {labels} | {figure.meaning} |")
    return "\n".join([*lines, "", _PROCESS, ""])
