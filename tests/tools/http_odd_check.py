# SPDX-License-Identifier: Apache-2.0
"""
http_odd_check.py SPANS ASKED.json ORIGIN.jsonl: what odd_client.py asked, each once at either end with its status, and
nothing that nobody asked. The server's own log must agree with the client first.
"""
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

import e2e_otlp


def main():
    directory, asked_file, log = sys.argv[1:]
    with open(asked_file, encoding="utf-8") as file:
        asked = Counter(json.load(file))
    with open(log, encoding="utf-8") as file:
        served = Counter(path for path in (json.loads(line)["path"].split("?")[0] for line in file) if path in asked)
    spans = [s for s in e2e_otlp.spans(directory) if s.service in ("plain", "odd")]
    ends = {
        "server": [(s.path, s) for s in spans if s.is_server and (s.path in asked or "odd-" in s.path or not s.path)],
        "client": [(urlsplit(s.attrs.get("url.full", "")).path, s) for s in spans if s.service == "odd"],
    }
    bad = served != asked or len(asked) < 15
    print(f"asked {sum(asked.values())}, served {sum(served.values())}")
    for end, seen in ends.items():
        counted = Counter(path for path, _ in seen)
        print(f"{end}: {sum(counted.values())}; missing {dict(asked - counted)}, too many {dict(counted - asked)}")
        bad |= counted != asked
        for path, s in seen:
            status = s.attrs.get("http.response.status_code")
            if (status, s.attrs.get("error.type")) != ((None, "connection_reset") if "given-up" in path else (200, None)):
                print(f"{end}: {path} {status} {s.attrs.get('error.type')}")
                bad = True
    sys.exit(bool(bad))


main()
