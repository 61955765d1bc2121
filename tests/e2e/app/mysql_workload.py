# SPDX-License-Identifier: Apache-2.0
"""
The workload of the MySQL driver matrix through Python's drivers:

    mysql_workload.py pymysql|mysqlclient HOST PORT SOCKET DATABASE PASSWORD ROUNDS

SOCKET is used when it is not empty; TLS is used when $MYSQL_CERTIFICATE is set.
"""
import os
import sys


def connect(driver, where, database, password):
    if driver == "pymysql":
        import pymysql
        from pymysql.constants import CLIENT

        where.setdefault("ssl_disabled", "ssl" not in where)  # it prefers TLS
        return pymysql, pymysql.connect(user=database, password=password, database=database,
                                        client_flag=CLIENT.MULTI_STATEMENTS, **where)
    import MySQLdb
    from MySQLdb.constants import CLIENT

    return MySQLdb, MySQLdb.connect(user=database, passwd=password, db=database, charset="utf8mb4",
                                    client_flag=CLIENT.MULTI_STATEMENTS, **where)


def every(cur):
    rows = len(cur.fetchall())
    while cur.nextset():
        rows += len(cur.fetchall())
    return rows


def fails(module, cur, number, text):
    try:
        cur.execute(text)
        every(cur)
    except module.Error as e:
        assert e.args[0] == number, e
    else:
        raise AssertionError(text)


def work(module, conn, n):
    cur = conn.cursor()
    cur.execute("SELECT a, b FROM things WHERE a <= %s ORDER BY a", (n % 7,))
    cur.fetchall()
    cur.execute("INSERT INTO log (t) VALUES (%s)", ("it's \"x\" \\",))
    cur.execute("UPDATE things SET b = %s WHERE a < %s", (f"x{n}", n))
    fails(module, cur, 1054, "SELECT nothing FROM things")
    fails(module, cur, 1062, "INSERT INTO things (a) VALUES (1)")
    conn.begin()
    cur.execute("INSERT INTO log (t) VALUES (%s)", ("gone",))
    cur.execute("DELETE FROM log WHERE t = %s", ("gone",))
    conn.rollback()
    cur.executemany("INSERT INTO log (t) VALUES (%s)", [(f"many {i}",) for i in range(5)])
    conn.commit()
    for i in range(8):
        cur.execute("SELECT b FROM things WHERE a = %s", (i,))
        cur.fetchall()
    cur.execute("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT COUNT(*) FROM things; UPDATE things SET b = 'multi' WHERE a = 1")
    every(cur)
    fails(module, cur, 1054, "SELECT a FROM things WHERE a < 4; SELECT nothing FROM things; SELECT 3")
    cur.callproc("two_sets")
    every(cur)
    cur.execute("SELECT 1; /* two */ CALL two_sets(); SELECT a FROM things WHERE a < 6")
    assert every(cur) == 13
    cur.execute("PREPARE p FROM 'SELECT b FROM things WHERE a < ?'; SET @a = 4; EXECUTE p USING @a; DEALLOCATE PREPARE p")
    every(cur)
    cur.execute("SELECT seq, 'some text for a row' AS t FROM seq_1_to_2000")
    assert len(cur.fetchall()) == 2000
    cur.execute("SELECT SLEEP(0.03) AS timed")
    cur.fetchall()
    cur.close()


def main(driver, host, port, socket, database, password, rounds):
    where = {"unix_socket": socket} if socket else {"host": host, "port": int(port)}
    if os.environ.get("MYSQL_CERTIFICATE"):
        where["ssl"] = {"ca": os.environ["MYSQL_CERTIFICATE"], "check_hostname": False}
    module, conn = connect(driver, where, database, password)
    for n in range(int(rounds)):
        work(module, conn, n)
    conn.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
