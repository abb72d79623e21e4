"""Metrics for Prometheus: counts and durations, with nothing about a photo or a face."""

import time

from flask import Flask, Response, g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fer_utils.serving.feed import Feed
from fer_utils.serving.work import Workers

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one application, in their own registry.

    Args:
        workers: source of the numbers of running and waiting requests.
        feed: source of the number of viewers; None if there is no feed.
    """

    def __init__(self, workers: Workers, feed: Feed | None) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files

        def make(kind: type, name: str, description: str, labels: tuple = (), **options):
            registry = self._registry
            return kind(f"fer_study_{name}", description, labels, registry=registry, **options)

        self._requests = make(
            Counter, "requests", "Responses by route and status.", ("route", "status")
        )
        self._seconds = make(
            Histogram,
            "request_seconds",
            "Seconds from the complete request to the response.",
            ("route",),
            buckets=_SECONDS,
        )
        self._in_flight = make(Gauge, "requests_in_flight", "Requests in progress.")
        self.photos = make(Counter, "photos", "Photos processed.")
        self.faces = make(Counter, "faces", "Faces found in these photos.")
        running = make(Gauge, "recognitions_running", "Requests whose photos are being processed.")
        running.set_function(lambda: workers.working)
        queued = make(Gauge, "recognitions_waiting", "Requests that wait for a free thread.")
        queued.set_function(lambda: workers.queued)
        viewers = make(Gauge, "viewers", "Viewers of /video_feed.")
        viewers.set_function(lambda: feed.viewers if feed else 0)

    def watch(self, app: Flask) -> None:
        """Count and time all requests of the application."""
        app.before_request(self._begin)
        app.after_request(self._responded)
        app.teardown_request(self._end)

    def refused(self, status: int) -> None:
        """Count a request that the server refused before the application received it."""
        self._requests.labels("none", str(status)).inc()

    def page(self) -> Response:
        """Return all metrics in Prometheus' text format."""
        return Response(generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)

    def _begin(self) -> None:
        g.began = time.perf_counter()
        self._in_flight.inc()

    def _responded(self, response: Response) -> Response:
        # The label is the rule, not the path. Clients could invent any number of paths.
        route = request.url_rule.rule if request.url_rule else "none"
        self._requests.labels(route, str(response.status_code)).inc()
        if "began" in g:
            self._seconds.labels(route).observe(time.perf_counter() - g.began)
        return response

    def _end(self, _error: BaseException | None) -> None:
        if "began" in g:
            self._in_flight.dec()
