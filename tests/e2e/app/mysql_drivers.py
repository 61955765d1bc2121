# SPDX-License-Identifier: Apache-2.0
"""
Every way that Python's MySQL drivers have of sending statements, one a name:

    mysql_drivers.py DRIVER HOST PORT SOCKET DATABASE PASSWORD ROUNDS

SOCKET is used when it is not empty.
"""
import sys


def place(host, port, socket):
    return {"unix_socket": socket} if socket else {"host": host, "port": port}


def statements(conn, rounds, errors):
    cur = conn.cursor()
    for n in range(rounds):
        cur.execute("SELECT a, b FROM things WHERE a <= %s ORDER BY a", (n % 7,))
        cur.fetchall()
        cur.execute("UPDATE things SET b = %s WHERE a < %s", (f"it's \"{n}\" \\", n))
        cur.executemany("INSERT INTO log (t) VALUES (%s)", [("x",), ("y; z",)])
        conn.commit()
        try:
            cur.execute("SELECT nothing FROM things")
        except errors:
            conn.rollback()
        try:
            cur.execute("INSERT INTO things (a) VALUES (1)")
        except errors:
            conn.rollback()
    cur.execute("SELECT one.a, two.b FROM things one, things two")
    assert len(cur.fetchall()) == 10000
    cur.execute("SELECT REPEAT('x', 2000000) AS long_one, REPEAT('y', 300) AS short_one FROM things LIMIT 3")
    assert len(cur.fetchall()) == 3
    cur.execute("INSERT INTO log (t) VALUES (%s)", ("z" * 60000,))
    conn.commit()
    cur.callproc("two_sets")
    while True:
        cur.fetchall()
        if not cur.nextset():
            break
    cur.close()


def pymysql_driver(where, database, password, rounds):
    import pymysql
    import pymysql.cursors

    conn = pymysql.connect(user=database, password=password, database=database, **where)
    statements(conn, rounds, pymysql.Error)
    with conn.cursor(pymysql.cursors.SSCursor) as cur:  # row by row
        cur.execute("SELECT a, b FROM things")
        assert len(list(cur)) == 100
    conn.ping()
    conn.close()


def mysqlclient(where, database, password, rounds):
    import MySQLdb

    conn = MySQLdb.connect(user=database, passwd=password, db=database, charset="utf8mb4", **where)
    statements(conn, rounds, MySQLdb.Error)
    conn.ping()
    conn.close()


def multi(where, database, password, rounds):
    """Several statements in one text; the last of some fails."""
    import pymysql
    from pymysql.constants import CLIENT

    conn = pymysql.connect(user=database, password=password, database=database, autocommit=True,
                           client_flag=CLIENT.MULTI_STATEMENTS, **where)
    cur = conn.cursor()
    for n in range(rounds):
        cur.execute("SELECT a FROM things WHERE a < 4; INSERT INTO log (t) VALUES ('a;b'); SELECT b FROM things LIMIT 7")
        while cur.nextset():
            pass
        cur.execute("SELECT a FROM things WHERE a < %s", (n,))
        try:
            cur.execute("UPDATE things SET b = 'm' WHERE a = 3; SELECT nothing FROM things")
            while cur.nextset():
                pass
        except pymysql.Error:
            pass
    conn.close()


DRIVERS = {"pymysql": pymysql_driver, "mysqlclient": mysqlclient, "multi": multi}

if __name__ == "__main__":
    name, host, port, socket, database, password, rounds = sys.argv[1:]
    DRIVERS[name](place(host, int(port), socket), database, password, int(rounds))
