"""Prometheus metrics: requests, seconds, queue depth, and pills by verdict."""

from collections.abc import Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from pillsnap.answers.answer import Verdict

_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The service's metrics, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "pillsnap_requests", "Requests by path and status", ("path", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "pillsnap_request_seconds",
            "From a request's headers to the end of its response",
            ("path",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.answer_seconds = Histogram(
            "pillsnap_answer_seconds",
            "From a photograph's bytes to its answer, without upload and waiting",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "pillsnap_queue_depth", "Requests that are read or wait for a thread", registry=self.registry
        )
        self.running = Gauge("pillsnap_running", "Photographs that are worked on", registry=self.registry)
        self.pills = Counter("pillsnap_pills", "Pills by verdict", ("verdict",), registry=self.registry)
        for verdict in get_args(Verdict):
            self.pills.labels(verdict)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is the route's, so that clients cannot add labels."""
        self.requests.labels(path, str(status)).inc()
        self.request_seconds.labels(path).observe(seconds)

    def count_pills(self, verdicts: Mapping[Verdict, int]) -> None:
        """Count an answer's pills."""
        for verdict, count in verdicts.items():
            self.pills.labels(verdict).inc(count)
