# SPDX-License-Identifier: Apache-2.0
"""
http_pipelines_check.py SPANS ASKED.json SERVER CLIENT: what pipelines.py asked, once at either end with its path, and as
often in the histograms; nothing that nobody asked, nothing lost.
"""
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

import e2e_otlp


def main():
    directory, asked_file, server, client = sys.argv[1:]
    with open(asked_file, encoding="utf-8") as file:
        asked = Counter(json.load(file))
    name = next(iter(asked)).split("/")[2].split("-")[0] + "-"
    bad = sum(asked.values()) < 15
    for end, service in (("server", server), ("client", client)):
        seen = [(s.path or urlsplit(s.attrs.get("url.full", "")).path, s) for s in e2e_otlp.spans(directory)
                if s.service == service and s.kind == (e2e_otlp.SERVER if end == "server" else e2e_otlp.CLIENT)]
        seen = [(path, s) for path, s in seen if name in path or not path.count("/") >= 2]
        counted = Counter(path for path, _ in seen)
        count = sum(p.count for p in e2e_otlp.points(directory) if p.service == service and p.name == e2e_otlp.DURATION[end])
        print(f"{end}: {sum(counted.values())} spans, {count} in the histogram, {sum(asked.values())} asked")
        for what, paths in (("missing", asked - counted), ("too many", counted - asked)):
            if paths:
                print(f"  {what}:", ", ".join(f"{path} {n} of {asked[path]}" for path, n in paths.items()))
        bad |= counted != asked or count != sum(asked.values())
        for path, s in seen:
            left = "left-body-" in path and "-two-" not in path
            if left != (s.attrs.get("error.type") == "connection_reset") and (left or "left-" not in path):
                print(f"  {path}: {s.attrs}")
                bad = True
            if not 0 < s.ns < 20e9:
                print(f"  {path} took {s.ns} ns")
                bad = True
    sys.exit(bool(bad))


main()
