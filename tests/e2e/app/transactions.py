# SPDX-License-Identifier: Apache-2.0
"""
Transactions whose number, end, length and idle time are known:

    transactions.py DRIVER URL ROUNDS

Prints what it did as JSON: transactions that were committed and not, statements and seconds in them, seconds slept in
them, connections made, and rows that came back.
"""
import json
import sys
import time

NAP = 0.02


class Account:
    def __init__(self):
        self.done = {"commit": 0, "rollback": 0, "closed": 0, "statements": 0, "seconds": 0.0, "slept": 0.0,
                     "connections": 0, "rows": 0}

    def transaction(self, outcome, statements, begun):
        self.done[outcome] += 1
        self.done["statements"] += statements
        self.done["seconds"] += time.perf_counter() - begun

    def nap(self):
        begun = time.perf_counter()
        time.sleep(NAP)
        self.done["slept"] += time.perf_counter() - begun


def one_by_one(account, connect, error, rounds):
    """connect(): a connection that begins transactions by itself."""
    conn = connect()
    account.done["connections"] += 1
    cur = conn.cursor()
    for n in range(rounds):
        begun = time.perf_counter()
        cur.execute("SELECT a FROM things WHERE a <= %s", (n,))
        account.done["rows"] += len(cur.fetchall())
        account.nap()
        cur.execute("UPDATE things SET b = %s WHERE a < %s", ("x", n))
        cur.execute("INSERT INTO log (t) VALUES (%s), (%s) RETURNING t", ("y", "z"))
        account.done["rows"] += len(cur.fetchall())
        conn.commit()
        account.transaction("commit", 5, begun)

        begun = time.perf_counter()
        cur.execute("DELETE FROM log")
        account.nap()
        conn.rollback()
        account.transaction("rollback", 3, begun)

        begun = time.perf_counter()
        try:
            cur.execute("SELECT 1 / %s AS zero", (n - n,))
        except error:
            account.nap()
        conn.commit()  # cannot be: the server says ROLLBACK
        account.transaction("rollback", 3, begun)

        begun = time.perf_counter()
        cur.execute("SAVEPOINT s")
        try:
            cur.execute("INSERT INTO things (a) VALUES (%s)", (1,))
        except error:
            cur.execute("ROLLBACK TO SAVEPOINT s")
        cur.execute("SELECT a FROM things WHERE a < 4 LIMIT 3")
        account.done["rows"] += len(cur.fetchall())
        conn.commit()
        account.transaction("commit", 6, begun)
    begun = time.perf_counter()
    cur.execute("UPDATE things SET b = 'never' WHERE a = 1")
    account.nap()
    conn.close()
    account.transaction("closed", 2, begun)


def psycopg2_driver(account, url, rounds):
    import psycopg2

    one_by_one(account, lambda: psycopg2.connect(url), psycopg2.Error, rounds)


def psycopg_driver(account, url, rounds):
    import psycopg

    one_by_one(account, lambda: psycopg.connect(url), psycopg.Error, rounds)


def text_driver(account, url, rounds):
    """Whole transactions, and parts of them, in one text."""
    import psycopg2

    conn = psycopg2.connect(url)
    conn.autocommit = True
    account.done["connections"] += 1
    cur = conn.cursor()
    for _ in range(rounds):
        begun = time.perf_counter()
        cur.execute("BEGIN; INSERT INTO log (t) VALUES ('a'); COMMIT")
        account.transaction("commit", 3, begun)
        begun = time.perf_counter()
        cur.execute("BEGIN; SELECT a FROM things WHERE a < 5")
        account.done["rows"] += len(cur.fetchall())
        account.nap()
        cur.execute("UPDATE things SET b = 'c' WHERE a = 1; ROLLBACK")
        account.transaction("rollback", 4, begun)
        begun = time.perf_counter()
        cur.execute("START TRANSACTION")
        cur.execute("COMMIT AND CHAIN")
        account.transaction("commit", 2, begun)
        begun = time.perf_counter()
        account.nap()
        cur.execute("COMMIT")
        account.transaction("commit", 1, begun)
    begun = time.perf_counter()
    cur.execute("BEGIN; DELETE FROM log")
    account.nap()
    conn.close()
    account.transaction("closed", 2, begun)


def pipeline_driver(account, url, rounds):
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        account.done["connections"] += 1
        for n in range(rounds):
            with conn.pipeline() as p:
                begun = time.perf_counter()
                conn.execute("BEGIN")
                found = [conn.execute("SELECT a FROM things WHERE a < %s", (i,)) for i in range(5)]
                conn.execute("COMMIT")
                p.sync()
                account.done["rows"] += sum(len(f.fetchall()) for f in found)
                account.transaction("commit", 7, begun)
                begun = time.perf_counter()
                conn.execute("BEGIN")
                conn.execute("UPDATE things SET b = %s WHERE a < %s", ("z", n))
                p.sync()
                account.nap()
                conn.execute("ROLLBACK")
                p.sync()
                account.transaction("rollback", 3, begun)


def mysql_driver(account, url, rounds):
    import pymysql

    host, port, user, password = url.split("/")
    conn = pymysql.connect(host=host, port=int(port), user=user, password=password, database=user, autocommit=False)
    account.done["connections"] += 1
    cur = conn.cursor()
    for n in range(rounds):
        for end in ("commit", "rollback"):
            begun = time.perf_counter()
            cur.execute("BEGIN")
            cur.execute("SELECT a FROM things WHERE a <= %s", (n,))
            account.done["rows"] += len(cur.fetchall())
            account.nap()
            cur.execute("UPDATE things SET b = %s WHERE a < %s", ("x", n))
            getattr(conn, end)()
            account.transaction(end, 4, begun)
    begun = time.perf_counter()
    cur.execute("BEGIN")
    cur.execute("UPDATE things SET b = 'never' WHERE a = 1")
    account.nap()
    conn.close()
    account.transaction("closed", 2, begun)


def nothing(account, url, rounds):
    """What a connection alone costs the server's counters."""
    import psycopg2

    psycopg2.connect(url).close()


DRIVERS = {
    "psycopg2": psycopg2_driver,
    "psycopg": psycopg_driver,
    "text": text_driver,
    "pipeline": pipeline_driver,
    "mysql": mysql_driver,
    "nothing": nothing,
}

if __name__ == "__main__":
    done = Account()
    DRIVERS[sys.argv[1]](done, sys.argv[2], int(sys.argv[3]))
    print(json.dumps(done.done))
