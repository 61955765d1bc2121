# SPDX-License-Identifier: Apache-2.0
"""
Secrets in every place that a program puts a value:

    canaries.py COUNT FILE   sends COUNT of them to the database that libpq's variables name, and writes them to FILE; those that
                             must not even be in a recording to FILE.never
    canaries.py --find FILE OUTPUT...   looks for them in whatever these files hold; 1 if one is there

Half of them are words, half are numbers. Each is looked for as it is, in hexadecimal and in base64.
"""
import base64
import os
import pathlib
import random
import sys
from contextlib import suppress

# So many characters of a secret are too many; of digits more, for ids and times are made of them as well.
PIECE, DIGITS = 8, 15


class Canaries:
    def __init__(self, count):
        self.left, self.all, self.never, self.random = count, [], [], random.Random(os.environ["PGSSLMODE"])

    def word(self):
        return self.keep("".join(self.random.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(16)))

    def number(self):
        return self.keep(str(self.random.randrange(10**17, 9 * 10**17)))

    def keep(self, secret):
        self.left -= 1
        self.all.append(secret)
        return secret

    def password(self):
        """One that is connected with."""
        self.never.append(self.word())
        return self.never[-1]

    @property
    def some_left(self):
        return self.left > 0


# Each form is one statement; {} are secrets.
LITERALS = [
    "SELECT '{w}' AS shown",
    "SELECT {n} AS shown, -{n}, {n}.5, 1e3 + {n}",
    "SELECT E'it\\'s {w}' AS shown, N'{w}', '{w}' '{w}'",
    "SELECT '{w}'\n  '{w}' AS shown",
    "SELECT U&'\\0041{w}' AS shown, U&'{w}!0041' UESCAPE '!'",
    "SELECT $${w}; -- '$$ AS shown, $a${w}$a$, $a$ {w} $b$ {w} $a$",
    "SELECT B'0101' AS shown, '{h}'::bytea, x'{x}'",
    "SELECT DATE '2026-01-01' AS shown, '{w}'::text, CAST('{w}' AS varchar), interval '1 day'",
    "SELECT count(*) AS shown FROM kept WHERE t IN ('{w}', '{w}', '{w}') OR n IN ({n}, {n})",
    "INSERT INTO kept AS shown (t, n) VALUES ('{w}', {n}), ('{w}', {n})",
    "UPDATE kept AS shown SET t = '{w}' WHERE t = '{w}' AND n > {n}",
    "DELETE FROM kept AS shown WHERE t LIKE '%{w}%' ESCAPE '!'",
    "SELECT '{{\"a\": \"{w}\"}}'::jsonb -> 'a' AS shown, ARRAY['{w}', '{w}']",
    "SELECT 'a\\' AS shown, '{w}'",
    "DO $do$ BEGIN PERFORM '{w}'; RAISE NOTICE 'shown {w}'; END $do$",
    "SELECT set_config('my.shown', '{w}', false)",
    "SET my.shown = '{w}'",
    "NOTIFY shown, '{w}'",
    "SELECT pg_notify('shown', '{w}')",
    "SELECT 1 AS shown; SELECT '{w}'; INSERT INTO kept (t) VALUES ('; {w}'); SELECT {n}",
    "PREPARE shown AS SELECT '{w}', $1::text; EXECUTE shown ('{w}'); DEALLOCATE shown",
    "BEGIN; DECLARE shown CURSOR FOR SELECT '{w}'; FETCH ALL FROM shown; COMMIT",
    "SELECT '{w}' AS shown, '" + "{w} padding to be cut " * 40 + "'",
    "SELECT repeat('x', 10) AS shown, '" + "y" * 5000 + "{w}'",
    "SELECT '" + "z" * 70000 + "{w}' AS shown",
]
COMMENTS = [
    "SELECT 1 AS shown -- {w}",
    "SELECT /* {w} /* nested {w} */ {w} */ 1 AS shown",
    "SELECT 1 AS shown /*user='{w}',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/",
    "/* {w} */ SELECT 1 AS shown; -- {n}\n SELECT /*+ {w} */ 2",
    "COMMENT ON TABLE kept IS '{w}'",
]
# What the server says of them repeats the secret.
FAILING = [
    "SELECT '{w}'::int AS shown",
    "INSERT INTO once (t) VALUES ('known'), ('{w}'), ('{w}'), ('known')",
    "SELECT '{w}' AS shown FROM nowhere WHERE a = '{w}'",
    "SELECT '{w} AS shown",
    "SELECT $x${w} AS shown",
    "SELECT 1 AS shown /* {w}",
    "SELECT \"shown {w}",
    "DO $do$ BEGIN RAISE EXCEPTION 'shown {w}' USING DETAIL = '{w}', HINT = '{w}'; END $do$",
]
PASSWORDS = [
    "ALTER ROLE shop PASSWORD '{w}'",
    "ALTER USER shop WITH ENCRYPTED PASSWORD '{w}' VALID UNTIL 'infinity'",
    "ALTER ROLE CURRENT_USER PASSWORD $pw${w}$pw$",
    "ALTER ROLE shop SET my.secret = '{w}'",
]


def fill(canaries, form):
    out = form.replace("{h}", "\\x" + canaries.word().encode().hex()) if "{h}" in form else form
    out = out.replace("{{", "{").replace("}}", "}")
    for mark, make in (("{w}", canaries.word), ("{n}", canaries.number), ("{x}", lambda: f"{int(canaries.number()):x}")):
        while mark in out:
            out = out.replace(mark, make(), 1)
    return out


def simple(canaries):
    import psycopg2

    conn = psycopg2.connect(f"password='{canaries.password()}'")
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("SET standard_conforming_strings = on")
        for form in LITERALS + COMMENTS + PASSWORDS + FAILING:
            with suppress(psycopg2.Error):
                cur.execute(fill(canaries, form))
        with suppress(psycopg2.Error):
            cur.execute("INSERT INTO once AS shown (t) VALUES (%s) RETURNING t", (canaries.word(),))
    conn.close()


def binds(canaries):
    import psycopg

    uri = f"postgresql://{os.environ['PGUSER']}:{canaries.password()}@{os.environ['PGHOST']}/{os.environ['PGDATABASE']}"
    with psycopg.connect(uri, autocommit=True) as conn:
        for binary in (False, True):
            cur = conn.cursor(binary=binary)
            for _ in range(3):
                kept = canaries.word()
                cur.execute("SELECT %s::text AS shown, %s::bigint", (kept, int(canaries.number())))
                cur.execute("INSERT INTO kept AS shown (t, n) VALUES (%s, %s) RETURNING t", (kept, int(canaries.number())))
                with suppress(psycopg.Error):
                    cur.execute("SELECT %s::text::int AS shown", (canaries.word(),))
                cur.executemany("INSERT INTO kept (t) VALUES (%s)", [(canaries.word(),) for _ in range(4)])
        with conn.pipeline():
            for _ in range(4):
                conn.execute("SELECT %s::text AS shown", (canaries.word(),))
        conn.execute("SELECT %s::text AS shown", (canaries.word(),), prepare=True)
        with conn.cursor() as cur:
            with cur.copy("COPY kept (t, n) FROM STDIN") as copy:
                for _ in range(20):
                    copy.write_row((canaries.word(), int(canaries.number())))
            with cur.copy("COPY (SELECT t, '" + canaries.word() + "' FROM kept LIMIT 50) TO STDOUT") as copy:
                for _ in copy:
                    pass
            with suppress(psycopg.Error):
                with cur.copy("COPY kept (n) FROM STDIN") as copy:
                    copy.write(canaries.word() + "\n")


def send(count, path):
    canaries = Canaries(count)
    while canaries.some_left:
        simple(canaries)
        binds(canaries)
    pathlib.Path(path).write_text("\n".join(canaries.all))
    pathlib.Path(path + ".never").write_text("\n".join(canaries.never))
    print(f"{len(canaries.all)} secrets")


def spellings(secret):
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    for shift in range(3):  # base64 begins anew at each third byte; what its neighbours decide is cut off
        yield base64.b64encode(b"\0" * shift + raw)[4:-4]
    if secret.isdigit():
        yield f"{int(secret):x}".encode()
        yield int(secret).to_bytes(8, "big")
        yield int(secret).to_bytes(8, "little")


def find(path, outputs):
    """Every window of the outputs is looked up among the first, middle and last pieces of all spellings."""
    pieces = {}
    for secret in pathlib.Path(path).read_text().split("\n"):
        for s in spellings(secret):
            size = DIGITS if all(c in b"0123456789abcdef" for c in s) else PIECE
            for at in {0, max(0, (len(s) - size) // 2), max(0, len(s) - size)}:
                pieces[s[at:at + size]] = secret
    found = []
    for output in outputs:
        data = pathlib.Path(output).read_bytes()
        for at in range(len(data) - PIECE + 1):
            hit = pieces.get(data[at:at + PIECE]) or pieces.get(data[at:at + DIGITS])
            if hit:
                found.append((output, hit, data[max(0, at - 60):at + 60]))
    print(f"{len(pieces)} pieces looked for in {len(outputs)} files: {len(found)} found {found[:5]}")
    return bool(found)


if __name__ == "__main__":
    if sys.argv[1] == "--find":
        sys.exit(find(sys.argv[2], sys.argv[3:]))
    send(int(sys.argv[1]), sys.argv[2])
