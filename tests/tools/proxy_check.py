# SPDX-License-Identifier: Apache-2.0
"""
A proxy of a database asks each statement of its clients once more: proxy_check.py --spans DIR --service NAME --proxy NAME --linked PART

Both say the same statements, which name the id of their request (AS id_r17). One of the proxy is below the service's with the
same text, in the same trace and within its time, or has no parent; at least PART of them has that.
"""
import argparse
import sys
from collections import Counter

import e2e_otlp


def main():
    p = argparse.ArgumentParser()
    for name in ("spans", "service", "proxy"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--linked", type=float, required=True)
    a = p.parse_args()
    spans = [s for s in e2e_otlp.spans(a.spans) if s.service in (a.service, a.proxy) and s.is_sql and " AS id_" in s.text]
    by_id = {s.id: s for s in spans if s.service == a.service}
    seen, said = Counter(), {name: Counter(s.text for s in spans if s.service == name) for name in (a.service, a.proxy)}
    for span in (s for s in spans if s.service == a.proxy):
        above = by_id.get(span.parent)
        if not above:
            seen["none" if span.parent == "" else "unknown"] += 1
        elif above.text == span.text and above.trace == span.trace and above.start <= span.start and span.end <= above.end:
            seen["right"] += 1
        else:
            seen["wrong"] += 1
            print(f"wrong: {span.text} below {above.text}, {span.start - above.start} ns after it, {above.end - span.end} before its end")
    print(dict(seen), f"of {sum(said[a.service].values())} statements")
    if said[a.service] != said[a.proxy]:
        print("not the same:", (said[a.service] - said[a.proxy]) + (said[a.proxy] - said[a.service]))
    bad = seen["wrong"] or seen["unknown"] or said[a.service] != said[a.proxy] or not by_id
    sys.exit(1 if bad or seen["right"] < a.linked * sum(seen.values()) else 0)


main()
