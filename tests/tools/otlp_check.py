# SPDX-License-Identifier: Apache-2.0
"""
Reads recorded OTLP request bodies (DIR/*-traces.bin, DIR/*-metrics.bin) with Google's protobuf and asserts what every
receiver may expect of them. Prints what is wrong, at most 20 lines, and ends with 1; else one line with what it read.
"""
import argparse
import pathlib
import sys
from collections import Counter

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SCHEMA = "https://opentelemetry.io/schemas/1.45.0"
ERROR = 2
KINDS = range(1, 6)
DELTA, CUMULATIVE = 1, 2


class Findings:
    def __init__(self):
        self.wrong = []
        self.seen = Counter()

    def expect(self, good, *what):
        if not good:
            self.wrong.append(" ".join(str(w) for w in what))


def unknown_fields(message):
    """Google's library keeps what it does not know, so a round trip alone would not show it."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for one in value if descriptor.is_repeated else [value]:
            yield from unknown_fields(one)
    try:
        from google.protobuf.unknown_fields import UnknownFieldSet

        yield from (f"{message.DESCRIPTOR.full_name}.{u.field_number}" for u in UnknownFieldSet(message))
    except ImportError:
        pass


def check_attributes(f, where, pairs):
    keys = [kv.key for kv in pairs]
    f.expect(len(set(keys)) == len(keys), where, "has a key twice:", keys)
    for kv in pairs:
        which = kv.value.WhichOneof("value")
        f.expect(kv.key, where, "has an empty key")
        f.expect(which, where, kv.key, "has no value")
        if which == "string_value":
            f.expect(kv.value.string_value, where, kv.key, "is an empty string")
            f.expect("\0" not in kv.value.string_value, where, kv.key, "has a NUL")
    return {kv.key: getattr(kv.value, kv.value.WhichOneof("value") or "string_value") for kv in pairs}


def check_envelope(f, where, block, scopes):
    attrs = check_attributes(f, where + " resource", block.resource.attributes)
    f.expect(attrs.get("service.name"), where, "resource without service.name")
    f.expect(block.schema_url == SCHEMA, where, "resource schema_url", repr(block.schema_url))
    f.expect(len(scopes) > 0, where, "resource without scopes")
    for scope in scopes:
        f.expect(scope.scope.name == "sonde", where, "scope name", repr(scope.scope.name))
        f.expect(scope.scope.version, where, "scope without version")
        f.expect(scope.schema_url == SCHEMA, where, "scope schema_url", repr(scope.schema_url))


def check_span(f, where, span):
    where = f"{where} span {span.span_id.hex()} {span.name!r}"
    f.seen["spans"] += 1
    f.expect(len(span.trace_id) == 16 and any(span.trace_id), where, "trace_id", span.trace_id.hex())
    f.expect(len(span.span_id) == 8 and any(span.span_id), where, "span_id")
    f.expect(not span.parent_span_id or (len(span.parent_span_id) == 8 and any(span.parent_span_id)), where, "parent_span_id")
    f.expect(span.parent_span_id != span.span_id, where, "is its own parent")
    f.expect(span.name, where, "has no name")
    f.expect(span.kind in KINDS, where, "kind", span.kind)
    f.expect(span.start_time_unix_nano > 0, where, "has no start")
    f.expect(span.end_time_unix_nano >= span.start_time_unix_nano, where, "ends before it starts")
    f.expect(span.flags & 0x100 and not span.flags >> 10, where, "flags", hex(span.flags))
    f.expect(not span.flags & 0x200 or span.parent_span_id, where, "has a remote parent without an id")
    f.expect(len(span.events) == 0, where, "has events")
    f.expect(span.status.code in (0, ERROR), where, "status", span.status.code)
    attrs = check_attributes(f, where, span.attributes)
    f.expect((span.status.code == ERROR) == ("error.type" in attrs), where, "status", span.status.code, "with error.type",
             attrs.get("error.type"))
    f.expect(span.status.code == ERROR or not span.status.message, where, "has a status message without an error")


def check_traces(f, where, request):
    ids = Counter()
    f.expect(len(request.resource_spans) > 0, where, "is empty")
    for block in request.resource_spans:
        check_envelope(f, where, block, block.scope_spans)
        for scope in block.scope_spans:
            f.expect(len(scope.spans) > 0, where, "scope without spans")
            for span in scope.spans:
                check_span(f, where, span)
                ids[span.trace_id + span.span_id] += 1
    return ids


def check_histogram(f, where, kind, point):
    f.expect(point.HasField("sum"), where, "has no sum")
    f.expect(point.sum >= 0, where, "sum", point.sum)
    if kind == "histogram":
        bounds = list(point.explicit_bounds)
        f.expect(len(point.bucket_counts) == len(bounds) + 1, where, "has", len(point.bucket_counts), "buckets")
        f.expect(bounds == sorted(set(bounds)), where, "bounds", bounds)
        f.expect(sum(point.bucket_counts) == point.count, where, "buckets", sum(point.bucket_counts), "of", point.count)
    else:
        total = point.zero_count + sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts)
        f.expect(total == point.count, where, "buckets", total, "of", point.count)
        f.expect(-10 <= point.scale <= 20, where, "scale", point.scale)


UP_AND_DOWN = {"db.client.connection.count"}


def check_metric(f, where, metric, series):
    where = f"{where} {metric.name}"
    kind = metric.WhichOneof("data")
    f.expect(kind, where, "has no data")
    f.expect(metric.unit, where, "has no unit")
    f.expect(metric.description, where, "has no description")
    if not kind:
        return
    data = getattr(metric, kind)
    f.expect(len(data.data_points) > 0, where, "has no points")
    if kind != "gauge":
        f.expect(data.aggregation_temporality in (DELTA, CUMULATIVE), where, "has no temporality")
    if kind == "sum":
        f.expect(data.is_monotonic != (metric.name in UP_AND_DOWN), where, "is monotonic:", data.is_monotonic)
        if metric.name in UP_AND_DOWN:
            f.expect(data.aggregation_temporality == CUMULATIVE, where, "is a delta")
    for point in data.data_points:
        f.seen["points"] += 1
        attrs = check_attributes(f, where, point.attributes)
        key = (metric.name, tuple(sorted((k, str(v)) for k, v in attrs.items())))
        f.expect(key not in series, where, "has a series twice:", attrs)
        series.add(key)
        f.expect(point.time_unix_nano > 0, where, "has no time")
        if kind != "gauge":
            f.expect(0 < point.start_time_unix_nano <= point.time_unix_nano, where, "start", point.start_time_unix_nano)
        if kind in ("histogram", "exponential_histogram"):
            check_histogram(f, where, kind, point)
        else:
            f.expect(point.WhichOneof("value"), where, "has no value")


def check_metrics(f, where, request):
    f.expect(len(request.resource_metrics) > 0, where, "is empty")
    for block in request.resource_metrics:
        check_envelope(f, where, block, block.scope_metrics)
        series = set()
        for scope in block.scope_metrics:
            names = [m.name for m in scope.metrics]
            f.expect(len(set(names)) == len(names), where, "has a metric twice:", names)
            for metric in scope.metrics:
                check_metric(f, where, metric, series)


def read(f, path, kind):
    body = path.read_bytes()
    request = kind()
    try:
        request.ParseFromString(body)
    except Exception as error:  # whatever Google's library thinks of it
        f.expect(False, path.name, "does not decode:", error)
        return None
    f.seen["requests"] += 1
    f.seen["bytes"] += len(body)
    f.expect(request.SerializeToString(deterministic=True) == body, path.name, "is not what Google's library writes")
    for unknown in unknown_fields(request):
        f.expect(False, path.name, "has a field that is not in OTLP:", unknown)
    return request


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--spans", type=int, help="exactly so many spans were sent")
    parser.add_argument("--max-request", type=int, default=4 << 20, help="no body is larger")
    args = parser.parse_args()
    f = Findings()
    ids = Counter()
    for path in sorted(args.directory.glob("*-traces.bin")):
        f.expect(path.stat().st_size <= args.max_request, path.name, "has", path.stat().st_size, "bytes")
        request = read(f, path, ExportTraceServiceRequest)
        if request:
            ids += check_traces(f, path.name, request)
    for path in sorted(args.directory.glob("*-metrics.bin")):
        request = read(f, path, ExportMetricsServiceRequest)
        if request:
            check_metrics(f, path.name, request)
    twice = [i.hex() for i, n in ids.items() if n > 1]
    f.expect(not twice, "sent twice:", len(twice), twice[:3])
    f.expect(f.seen["requests"], "no requests in", args.directory)
    if args.spans is not None:
        f.expect(f.seen["spans"] == args.spans, f.seen["spans"], "spans, expected", args.spans)
    for line in f.wrong[:20]:
        print("wrong:", line)
    if f.wrong:
        print(f"{len(f.wrong)} wrong")
        return 1
    print("ok:", ", ".join(f"{n} {what}" for what, n in sorted(f.seen.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
