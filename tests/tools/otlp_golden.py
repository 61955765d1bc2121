# SPDX-License-Identifier: Apache-2.0
"""
Writes tests/unit/otlp_golden.h: requests as Google's protobuf library serialises them, for test_export_encode.c, which
builds the same from our model. Run it again after changing the facts here: otlp_golden.py > tests/unit/otlp_golden.h
"""
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

SCHEMA = "https://opentelemetry.io/schemas/1.45.0"
START = 1795000000000000000


def attributes(to, **pairs):
    for key, value in pairs.items():
        kv = to.add(key=key.replace("__", "."))
        kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(kv.value, kind, value)


def scope(to):
    to.scope.name = "sonde"
    to.scope.version = "1.2.3"
    to.schema_url = SCHEMA
    return to


def span(to, number, kind, name, start, duration, flags):
    s = to.spans.add(trace_id=bytes(range(0x10, 0x20)), span_id=bytes([0] * 7 + [number]), name=name, kind=kind, flags=flags)
    s.start_time_unix_nano = START + start
    s.end_time_unix_nano = START + start + duration
    return s


def traces():
    request = ExportTraceServiceRequest()
    shop = request.resource_spans.add(schema_url=SCHEMA)
    attributes(shop.resource.attributes, service__name="shop", process__pid=42)
    in_shop = scope(shop.scope_spans.add())
    s = span(in_shop, 1, 2, "GET /orders/{id}", 0, 48100000, 0x301)
    s.parent_span_id = bytes([7] + [0] * 7)
    s.trace_state = "a=1,b=2"
    attributes(s.attributes, http__request__method="GET", http__response__status_code=500, half=0.5, yes=True, no=False,
               minus=-1, url__path="/café", error__type="500")
    s.dropped_attributes_count = 3
    s.status.code = 2
    s = span(in_shop, 3, 3, "SELECT items", 1000, 0, 0x103)
    s.parent_span_id = bytes([0] * 7 + [1])
    attributes(s.attributes, db__query__text="SELECT 1" * 100)
    payments = request.resource_spans.add(schema_url=SCHEMA)
    attributes(payments.resource.attributes, service__name="payments")
    span(scope(payments.scope_spans.add()), 2, 2, "POST", 5, 7, 0x101)
    return request


def metrics(exponential):
    request = ExportMetricsServiceRequest()
    shop = request.resource_metrics.add(schema_url=SCHEMA)
    attributes(shop.resource.attributes, service__name="shop", process__pid=42)
    to = scope(shop.scope_metrics.add())
    m = to.metrics.add(name="db.client.operation.duration", unit="s", description="Duration of database client operations.")
    data = m.exponential_histogram if exponential else m.histogram
    data.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    for text, sum_ in (("SELECT items", 0.0125), ("INSERT stock", 0.0)):
        p = data.data_points.add(start_time_unix_nano=START, time_unix_nano=START + 60, sum=sum_)
        attributes(p.attributes, db__query__summary=text)
        if exponential:
            p.scale = 3
            p.positive.SetInParent()
        if exponential and sum_:
            p.positive.offset = -58
            p.positive.bucket_counts.extend([300, 0, 5])
        if not exponential:
            p.explicit_bounds.extend([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])
            p.bucket_counts.extend([0, 0, 300, 5, 0, 0, 0, 0, 0, 0] if sum_ else [0] * 10)
        p.count = 305 if sum_ else 0
    m = to.metrics.add(name="db.client.connection.count", unit="{connection}",
                       description="The number of connections that are currently in the state described by the state attribute.")
    m.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    m.sum.data_points.add(start_time_unix_nano=START, time_unix_nano=START + 60, as_int=7)
    m = to.metrics.add(name="sonde.spans.seen", unit="{span}", description="Exchanges that ended and are worth a span.")
    m.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    m.sum.is_monotonic = True
    m.sum.data_points.add(start_time_unix_nano=START, time_unix_nano=START + 60, as_int=2**40)
    m = to.metrics.add(name="process.memory.usage", unit="By", description="Resident memory of the agent's processes.")
    m.gauge.data_points.add(start_time_unix_nano=START, time_unix_nano=START + 60, as_double=9646899)
    return request


def array(name, message):
    body = message.SerializeToString(deterministic=True)
    print(f"\nstatic const unsigned char {name}[] = {{")
    for i in range(0, len(body), 16):
        print("\t" + " ".join(f"0x{b:02x}," for b in body[i : i + 16]))
    print("};")


print("/* SPDX-License-Identifier: Apache-2.0 */\n/* Written by tests/tools/otlp_golden.py. */\n/* clang-format off */")
array("golden_traces", traces())
array("golden_explicit", metrics(False))
array("golden_exponential", metrics(True))
print("/* clang-format on */")
