# SPDX-License-Identifier: Apache-2.0
"""
Compares the spans and histograms of tests/tools/socket_calls.c with what it says to have exchanged:
calls_check.py --otlp DIR --made FILE [--service NAME] [--but CALL...]

Of each family of sockets and each call every request is there once at both ends, whole and without error. Of calls that begin
with one of --but nothing is asked.
"""
import argparse
import sys
from collections import Counter

import e2e_otlp


def made(path):
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file]
    return {(family, call): int(n) for family, call, n in rows if n != "-"}


def path_of(span):
    return span.path or "/" + span.attrs.get("url.full", "").split("/", 3)[-1]


def seen(spans):
    """Requests that are whole, by family and call, and what is wrong with the others."""
    whole, odd, paths = Counter(), [], set()
    for span in spans:
        path = path_of(span)
        if path in paths:
            odd.append(f"twice {path}")
            continue
        paths.add(path)
        _, family, call, number = path.split("/")
        right = span.attrs.get("http.request.method") == ("POST" if int(number) % 2 else "GET")
        if right and span.attrs.get("http.response.status_code") == 200 and "error.type" not in span.attrs:
            whole[family, call] += 1
        else:
            odd.append(f"{path}: {span.attrs}")
    return whole, odd


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--otlp", required=True)
    p.add_argument("--made", required=True)
    p.add_argument("--service", default="calls")
    p.add_argument("--but", nargs="*", default=[])
    a = p.parse_args()
    expected = {key: n for key, n in made(a.made).items() if not key[1].startswith(tuple(a.but))}
    spans = [s for s in e2e_otlp.spans(a.otlp) if s.service == a.service and tuple(path_of(s).split("/")[1:3]) in expected]
    failed, all_of = [], sum(expected.values())
    for what, kind in (("server", e2e_otlp.SERVER), ("client", e2e_otlp.CLIENT)):
        whole, odd = seen([s for s in spans if s.kind == kind])
        failed += [f"{what}: {line}" for line in odd]
        failed += [f"{what}: {' '.join(key)}: {whole[key]} of {n}" for key, n in expected.items() if whole[key] != n]
        word = "ok" if sum(whole.values()) == all_of else "FAIL"
        print(f"{word} {what}'s requests by {len(expected)} families and calls: {sum(whole.values())}, expected {all_of}")
    print("\n".join(failed))
    sys.exit(1 if failed or not expected else 0)


main()
