# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The real Jaeger, built by tests/referees/jaeger/build.sh.

jaeger_binary() { echo "${SONDE_JAEGER:-$("$E2E_ROOT/tests/referees/jaeger/build.sh" --cached 2>/dev/null)}"; }

jaeger_need() {
	[ -n "${SONDE_JAEGER_WHY:-}" ] && skip "$SONDE_JAEGER_WHY"
	[ -x "$(jaeger_binary)" ] || skip "$("$E2E_ROOT/tests/referees/jaeger/build.sh" --cached 2>&1)"
}

jaeger_start() {
	JAEGER_HEALTH_PORT=$(e2e_port) JAEGER_QUERY_PORT=$(e2e_port) JAEGER_QUERY_GRPC_PORT=$(e2e_port)
	JAEGER_OTLP_GRPC_PORT=$(e2e_port) JAEGER_OTLP_HTTP_PORT=$(e2e_port)
	export JAEGER_HEALTH_PORT JAEGER_QUERY_PORT JAEGER_QUERY_GRPC_PORT JAEGER_OTLP_GRPC_PORT JAEGER_OTLP_HTTP_PORT
	e2e_start jaeger env OTEL_SERVICE_NAME=jaeger "$(jaeger_binary)" --config "$E2E_ROOT/tests/referees/jaeger/jaeger.yaml"
	e2e_wait 20 jaeger_get "$JAEGER_HEALTH_PORT" /status
}

jaeger_get() { curl -sf --max-time 10 "http://127.0.0.1:$1$2"; }

# jaeger_trace TRACE-ID: OTLP as JSON, from the v3 query API.
jaeger_trace() { jaeger_get "$JAEGER_QUERY_PORT" "/api/v3/traces/$1"; }
