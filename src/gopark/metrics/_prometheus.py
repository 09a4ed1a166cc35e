"""The metrics for Prometheus, through prometheus-client (the extra `metrics`).

Names are made as Go's own collector makes them: `/sched/gomaxprocs:threads` is
`go_sched_gomaxprocs_threads`, and what only grows ends in `_total`. `go_goroutines`, `go_threads`
and `go_info` are what older dashboards ask for.

The library is imported when somebody asks, and not before.
Source: github.com/prometheus/client_golang, prometheus/internal/go_runtime_metrics.go.
Tests: tests/debug/test_metrics.py
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from gopark._runtime.prof import metrics as measured
from gopark.metrics._metrics import Description, Histogram, Kind, Sample, all, read

__all__ = ("Collector", "exposition", "promname")


class Collector:
    """All metrics, for a registry of prometheus-client: `REGISTRY.register(Collector())`.

    It needs the extra `gopark[metrics]` once it is asked. `debug.serve` has one at `/metrics`.

    Example:
        >>> collector = gopark.metrics.Collector()

    Go: github.com/prometheus/client_golang, collectors.NewGoCollector.
    """

    __slots__ = ()

    def describe(self) -> list[Any]:
        """Nothing: a registry then does not ask for the metrics as it is told of them.

        Example:
            >>> gopark.metrics.Collector().describe()
            []

        Go: github.com/prometheus/client_golang, Collector.Describe.
        """
        return []

    def collect(self) -> Iterator[Any]:
        """The metrics as they are now, as families of prometheus-client.

        Raises:
            ImportError: prometheus-client is not installed.
        Example:
            >>> families = gopark.metrics.Collector().collect()

        Go: github.com/prometheus/client_golang, Collector.Collect.
        """
        core: Any = importlib.import_module("prometheus_client.core")
        samples = [Sample(description.name) for description in all()]
        read(samples)
        values = {sample.name: sample.value for sample in samples}
        version = f"gopark {sys.modules['gopark'].__version__}"
        yield core.GaugeMetricFamily(
            "go_goroutines",
            "Number of goroutines that currently exist.",
            values["/sched/goroutines:goroutines"],
        )
        yield core.GaugeMetricFamily(
            "go_threads", "Number of OS threads created.", values["/sched/threads/total:threads"]
        )
        info = core.GaugeMetricFamily(
            "go_info", "Information about the environment.", labels=["version"]
        )
        info.add_metric([version], 1)
        yield info
        for description in all():
            yield _family(core, description, values[description.name])


def _family(core: Any, description: Description, value: Any) -> Any:
    name, text = promname(description), f"{description.description} ({description.name})"
    if isinstance(value, Histogram):
        counts = accumulate(value.counts)
        bounds = [f"{bound:.6g}" for bound in value.buckets[1:-1]] + ["+Inf"]
        total = _TOTALS[description.name].read()[1]
        buckets = list(zip(bounds, counts, strict=True))
        return core.HistogramMetricFamily(name, text, buckets=buckets, sum_value=total)
    if description.cumulative:
        return core.CounterMetricFamily(name, text, value)
    return core.GaugeMetricFamily(name, text, value)


_TOTALS = {
    "/sched/latencies:seconds": measured.latencies,
    "/sched/pauses/total/gc:seconds": measured.pauses,
}


def promname(description: Description) -> str:
    """As Go's collector calls it. Go: RuntimeMetricsToProm."""
    path, _, unit = description.name.partition(":")
    name = f"go_{path.strip('/')}_{unit}"
    for char in "-/*":
        name = name.replace(char, "_")
    grows = description.cumulative and description.kind is not Kind.FLOAT64_HISTOGRAM
    return f"{name}_total" if grows else name


def exposition() -> tuple[str, bytes]:
    """The content type and the text that Prometheus reads."""
    library: Any = importlib.import_module("prometheus_client")
    registry = library.CollectorRegistry()
    registry.register(Collector())
    return library.CONTENT_TYPE_LATEST, library.generate_latest(registry)
