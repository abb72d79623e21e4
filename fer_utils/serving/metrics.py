"""What Prometheus may know of the server: counts and durations, nothing about a photo or a face."""

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
    """The metrics of one application, in a registry of their own.

    Args:
        workers: their work and their queue are shown.
        feed: its viewers are shown; None where there is none.
    """

    def __init__(self, workers: Workers, feed: Feed | None) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files

        def make(kind: type, name: str, what: str, labels: tuple = (), **options):
            return kind(f"fer_study_{name}", what, labels, registry=self._registry, **options)

        self._requests = make(
            Counter, "requests", "Answers, by route and status.", ("route", "status")
        )
        self._seconds = make(
            Histogram,
            "request_seconds",
            "Seconds from a whole request to its answer.",
            ("route",),
            buckets=_SECONDS,
        )
        self._in_flight = make(Gauge, "requests_in_flight", "Requests that are being answered now.")
        self.photos = make(Counter, "photos", "Photos looked at.")
        self.faces = make(Counter, "faces", "Faces found in them.")
        make(
            Gauge, "recognitions_running", "Requests whose photos are being looked at now."
        ).set_function(lambda: workers.working)
        make(Gauge, "recognitions_waiting", "Requests that wait for that.").set_function(
            lambda: workers.queued
        )
        make(Gauge, "viewers", "Viewers of /video_feed.").set_function(
            lambda: feed.viewers if feed else 0
        )

    def watch(self, app: Flask) -> None:
        """Count and time all that the application answers."""
        app.before_request(self._begin)
        app.after_request(self._answered)
        app.teardown_request(self._end)

    def refused(self, status: int) -> None:
        """Count an answer that the server gave before the application saw the request."""
        self._requests.labels("none", str(status)).inc()

    def page(self) -> Response:
        """All of them in Prometheus' text format."""
        return Response(generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)

    def _begin(self) -> None:
        g.began = time.perf_counter()
        self._in_flight.inc()

    def _answered(self, response: Response) -> Response:
        # The rule and not the path: a client could make up as many paths as it likes.
        route = request.url_rule.rule if request.url_rule else "none"
        self._requests.labels(route, str(response.status_code)).inc()
        if "began" in g:
            self._seconds.labels(route).observe(time.perf_counter() - g.began)
        return response

    def _end(self, _error: BaseException | None) -> None:
        if "began" in g:
            self._in_flight.dec()
