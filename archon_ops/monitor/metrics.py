"""The same snapshots as metrics, by Prometheus's conventions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.registry import Collector

from archon_ops import __version__
from archon_ops.model import runs
from archon_ops.model.backup import Trust
from archon_ops.model.health import Level
from archon_ops.monitor.gauges import GAUGES, Gauge
from archon_ops.monitor.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "archon_backup_"


def exposition(snapshots: Sequence[Snapshot]) -> bytes:
    """All metrics of these sources in Prometheus's text format.

    Args:
        snapshots: one a source.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshots(snapshots))
    return generate_latest(registry)


class _Snapshots(Collector):
    """Metrics made of snapshots; what is not known is left out, and never 0."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Metric]:
        """Every metric, once for all sources."""
        build = InfoMetricFamily("archon_ops_build", "Version that made these metrics.")
        build.add_metric([], {"version": __version__})
        yield build
        yield self._states(
            "health",
            "Verdict on the newest backup.",
            [(s, s.health.level.value) for s in self._snapshots],
            [level.value for level in Level],
        )
        yield self._states(
            "trust",
            "How much is known of the newest backup.",
            [(s, s.subject.trust.value) for s in self._snapshots if s.subject],
            [trust.value for trust in Trust],
        )
        drills = [(s, runs.last_drill(s.records)) for s in self._snapshots]
        yield self._states(
            "last_drill",
            "What the last drill ended with.",
            [(s, runs.verdict(drill)) for s, drill in drills if drill],
            runs.VERDICTS,
        )
        yield from map(self._gauge, GAUGES)

    def _gauge(self, gauge: Gauge) -> Metric:
        labels = ["source", *([gauge.label] if gauge.label else [])]
        family = GaugeMetricFamily(f"{_PREFIX}{gauge.name}", gauge.help, labels=labels)
        for snapshot in self._snapshots:
            for values, number in gauge.samples(snapshot):
                if number is not None:
                    family.add_metric([snapshot.watched.name, *values], number)
        return family

    def _states(
        self, name: str, help: str, found: Sequence[tuple[Snapshot, str]], states: Iterable[str]
    ) -> Metric:
        family = StateSetMetricFamily(f"{_PREFIX}{name}", help, labels=["source"])
        every = tuple(states)
        for snapshot, current in found:
            family.add_metric([snapshot.watched.name], {state: state == current for state in every})
        return family
