"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Counters of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "fissura_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "fissura_request_seconds",
            "Time from a request's headers to the end of its answer",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.photos = Counter(
            "fissura_photos",
            "Photos inspected for the HTTP API",
            ("outcome",),
            registry=self.registry,
        )
        self.batches = Histogram(
            "fissura_batch_photos",
            "Photos that the network was given at once",
            buckets=(1, 2, 4, 8, 16),
            registry=self.registry,
        )

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Tell a value that is asked for whenever the metrics are.

        Args:
            name: Of the gauge.
            words: What it is.
            value: Gives it.
        """
        Gauge(name, words, registry=self.registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: Of HTTP.
            route: The path of its route, with names for what varies.
            status: Of HTTP; 0 where the client was gone before there was an answer.
            seconds: How long it took.
        """
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status or "gone")).inc()
        self._latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return everything that is counted."""
        return generate_latest(self.registry)
