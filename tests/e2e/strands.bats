#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Services whose runtime gives threads to requests in turn, or requests to threads: each statement is below the request that
# it ran for, however many are open, and work of no request below none.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

SERVICES="go_pq go_pgx go_http tokio tokio_connections tokio_shared tokio_started gevent waitress starlette middleware shield django executor deferred uvloop uvloop_tls uvloop_threads node node_both node_queue node_client node_transaction node_several node_elsewhere node_pipelined selectors handover handover_late turns virtual virtual_21 virtual_tls pool schedulers posted ahead"

setup_file() {
	e2e_missing root venv postgres go node java && return 0
	e2e_begin
	DRIVERS_HOME=$(drivers_home) || return 0
	export DRIVERS_HOME
	(cd "$BATS_TEST_DIRNAME/app/go_service" && go build -o "$E2E/go_service" .)
	gcc -Wall -Wextra -O1 -o "$E2E/tokio_tasks" "$BATS_TEST_DIRNAME/app/tokio_tasks.c"
	gcc -Wall -Wextra -O1 -o "$E2E/tokio_hands" "$BATS_TEST_DIRNAME/app/tokio_hands.c"
	gcc -Wall -Wextra -O1 -pthread -o "$E2E/handover" "$BATS_TEST_DIRNAME/app/handover.c"
	gcc -Wall -Wextra -O1 -pthread -o "$E2E/schedulers" "$BATS_TEST_DIRNAME/app/schedulers.c"
	gcc -Wall -Wextra -O1 -pthread -o "$E2E/posted" "$BATS_TEST_DIRNAME/app/posted.c"
	gcc -Wall -Wextra -O1 -pthread -o "$E2E/ahead" "$BATS_TEST_DIRNAME/app/ahead.c"
	JDK21=$("$E2E_ROOT/tests/referees/jdk.sh" 21) && JDK25=$("$E2E_ROOT/tests/referees/jdk.sh" 25) || return 0
	export JDK25
	javac -d "$E2E" "$BATS_TEST_DIRNAME/app/java/Virtual.java" # those have no compiler
	pg_start
	# shellcheck disable=SC2086 # several
	services_observed $SERVICES
}

one_service() { # NAME BACKEND
	local port conns=16 pace=()
	port=$(e2e_port)
	[ "$1" != node_pipelined ] || conns=2
	[ "$1" != deferred ] || pace=(--rate 200)
	OTEL_SERVICE_NAME="$1.$E2E_ID" PGHOST=127.0.0.1 PGUSER=shop PGDATABASE=$1 PYTHONPATH=$BATS_TEST_DIRNAME/app \
		serve "$1" "$1-$2" "$port"
	e2e_wait 20 e2e_listens "$port"
	case $1 in
	# Until an answer has shown how such a service works, its first statements are taken for those of other ones.
	deferred | schedulers) load "first-$1-$2" "127.0.0.1:$port" --requests 64 --conns 16 --first 2000 --mix plain=1 --keep-alive ;;
	posted) load "first-$1-$2" "127.0.0.1:$port" --requests 800 --conns 16 --first 2000 --mix warm=3,plain=1 --keep-alive ;;
	# The first that is not sure has its tasks probed, for the others.
	tokio_*)
		load "first-$1-$2" "127.0.0.1:$port" --requests 64 --conns 16 --first 2000 --mix orders=3,plain=1 --keep-alive
		load "second-$1-$2" "127.0.0.1:$port" --requests 60 --rate 60 --conns 2 --first 3000 --mix plain=1 --keep-alive
		cat "$E2E/second-$1-$2.jsonl" >>"$E2E/first-$1-$2.jsonl"
		;;
	# What such a process is, Sonde is told by its files: on a busy host that takes a while.
	go_* | handover_late | turns | virtual* | selectors) load "first-$1-$2" "127.0.0.1:$port" --requests 60 --rate 60 --conns 2 --first 2000 --mix plain=1 --keep-alive ;;
	# It takes many to meet the moment in which one begins or ends.
	pool) load "first-$1-$2" "127.0.0.1:$port" --requests 12000 --conns 3 --first 2000 --mix orders=3,plain=1 --keep-alive ;;
	esac
	services_asked "$1" "$2" "127.0.0.1:$port" 320 "$conns" "${pace[@]}"
	[ ! -e "$E2E/first-$1-$2.jsonl" ] || cat "$E2E/first-$1-$2.jsonl" >>"$E2E/together-$1-$2.jsonl"
	e2e_stop "$1-$2"
}

serve() { # NAME PROCESS PORT
	case $1 in
	go_http)
		e2e_start "$2-back" env OTEL_SERVICE_NAME="back.$E2E_ID" "$E2E/go_service" "127.0.0.1:$(e2e_port | tee "$E2E/back.port")" pgx \
			"postgres://shop@127.0.0.1:$PGPORT/$1?sslmode=disable"
		e2e_wait 10 e2e_listens "$(cat "$E2E/back.port")"
		e2e_start "$2" "$E2E/go_service" "127.0.0.1:$3" http "http://127.0.0.1:$(cat "$E2E/back.port")"
		;;
	go_*) e2e_start "$2" "$E2E/go_service" "127.0.0.1:$3" "${1#go_}" "postgres://shop@127.0.0.1:$PGPORT/$1?sslmode=disable" ;;
	tokio) e2e_start "$2" "$E2E/tokio_tasks" "$3" "$PGPORT" shop "$1" ;;
	tokio_*) e2e_start "$2" "$E2E/tokio_hands" "$3" "$PGPORT" shop "$1" "${1#tokio_}" ;;
	pool) e2e_start "$2" "$E2E/handover" "$3" "$PGPORT" shop "$1" ;;
	schedulers | posted | ahead) e2e_start "$2" "$E2E/$1" "$3" "$PGPORT" shop "$1" ;;
	gevent) e2e_start "$2" "$E2E_PYTHON" -m gunicorn -k gevent -b "127.0.0.1:$3" wsgi_service:application ;;
	node) NODE_PATH=$DRIVERS_HOME/node/node_modules e2e_start "$2" node "$BATS_TEST_DIRNAME/app/node_service.js" "$3" ;;
	node_both) NODE_PATH=$DRIVERS_HOME/node/node_modules e2e_start "$2" node "$BATS_TEST_DIRNAME/app/node_service.js" "$3" 8 both ;;
	node_queue | node_client | node_transaction | node_several | node_elsewhere)
		NODE_PATH=$DRIVERS_HOME/node/node_modules e2e_start "$2" node "$BATS_TEST_DIRNAME/app/node_service.js" "$3" 4 "${1#node_}"
		;;
	node_pipelined) e2e_start "$2" node "$BATS_TEST_DIRNAME/app/node_pipelined.js" "$3" ;;
	turns)
		e2e_start "$2" java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$DRIVERS_HOME/java/postgresql.jar" \
			"$BATS_TEST_DIRNAME/app/java/Turns.java" "$3" "jdbc:postgresql://127.0.0.1:$PGPORT/$1?user=shop&sslmode=disable"
		;;
	handover | handover_late)
		local late=()
		[ "$1" = handover ] || late=(late)
		e2e_start "$2" java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$DRIVERS_HOME/java/postgresql.jar" \
			"$BATS_TEST_DIRNAME/app/java/Handover.java" "$3" "jdbc:postgresql://127.0.0.1:$PGPORT/$1?user=shop&sslmode=disable" \
			"${late[@]}"
		;;
	virtual | virtual_tls)
		local ssl=disable
		[ "$1" = virtual ] || ssl=require
		e2e_start "$2" "$JDK25/bin/java" -XX:TieredStopAtLevel=1 -XX:+UseZGC -XX:+UseCompactObjectHeaders -Xmx128m \
			-Djdk.virtualThreadScheduler.parallelism=4 -cp "$E2E:$DRIVERS_HOME/java/postgresql.jar" Virtual "$3" \
			"jdbc:postgresql://127.0.0.1:$PGPORT/$1?user=shop&sslmode=$ssl"
		;;
	virtual_21)
		e2e_start "$2" "$JDK21/bin/java" -XX:TieredStopAtLevel=1 -XX:+UseParallelGC -Xmx64m \
			-Djdk.virtualThreadScheduler.parallelism=4 -cp "$E2E:$DRIVERS_HOME/java/postgresql.jar" Virtual "$3" \
			"jdbc:postgresql://127.0.0.1:$PGPORT/$1?user=shop&sslmode=disable"
		;;
	starlette | middleware | shield | django | executor | deferred)
		ASGI=$1 e2e_start "$2" "$E2E_PYTHON" -m uvicorn --loop asyncio --log-level warning --port "$3" asgi_service:application
		;;
	uvloop | uvloop_tls | uvloop_threads)
		declare -A asgi=([uvloop]=middleware [uvloop_tls]=shield [uvloop_threads]=starlette)
		PGSSLMODE=$([ "$1" != uvloop_tls ] && echo disable || echo require) ASGI=${asgi[$1]} e2e_start "$2" "$E2E_PYTHON" \
			-m uvicorn --loop uvloop --log-level warning --port "$3" asgi_service:application
		;;
	selectors) e2e_start "$2" "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/selectors_service.py" "$3" ;;
	waitress) e2e_start "$2" "$E2E_PYTHON" -m waitress --listen "127.0.0.1:$3" wsgi_service:application ;;
	esac
}

teardown_file() { e2e_end; }
setup() {
	e2e_need root venv postgres go node java
	[ -n "${DRIVERS_HOME:-}" ] || skip "the database drivers are not there: $(drivers_home 2>&1 | tail -1)"
	[ -n "${JDK25:-}" ] || skip "the Java runtimes are not there: $("$E2E_ROOT/tests/referees/jdk.sh" 25 2>&1 | tail -1)"
}

@test "net/http and lib/pq, 16 requests at a time on 4 connections: statements are below their requests" { services_check go_pq 0.6; }
@test "net/http and pgx, 16 requests at a time on 4 connections: statements are below their requests" { services_check go_pgx 0.6; }
@test "net/http and its client, 16 requests at a time: calls of the other service are below their requests" { services_check go_http 0.6 "" --asks; }
@test "tasks of tokio, 16 requests at a time on 4 connections, in one thread: statements are below their requests" { services_check tokio 0.8; }
@test "tasks of tokio that hand statements to the tasks of 4 connections: they are below their requests" { services_check tokio_connections 0.6; }
@test "tasks of tokio that hand statements to the task of one connection, which writes several at once: none is below another's request" { services_check tokio_shared 0; }
@test "tasks of tokio that start others, which wait for one of 4 connections: statements are below their requests" { services_check tokio_started 0.6; }
@test "gunicorn's gevent worker, 16 requests at a time in one thread: statements are below their requests" { services_check gevent 0.8; }
@test "waitress, whose threads work on what another has read: statements are below their requests" { services_check waitress 0.8; }
@test "an event loop without tasks, as Twisted's, with threads of its own: one request at a time has its statements" { services_check selectors 0; }
@test "Starlette's functions without async, which threads of a pool run: statements are below their requests" { services_check starlette 0.8; }
@test "Starlette's functions below BaseHTTPMiddleware, and tasks that these wait for: statements are below their requests" { services_check middleware 0.5; }
@test "tasks that are waited for by asyncio.shield(): statements are below their requests" { services_check shield 0.8; }
@test "Django's views under ASGI, which threads of their own run: statements are below their requests" { services_check django 0.8; }
@test "functions that an event loop leaves to an executor: statements are below their requests" { services_check executor 0.8; }
@test "a loop that writes in the end of its turn what its tasks have given it, and is not known as uvloop: no statement is below another's request" { services_check deferred 0; }
@test "uvicorn on uvloop, asyncpg, 16 requests at a time: statements are below their requests" { services_check uvloop 0.8; }
@test "uvicorn on uvloop, asyncpg over TLS: statements are below their requests" { services_check uvloop_tls 0.8; }
@test "uvicorn on uvloop, whose functions without async threads run: statements are below their requests" { services_check uvloop_threads 0.8; }
@test "node and pg, 16 requests at a time in one thread: statements are below their requests once the pool has filled" { services_check node 0.7; }
@test "node, whose requests ask for two things at once, in the queue of a pool: no statement is below another's request" { services_check node_both 0.3; }
@test "node and pg, 16 requests at a time, whose statements wait for one of four connections" { services_check node_queue 0.5; }
@test "node and pg, 16 requests that each wait for one of four connections, for all their statements" { services_check node_client 0.6; }
@test "node and pg, the same in transactions" { services_check node_transaction 0.8; }
@test "node and pg, whose connections begin with several statements in a text, as those of Sequelize" { services_check node_several 0.5; }
@test "node and pg, requests that wait for timers, files and threads besides: no statement is below another's request" { services_check node_elsewhere 0.3; }
@test "node, whose client of PostgreSQL writes after other requests were read: no statement is below these" { services_check node_pipelined 0; }
@test "Java, whose threads leave statements to a pool's: they are below a request that is open alone" { services_check handover 0; }
@test "Java, whose pool is started by the first requests of several: no statement is below another's" { services_check handover_late 0; }
@test "Java, whose threads take turns at each request: no statement is below another's" { services_check turns 0 "" --moves; }
@test "Java's virtual threads, whose objects move: statements are below their requests" { services_check virtual 0.9; }
@test "Java's virtual threads, before JDK 24" { services_check virtual_21 0.9; }
@test "Java's virtual threads, which ask PostgreSQL over TLS" { services_check virtual_tls 0.9; }
@test "threads that leave statements to a pool's, 3 requests at a time, of which one ends while another asks: no statement is below another's request" { services_check pool 0; }
@test "threads that take turns at each request: no statement is below a request that is over" { services_check schedulers 0 "" --moves; }
@test "threads that take what comes next of any request from a queue: no statement is below another's request" { services_check posted 0 "" --moves; }
@test "threads that read a client's next request ahead and leave it to another: statements are below their requests" { services_check ahead 0.4 "" --moves; }
