# SPDX-License-Identifier: Apache-2.0
"""
Every way that Python's MySQL drivers have of sending statements, one a name:

    mysql_drivers.py DRIVER HOST PORT SOCKET DATABASE PASSWORD ROUNDS

SOCKET is used when it is not empty.
"""
import os
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
    """Several statements in one text; the last of some fails. Then, on the same connection, texts of any length."""
    import pymysql
    from pymysql.constants import CLIENT

    conn = pymysql.connect(user=database, password=password, database=database, autocommit=True,
                           client_flag=CLIENT.MULTI_STATEMENTS, max_allowed_packet=1 << 26, **where)
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
    for length in 15000, 70000, 271 << 10, 273 << 10, 1 << 20, 17 << 20:
        cur.execute("SELECT LENGTH('" + "x" * length + "') AS l")
        assert cur.fetchall() == ((length,),)
    conn.close()


def pipelined(where, database, password, rounds):
    """Three commands before the first answer is read. No driver of Python's does it, so it is done with one's parts."""
    import pymysql
    from pymysql.constants import COMMAND

    conn = pymysql.connect(user=database, password=password, database=database, autocommit=True, **where)
    for n in range(rounds):
        conn._execute_command(COMMAND.COM_QUERY, f"SELECT a FROM things WHERE a <= {n}")
        conn._execute_command(COMMAND.COM_QUERY, f"UPDATE things SET b = 'p{n}' WHERE a = 7")
        conn._execute_command(COMMAND.COM_QUERY, "SELECT nothing FROM things")
        for failing in (False, False, True):
            conn._next_seq_id = 1
            try:
                conn._read_query_result()
                assert not failing
            except pymysql.Error:
                assert failing
    conn.close()


def misc(where, database, password, rounds):
    """A file, another user, values that are logged in with, sleep; then a connection that is compressed."""
    import tempfile

    import MySQLdb
    import pymysql

    conn = pymysql.connect(user=database, password=password, database=database, autocommit=True, local_infile=True, **where)
    cur = conn.cursor()
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(f"{password} {n}\n" for n in range(3000))
        file.flush()
        for n in range(rounds):
            cur.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE log")
    for n in range(5):
        cur.execute("SELECT SLEEP(0.05)")
    conn.close()
    conn = MySQLdb.connect(user=database, passwd=password, db=database, **where)
    for n in range(rounds):
        conn.change_user(database, password, database)
        conn.query("SELECT a FROM things")
        conn.store_result()
    conn.close()


def compressed(where, database, password, rounds):
    import MySQLdb

    conn = MySQLdb.connect(user=database, passwd=password, db=database, compress=True, **where)
    for n in range(rounds):
        conn.query("SELECT a FROM things")
        conn.store_result()
    conn.close()


def big(where, database, password, rounds):
    """Packets of more than 16 MiB, which go on in the next, in both directions."""
    import pymysql

    conn = pymysql.connect(user=database, password=password, database=database, max_allowed_packet=1 << 26, ssl_disabled=True, **where)
    cur = conn.cursor()
    for length in (1 << 24) - 25, 17 << 20, 0xffffff - 23, 0xffffff - 22:  # the third is one full packet, and an empty one
        cur.execute("SELECT LENGTH('" + "x" * length + "') AS l")
        assert cur.fetchall() == ((length,),)
    for length in (1 << 24) - 5, 17 << 20, 0xffffff - 4, 0xffffff:
        cur.execute(f"SELECT REPEAT('y', {length}) AS l FROM things LIMIT 2")
        assert [len(row[0]) for row in cur.fetchall()] == [length] * 2
    conn.close()


def old(where, database, password, rounds):
    """Connects, says so, and sends its statements when it is told to."""
    import pymysql

    conn = pymysql.connect(user=database, password=password, database=database, **where)
    print("connected", flush=True)
    sys.stdin.readline()
    statements(conn, rounds, pymysql.Error)
    conn.close()


DRIVERS = {"pymysql": pymysql_driver, "mysqlclient": mysqlclient, "multi": multi, "pipelined": pipelined, "misc": misc,
           "compressed": compressed, "big": big, "old": old}

if __name__ == "__main__":
    name, host, port, socket, database, password, rounds = sys.argv[1:]
    where = place(host, int(port), socket)
    if os.environ.get("MYSQL_CERTIFICATE"):
        where["ssl"] = {"ca": os.environ["MYSQL_CERTIFICATE"], "check_hostname": False}
    DRIVERS[name](where, database, password, int(rounds))
