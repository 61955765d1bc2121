# SPDX-License-Identifier: Apache-2.0
"""The rounds of run.sh, and their numbers. Standard library only."""
import argparse
import contextlib
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
LIBPQ = ["PQexec", "PQsendQuery", "PQgetResult"]
SETTLE = 4  # s that pgbench runs longer: a new process with libpq has that probed until it proved to be readable without
MEMORY_TARGET = 16  # MiB, all processes of Sonde together


def workloads(args):
    """name: (command, pattern of its operations per second, main process of the server, least throughput ratio)"""
    pgbench = [args.pgbench, "-n", "-S", "-M", "simple", "-T", str(args.seconds + SETTLE), "-h", "127.0.0.1", "-p", str(args.postgres_port),
               "-U", "postgres"]
    url = f"http://127.0.0.1:{args.nginx_port}/some/path?with=query"
    tps = r"number of transactions actually processed: (\d+)"
    out = {
        "nginx keep-alive, wrk -c16": (
            ["wrk", "-t1", "-c16", f"-d{args.seconds}", url], r"(\d+) requests in", args.nginx_pid, {}, 0.88)
    }
    for mode, tls in (("disable", "plain"), ("require", "TLS")):
        for n in (1, 8):
            out[f"pgbench -S {tls}, -c{n}"] = (
                pgbench + ["-c", str(n), "-j1", "bench"], tps, args.postgres_pid, {"PGSSLMODE": mode}, 0.90 if tls == "plain" else None)
    for name, client in large(args).items():
        out[f"large result, {name}"] = (client, r"(\d+) large results", args.mysql_pid if "MariaDB" in name else args.postgres_pid, {}, None)
    return {name: w for name, w in out.items() if re.search(args.only, name)}


def large(args):
    """Results of five million rows. Nothing waits for a CPU but the two ends: what Sonde adds is its price by the row."""
    postgres = ["psql", "-Xqt", "-h", "127.0.0.1", "-p", str(args.postgres_port), "-U", "postgres", "-d", "bench", "-o", "/dev/null", "-c",
                "SELECT generate_series(1, 5000000)"]
    mysql = ["mariadb", "--no-defaults", "-q", "-N", "-h", "127.0.0.1", "-P", str(args.mysql_port), "-u", "bench", f"-p{args.mysql_password}",
             "--skip-ssl", "-e", "SELECT seq FROM seq_1_to_5000000", "bench"]
    run = 'for i in 1 2 3; do PGSSLMODE=disable "$@" >/dev/null || exit 1; done; echo 3 large results'
    return {"PostgreSQL": ["sh", "-c", run, "sh"] + postgres, **({"MariaDB": ["sh", "-c", run, "sh"] + mysql} if args.mysql_pid else {})}


def stat(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def cpu_seconds(pid):
    """Of a process and its children: of those that live, and of those it has waited for."""
    fields = stat(pid)
    total = sum(int(fields[i]) for i in (11, 12, 13, 14))
    for child in children(pid):
        try:
            total += sum(int(stat(child)[i]) for i in (11, 12))
        except OSError:
            pass
    return total / TICK


def memory_mib(pid):
    """Resident, and proportional (pages shared between keeper and worker counted once), of a process and its children."""
    rss = pss = 0
    for p in [pid] + children(pid):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                text = f.read()
        except OSError:
            continue
        rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M)[1])
        pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
    return rss / 1024, pss / 1024


class Sink:
    """Takes what Sonde exports, says thanks, and forgets it: a process of its own, so that its CPU is nobody's else."""

    def __init__(self):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        self.port, self.pid = listener.getsockname()[1], os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                threading.Thread(target=self.serve, args=(listener.accept()[0],), daemon=True).start()
        listener.close()

    @staticmethod
    def serve(conn):
        data, room = b"", bytearray(1 << 20)
        while True:
            while b"\r\n\r\n" not in data:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            if b"100-continue" in head.lower():
                conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = int(re.search(rb"content-length: *(\d+)", head, re.I)[1]) - len(data)
            while left > 0:
                n = conn.recv_into(room, min(left, len(room)))
                if not n:
                    return
                left -= n
            data = b""
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Nobody:
    """The rounds without an observer."""

    name, pid = "bare", None

    def start(self):
        pass

    def stop(self):
        return {}


class Observer:
    def __init__(self, args):
        self.args, self.process, self.pid = args, None, None

    def spawn(self, command, ready, env=None):
        self.out = open(os.path.join(self.args.tmp, f"{self.name}.out"), "w+")
        self.process = subprocess.Popen(command, stdout=self.out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        deadline = time.monotonic() + 30
        while not re.search(ready, self.said()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit(f"error: {self.name} did not become ready:\n{self.said()[-2000:]}")
            time.sleep(0.05)

    def said(self):
        with open(self.out.name) as f:
            return f.read()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            print(f"bench     {self.name} did not stop within 30 s: killed", file=sys.stderr)
            self.process.kill()
            self.process.wait()
        self.out.close()
        return self.summary()


class Sonde(Observer):
    name = "sonde"

    def start(self):
        self.sink = Sink()
        backend = ["--backend", self.args.backend] if self.args.backend else []
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.sink.port}", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
        if self.args.export == "metrics":
            env["OTEL_TRACES_SAMPLER"] = "always_off"
        self.spawn([self.args.sonde, "run"] + backend, r"\bready\b", env)

    def summary(self):
        self.sink.close()
        if self.process.returncode != 0:
            sys.exit(f"error: sonde exited with {self.process.returncode}:\n{self.said()[-2000:]}")
        line = re.search(r"^spans\s+([\d,]+) seen = (.*)$", self.said(), re.M)
        parts = dict((name, int(n.replace(",", ""))) for n, name in re.findall(r"([\d,]+) (exported|dropped)", line[2])) if line else {}
        if "dropped" not in parts:
            sys.exit(f"error: no summary of spans in what sonde said:\n{self.said()[-2000:]}")
        return {"seen": int(line[1].replace(",", "")), "exported": parts.get("exported", 0), "dropped": parts["dropped"]}


class Bpftrace(Observer):
    name = "bpftrace"

    def start(self):
        library = subprocess.run(f"ldd {self.args.pgbench_real} | awk '/libpq/ {{ print $3 }}'", shell=True, text=True,
                                 capture_output=True).stdout.strip()
        probes = " ".join(f"uprobe:{os.path.realpath(library)}:{f} {{ @calls[probe] = count(); }}" for f in LIBPQ)
        self.spawn(["bpftrace", "-e", f'BEGIN {{ printf("ready\\n"); }} {probes}'], r"\bready\b")

    def summary(self):
        counts = re.findall(r"@calls\[.*?:(\w+)\]: (\d+)", self.said())
        return {"calls": {name: int(n) for name, n in counts}}


def measure(workload, observer):
    command, pattern, server, env, _ = workload
    before_server, before_agent = cpu_seconds(server), cpu_seconds(observer.pid) if observer.pid else 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **env})
    began = time.monotonic()
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(pattern, out)
    if status != 0 or not found:
        sys.exit(f"error: {' '.join(command)} failed:\n{out}")
    operations = int(found[1])
    time.sleep(0.3)  # what the agent still has to do for these operations is part of their price
    result = {
        "per_second": operations / took,
        "operations": operations,
        "service_us": 1e6 * (cpu_seconds(server) - before_server + usage.ru_utime + usage.ru_stime) / operations,
        "client_us": 1e6 * (usage.ru_utime + usage.ru_stime) / operations,
    }
    if observer.pid:
        result["agent_us"] = 1e6 * (cpu_seconds(observer.pid) - before_agent) / operations
        result["rss_mib"], result["pss_mib"] = memory_mib(observer.pid)
    return result


def median(rounds, key):
    values = [r[key] for r in rounds if key in r]
    return statistics.median(values) if values else None


def spread(values):
    """Half the distance between the quartiles, relative to the median."""
    q = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return (q[2] - q[0]) / 2 / q[1]


def judge(name, runs, target):
    bare = runs["bare"]
    row = {"workload": name, "target_ratio": target, "bare_per_second": median(bare, "per_second"),
           "bare_spread": spread([r["per_second"] for r in bare]), "bare_service_us": median(bare, "service_us"),
           "bare_client_us": median(bare, "client_us"), "observers": {}}
    for observer in ("sonde", "bpftrace"):
        if observer not in runs:
            continue
        rounds = runs[observer]
        row["observers"][observer] = {
            # Each round against the bare round beside it: what else the machine does cancels out.
            "ratio": statistics.median(r["per_second"] / b["per_second"] for r, b in zip(rounds, bare)),
            "per_second": median(rounds, "per_second"),
            "service_us": median(rounds, "service_us"),
            "agent_us": median(rounds, "agent_us"),
            # Round by round, as the ratio is: added to both ends, and the agent's own.
            "of_client": statistics.median((r["service_us"] - b["service_us"] + r["agent_us"]) / b["client_us"] for r, b in zip(rounds, bare)),
            "rss_mib": max(r["rss_mib"] for r in rounds),
            "pss_mib": max(r["pss_mib"] for r in rounds),
            **{k: sum(r[k] for r in rounds) for k in ("seen", "exported", "dropped") if k in rounds[0]},
        }
    return row


def table(rows, args):
    print(f"medians of {args.rounds} rounds of {args.seconds} s, pgbench {args.seconds + SETTLE} s; CPU in us per request, user and system, of client and server together")
    head = ("workload", "observer", "req/s", "ratio", "target", "service CPU", "added", "agent CPU", "of client", "RSS MiB", "spans", "dropped")
    lines = [head]
    for row in rows:
        lines.append((row["workload"], "none", f"{row['bare_per_second']:,.0f}", f"1 ±{row['bare_spread']:.1%}", "",
                      f"{row['bare_service_us']:.1f}", "", "", "", "", "", ""))
        for name, o in row["observers"].items():
            target = row["target_ratio"] if name == "sonde" else None
            lines.append(("", name, f"{o['per_second']:,.0f}", f"{o['ratio']:.3f}", f">= {target:.2f}" if target else "",
                          f"{o['service_us']:.1f}", f"{o['service_us'] - row['bare_service_us']:+.1f}", f"{o['agent_us']:.1f}", f"{o['of_client']:.1%}",
                          f"{o['rss_mib']:.1f}", f"{o['seen']:,}" if "seen" in o else "", f"{o['dropped']:,}" if "dropped" in o else ""))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip())


def verdict(rows):
    missed = []
    for row in rows:
        o = row["observers"].get("sonde")
        if o and row["target_ratio"] and o["ratio"] < row["target_ratio"]:
            missed.append(f"{row['workload']}: ratio {o['ratio']:.3f}, target {row['target_ratio']:.2f}")
        if o and o["rss_mib"] > MEMORY_TARGET:
            missed.append(f"{row['workload']}: {o['rss_mib']:.1f} MiB, target {MEMORY_TARGET} MiB")
    return missed


def busy(rows):
    return [f"{row['workload']}: bare runs differ by ±{row['bare_spread']:.0%}" for row in rows if row["bare_spread"] > 0.05]


def options():
    p = argparse.ArgumentParser(prog="run.sh")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--only", default="", help="regular expression of workloads")
    p.add_argument("--backend", help="tp_btf, syscall; default: what Sonde chooses")
    p.add_argument("--export", choices=["all", "metrics"], default="all", help="every span and metrics, or metrics only")
    p.add_argument("--json", action="store_true")
    for hidden in ("sonde", "tmp", "pgbench"):
        p.add_argument(f"--{hidden}", required=True, help=argparse.SUPPRESS)
    for hidden in ("nginx-pid", "nginx-port", "postgres-pid", "postgres-port"):
        p.add_argument(f"--{hidden}", type=int, required=True, help=argparse.SUPPRESS)
    for hidden in ("mysql-pid", "mysql-port"):
        p.add_argument(f"--{hidden}", type=int, default=0, help=argparse.SUPPRESS)
    p.add_argument("--mysql-password", default="", help=argparse.SUPPRESS)
    args = p.parse_args()
    args.pgbench_real = os.path.realpath(args.pgbench)
    return args


STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"


@contextlib.contextmanager
def without_statistics():
    """While the kernel times BPF programs it reads the clock twice at each of their runs: of nginx, a fifth of what is measured."""
    with open(STATISTICS) as f:
        before = f.read().strip()
    if before != "0":
        print("bench     kernel.bpf_stats_enabled is off while this runs", file=sys.stderr)
    try:
        set_statistics("0")
        yield
    finally:
        set_statistics(before)


def set_statistics(value):
    with open(STATISTICS, "w") as f:
        f.write(value)


def measure_all(args):
    have_bpftrace = subprocess.run("command -v bpftrace", shell=True, capture_output=True).returncode == 0
    rows = []
    for name, workload in workloads(args).items():
        observers = [Nobody(), Sonde(args)] + ([Bpftrace(args)] if have_bpftrace and "pgbench" in name else [])
        runs = {o.name: [] for o in observers}
        for n in range(args.rounds):
            print(f"bench     {name}: round {n + 1} of {args.rounds}", file=sys.stderr)
            turn = n % len(observers)
            for observer in observers[turn:] + observers[:turn]:
                observer.start()
                result = measure(workload, observer)
                result.update(observer.stop())
                runs[observer.name].append(result)
        rows.append({**judge(name, runs, workload[4]), "runs": runs})
    return rows


def main():
    args = options()
    with without_statistics():
        rows = measure_all(args)
    missed = verdict(rows)
    if args.json:
        json.dump({"rounds": args.rounds, "seconds": args.seconds, "kernel": os.uname().release, "cpus": os.cpu_count(),
                   "memory_target_mib": MEMORY_TARGET, "export": args.export, "workloads": rows, "missed": missed, "busy": busy(rows)}, sys.stdout, indent=1)
        print()
    else:
        table(rows, args)
        print(f"memory target: {MEMORY_TARGET} MiB for all processes of Sonde together")
        print("\n".join("missed: " + m for m in missed) or "all targets met")
        print("".join(f"too busy a machine to tell: {b}\n" for b in busy(rows)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
