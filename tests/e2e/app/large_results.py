# SPDX-License-Identifier: Apache-2.0
"""
large_results.py URL: results that come in large reads, on connections that do
not speak in turns. Prints what each statement, known by the name of its column, gave: {"rNN": {"rows": N} or
{"error": SQLSTATE}}.
"""
import asyncio
import json
import sys

DID = {}
ZEROS = "SELECT i % 30000 * 65536 AS {} FROM generate_series(1, 60000) i"  # as binary numbers, each row ends with two NULs


def did(name, rows=None, error=None):
    DID[name] = {"error": error} if error else {"rows": rows}


def series(name, n):
    return f"SELECT generate_series(1, {n}) AS {name}"


def simple_queries(url):
    import psycopg2

    conn = psycopg2.connect(url)
    conn.autocommit = True
    c = conn.cursor()
    c.execute("SELECT 1; SELECT 2")  # from here on it streams
    for name, n, sql in (
        ("r01", 300000, series("r01", 300000)),
        ("r02", 20000, "SELECT repeat('y', 3000) AS r02 FROM generate_series(1, 20000)"),
        ("r03", 4, "SELECT repeat('z', 2000000) AS r03 FROM generate_series(1, 4)"),
    ):
        c.execute(sql)
        did(name, c.rowcount)
    # Several in one text: their rows are walked over.
    c.execute(";".join((series("r04", 100000), "SELECT repeat('a', 5000) AS r05 FROM generate_series(1, 3000)", "SELECT now(), 7 AS r06", series("r07", 50001))))
    did("r04", 100000), did("r05", 3000), did("r06", 1), did("r07", c.rowcount)
    for name, sql in (
        ("r08", "SELECT 1 / (i - 200000) AS r08 FROM generate_series(1, 300000) i"),
        ("r09", "SELECT 1 / (i - 150000) AS r09 FROM generate_series(1, 300000) i; SELECT 1"),
    ):
        try:
            c.execute(sql)
        except psycopg2.Error as e:
            did(name, error=e.pgcode)
    with open("/dev/null", "w") as nothing:
        c.copy_expert(f"COPY ({series('r10', 100000)}) TO STDOUT", nothing)
    did("r10", 100000)
    c.execute("LISTEN large")
    c.execute(series("r11", 12345))
    did("r11", c.rowcount)
    conn.close()


def pipelined(url):
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        with conn.pipeline():
            cursors = [(name, conn.execute(series(name, n), prepare=False)) for name, n in (("r20", 70000), ("r21", 3), ("r22", 40000))]
            for name, c in cursors:
                did(name, len(c.fetchall()))
        c = conn.cursor(binary=True)
        c.execute(ZEROS.format("r23"))
        did("r23", len(c.fetchall()))
        for name, n in (("r24", 90000), ("r25", 1)):
            did(name, len(conn.execute(series(name, n)).fetchall()))


async def portals(url):
    import asyncpg

    conn = await asyncpg.connect(url)
    async with conn.transaction():
        n = 0
        async for _ in conn.cursor("SELECT i AS r30 FROM generate_series(1, 130000) i", prefetch=50000):
            n += 1
        did("r30", n)
    did("r31", len(await conn.fetch(series("r31", 80000))))
    await conn.close()


simple_queries(sys.argv[1])
pipelined(sys.argv[1])
asyncio.run(portals(sys.argv[1]))
print(json.dumps(DID))
