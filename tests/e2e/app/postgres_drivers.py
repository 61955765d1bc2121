# SPDX-License-Identifier: Apache-2.0
"""
Every way that Python's PostgreSQL drivers have of sending statements, one a name:

    postgres_drivers.py DRIVER URL ROUNDS
"""
import sys


def psycopg2_driver(url, rounds):
    import psycopg2
    import psycopg2.extras

    conn = psycopg2.connect(url)
    with conn.cursor() as cur:
        for n in range(rounds):
            cur.execute("SELECT a FROM things WHERE a <= %s ORDER BY a", (n % 7,))
            cur.fetchall()
            cur.execute("UPDATE things SET b = %s WHERE a < %s", ("x", n))
            psycopg2.extras.execute_values(cur, "INSERT INTO log (t) VALUES %s", [("x",), ("y",)])
            conn.commit()
            try:
                cur.execute("SELECT 1 / %s AS zero", (0,))
            except psycopg2.Error:
                conn.rollback()
    with conn.cursor("named") as cur:
        cur.itersize = 20
        cur.execute("SELECT a, b FROM things")
        cur.fetchall()
    conn.commit()
    conn.close()


def psycopg_pipeline(url, rounds):
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        for n in range(rounds):
            with conn.pipeline() as p:
                found = [conn.execute("SELECT a FROM things WHERE a < %s", (i,)) for i in range(5)]
                conn.execute("UPDATE things SET b = %s WHERE a < %s", ("z", n % 9))
                p.sync()
                assert len(found[3].fetchall()) == 2


def psycopg_failing(url, rounds):
    """What follows a failure in a pipeline does not run, up to the next synchronisation point."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        for n in range(rounds):
            with conn.pipeline() as p:
                before = conn.execute("SELECT a FROM things WHERE a < %s", (9,))
                try:  # what was sent by the time that the failure is told
                    conn.execute("SELECT 1 / %s AS zero", (n - n,))
                    for i in range(3):
                        conn.execute("INSERT INTO log (t) VALUES (%s)", (f"not {i}",))
                    p.sync()
                except psycopg.Error:
                    pass
                try:
                    p.sync()
                except psycopg.Error:
                    pass
                after = conn.execute("UPDATE things SET b = %s WHERE a < %s", ("after", 5))
                p.sync()
                assert len(before.fetchall()) == 8 and after.rowcount == 4


def psycopg2_copy(url, rounds):
    import io

    import psycopg2

    conn = psycopg2.connect(url)
    conn.autocommit = True
    with conn.cursor() as cur:
        for n in range(rounds):
            cur.copy_expert("COPY log (t) FROM STDIN", io.StringIO("a row\n" * 30 * n))
            cur.copy_expert("COPY things (a, b) TO STDOUT", io.StringIO())
            try:
                cur.copy_expert("COPY things (a) FROM STDIN", io.StringIO("1\n"))
            except psycopg2.Error:
                pass
    conn.close()


def psycopg_plain(url, rounds):
    import psycopg

    with psycopg.connect(url) as conn:
        for n in range(rounds):
            conn.execute("SELECT a FROM things WHERE a < %s", (n,)).fetchall()
            conn.execute("INSERT INTO log (t) VALUES (%s)", ("psycopg",))
            conn.commit()
            try:
                conn.execute("INSERT INTO things (a) VALUES (%s)", (1,))
            except psycopg.Error:
                conn.rollback()
            conn.commit()
        with conn.cursor("named") as cur:
            cur.itersize = 30
            cur.execute("SELECT a, b FROM things WHERE a > 3")
            sum(1 for _ in cur)
        conn.commit()


def psycopg_copy(url, rounds):
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        for n in range(rounds):
            with conn.cursor() as cur:
                with cur.copy("COPY log (t) FROM STDIN") as copy:
                    for i in range(50 * n):
                        copy.write_row(("row " * 20,))
                with cur.copy("COPY things (a, b) TO STDOUT") as copy:
                    for _ in copy:
                        pass
                try:
                    with cur.copy("COPY things (a) FROM STDIN") as copy:
                        copy.write_row((1,))
                except psycopg.Error:
                    pass


def sqlalchemy_driver(url, rounds):
    import sqlalchemy as sa

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    log = sa.table("log", sa.column("t"))
    things = sa.table("things", sa.column("a"), sa.column("b"))
    for n in range(rounds):
        with engine.begin() as conn:
            conn.execute(sa.select(things.c.a).where(things.c.a.in_([1, 2, 3]))).fetchall()
            conn.execute(sa.insert(log), [{"t": str(i)} for i in range(4)])
            conn.execute(sa.update(things).where(things.c.a == n).values(b="s"))
    engine.dispose()


DRIVERS = {
    "psycopg2": psycopg2_driver,
    "psycopg": psycopg_plain,
    "psycopg_pipeline": psycopg_pipeline,
    "psycopg_copy": psycopg_copy,
    "psycopg_failing": psycopg_failing,
    "psycopg2_copy": psycopg2_copy,
    "sqlalchemy": sqlalchemy_driver,
}

if __name__ == "__main__":
    DRIVERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
