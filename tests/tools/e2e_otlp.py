# SPDX-License-Identifier: Apache-2.0
"""What a receiver kept (<seq>-traces.bin, <seq>-metrics.bin), read with Google's protobuf, as plain Python objects."""
import functools
import os
import pathlib
from collections import Counter
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SERVER, CLIENT = 2, 3
DURATION = {"server": "http.server.request.duration", "client": "http.client.request.duration", "db": "db.client.operation.duration"}
HTTP_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, float("inf")]


def service_name(resource):
    """As the tests call it: services of this run are named NAME.$E2E_ID."""
    return resource.get("service.name", "").removesuffix("." + os.environ.get("E2E_ID", " "))


def attributes(pairs):
    return {kv.key: getattr(kv.value, kv.value.WhichOneof("value")) for kv in pairs}


@dataclass
class Span:
    service: str
    resource: dict
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    start: int
    end: int
    status: int
    flags: int
    attrs: dict

    @property
    def ns(self):
        return self.end - self.start

    @property
    def is_sql(self):
        return self.kind == CLIENT and self.attrs.get("db.system.name") in ("postgresql", "mysql", "mariadb")

    @property
    def is_server(self):
        return self.kind == SERVER and "http.request.method" in self.attrs

    @property
    def path(self):
        return self.attrs.get("url.path", "")

    @property
    def text(self):
        return self.attrs.get("db.query.text", "")

    @property
    def rows(self):
        """As the server counts them: returned, or else affected."""
        return self.attrs.get("db.response.returned_rows", self.attrs.get("sonde.db.affected_rows", 0))


@dataclass
class Point:
    service: str
    name: str
    attrs: dict
    start: int
    time: int
    count: int = 0
    sum: float = 0.0
    bounds: list = field(default_factory=list)  # upper bounds of the buckets, the last one is infinite
    counts: list = field(default_factory=list)
    value: float = 0.0


def bodies(directory, signal, kind):
    for path in sorted(pathlib.Path(directory).glob(f"*-{signal}.bin")):
        message = kind()
        message.ParseFromString(path.read_bytes())
        yield message


@functools.lru_cache
def spans(directory):
    out = []
    for request in bodies(directory, "traces", ExportTraceServiceRequest):
        for block in request.resource_spans:
            resource = attributes(block.resource.attributes)
            for scope in block.scope_spans:
                for s in scope.spans:
                    out.append(
                        Span(
                            service_name(resource), resource, s.name, s.kind, s.trace_id.hex(), s.span_id.hex(),
                            s.parent_span_id.hex(), s.start_time_unix_nano, s.end_time_unix_nano, s.status.code, s.flags,
                            attributes(s.attributes),
                        )
                    )
    return out


def histogram_point(point, metric):
    if metric.WhichOneof("data") == "histogram":
        return list(point.explicit_bounds) + [float("inf")], list(point.bucket_counts)
    base = 2 ** (2**-point.scale)
    first = point.positive.offset + 1
    bounds = [base ** (first + i) for i in range(len(point.positive.bucket_counts))]
    return [0.0] + bounds, [point.zero_count] + list(point.positive.bucket_counts)


@functools.lru_cache
def points(directory):
    """The newest point of every series; deltas are not expected here."""
    newest = {}
    for request in bodies(directory, "metrics", ExportMetricsServiceRequest):
        for block in request.resource_metrics:
            resource = attributes(block.resource.attributes)
            identity = tuple(sorted((k, str(v)) for k, v in resource.items()))
            for scope in block.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    for point in data.data_points:
                        attrs = attributes(point.attributes)
                        p = Point(service_name(resource), metric.name, attrs, point.start_time_unix_nano,
                                  point.time_unix_nano)
                        if metric.WhichOneof("data") in ("histogram", "exponential_histogram"):
                            p.count, p.sum = point.count, point.sum
                            p.bounds, p.counts = histogram_point(point, metric)
                        else:
                            p.value = getattr(point, point.WhichOneof("value"))
                        key = (identity, metric.name, tuple(sorted((k, str(v)) for k, v in attrs.items())))
                        if key not in newest or newest[key].time <= p.time:
                            newest[key] = p
    return list(newest.values())


def merged(histograms):
    """Points of one metric as one {upper bound: count}."""
    total = Counter()
    for p in histograms:
        total.update(dict(zip(p.bounds, p.counts)))
    return dict(sorted(total.items()))


def bucket_of(bounds, seconds):
    return next((i for i, bound in enumerate(bounds) if seconds <= bound), len(bounds) - 1)


def quantile_bucket(buckets, q):
    """Index of the bucket that the q-quantile falls in."""
    rank, seen = q * sum(buckets.values()), 0
    for i, n in enumerate(buckets.values()):
        seen += n
        if seen >= rank:
            return i
    return len(buckets) - 1
