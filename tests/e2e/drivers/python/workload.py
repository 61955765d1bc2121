# SPDX-License-Identifier: Apache-2.0
"""
The workload of the driver matrix, as Python's drivers send it:

    workload.py DRIVER ROUNDS

where to is in libpq's environment variables (PGHOST, PGPORT, PGDATABASE, PGUSER, PGSSLMODE).
"""
import asyncio
import os
import sys

READ = "SELECT a, b FROM things WHERE a <= {} ORDER BY a"
INSERT = "INSERT INTO log (t) VALUES ({})"
UPDATE = "UPDATE things SET b = {} WHERE a < {}"
RETURNING = "INSERT INTO log (t) VALUES ({}) RETURNING t"
DELETE = "DELETE FROM log WHERE t = {}"
ZERO = "SELECT 1 / {}::int AS zero"
AGAIN = "SELECT b FROM things WHERE a = {}"
TWICE = "INSERT INTO things (a) VALUES ({})"
MANY = "SELECT n, 'some text for a row' AS t FROM generate_series(1, {}) n"
TIMED = "SELECT pg_sleep(0.03) AS timed"
SEVERAL = "INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT count(*) FROM things; UPDATE things SET b = 'multi' WHERE a = 1"


def dbapi(connect, error, rounds, mark="%s"):
    def sql(text):
        return text.format(mark, mark)

    conn = connect()
    cur = conn.cursor()
    for n in range(rounds):
        cur.execute(sql(READ), (n % 7,))
        cur.fetchall()
        cur.execute(sql(INSERT), ("x",))
        cur.execute(sql(UPDATE), ("x", n))
        conn.commit()
        for text, argument in ((ZERO, 0), (TWICE, 1)):
            try:
                cur.execute(sql(text), (argument,))
                raise SystemExit("no error")
            except error:
                conn.rollback()
        cur.execute(sql(RETURNING), ("kept",))
        cur.fetchall()
        cur.execute(sql(DELETE), ("kept",))
        conn.rollback()
        for i in range(8):
            cur.execute(sql(AGAIN), (i,))
            cur.fetchall()
        cur.execute(SEVERAL)
        cur.executemany(sql(INSERT), [(str(i),) for i in range(5)])
        cur.execute(sql(MANY), (2000,))
        cur.fetchall()
        cur.execute(TIMED)
        cur.fetchall()
        conn.commit()
    return conn


def psycopg2_driver(rounds):
    import psycopg2
    import psycopg2.extras

    conn = dbapi(lambda: psycopg2.connect(""), psycopg2.Error, rounds)
    with conn.cursor() as cur:
        psycopg2.extras.execute_values(cur, "INSERT INTO log (t) VALUES %s", [("x",), ("y",)])
        psycopg2.extras.execute_batch(cur, "INSERT INTO log (t) VALUES (%s)", [("x",), ("y",), ("z",)])
    with conn.cursor("named") as cur:
        cur.itersize = 20
        cur.execute("SELECT a, b FROM things")
        cur.fetchall()
    conn.commit()
    conn.close()


def psycopg_driver(rounds):
    import psycopg

    dbapi(lambda: psycopg.connect(""), psycopg.Error, rounds).close()


def psycopg_cursor(rounds):
    import psycopg

    with psycopg.connect("") as conn:
        for n in range(rounds):
            with conn.cursor("named") as cur:
                cur.itersize = 30
                cur.execute("SELECT a, b FROM things WHERE a > %s", (3,))
                sum(1 for _ in cur)
            conn.commit()
            with conn.cursor(binary=True) as cur:
                sum(1 for _ in cur.stream("SELECT a FROM things WHERE a < %s", (n,)))
            conn.execute(TIMED)
            conn.commit()


def psycopg_pipeline(rounds):
    import psycopg

    with psycopg.connect("", autocommit=True) as conn:
        for n in range(rounds):
            with conn.pipeline() as p:
                found = [conn.execute(READ.format("%s"), (i,)) for i in range(6)]
                conn.execute(UPDATE.format("%s", "%s"), ("z", n % 9))
                p.sync()
                assert len(found[3].fetchall()) == 3
                conn.execute(INSERT.format("%s"), ("p",))
            try:
                with conn.pipeline():
                    conn.execute(INSERT.format("%s"), ("p",))
                    conn.execute(TWICE.format("%s"), (1,))
            except psycopg.Error:
                pass
            conn.execute(TIMED)


def psycopg_copy(rounds):
    import psycopg

    with psycopg.connect("", autocommit=True) as conn:
        for n in range(rounds):
            with conn.cursor() as cur:
                with cur.copy("COPY log (t) FROM STDIN") as copy:
                    for _ in range(50 * n):
                        copy.write_row(("row " * 20,))
                with cur.copy("COPY things (a, b) TO STDOUT") as copy:
                    for _ in copy:
                        pass
                try:
                    with cur.copy("COPY things (a) FROM STDIN") as copy:
                        copy.write_row((1,))
                except psycopg.Error:
                    pass
                cur.execute(TIMED)


def asyncpg_driver(rounds):
    asyncio.run(asyncpg_main(rounds))


async def asyncpg_main(rounds):
    import asyncpg

    # asyncpg checks a certificate whenever it is given a context; its own default for "require" does not.
    conn = await asyncpg.connect()
    for n in range(rounds):
        await conn.fetch(READ.format("$1"), n % 7)
        await conn.execute(INSERT.format("$1"), "x")
        await conn.execute(UPDATE.format("$1", "$2"), "x", n)
        for text, argument in ((ZERO, 0), (TWICE, 1)):
            try:
                await conn.fetch(text.format("$1"), argument)
                raise SystemExit("no error")
            except asyncpg.PostgresError:
                pass
        async with conn.transaction():
            await conn.fetch(RETURNING.format("$1"), "kept")
            await conn.execute(DELETE.format("$1"), "kept")
        async with conn.transaction():
            got = 0
            async for _ in conn.cursor("SELECT a, b FROM things WHERE a > $1", 60, prefetch=50):
                got += 1
            assert got == 40
        statement = await conn.prepare(AGAIN.format("$1"))
        for i in range(8):
            await statement.fetch(i)
        await conn.execute(SEVERAL)
        await conn.executemany(INSERT.format("$1"), [(str(i),) for i in range(5)])
        await conn.fetch(MANY.format("$1"), 2000)
        await conn.copy_records_to_table("log", records=[("copied",)] * n)
        await conn.fetch(TIMED)
    await conn.close()


def sqlalchemy_driver(rounds):
    import sqlalchemy as sa

    engine = sa.create_engine("postgresql+psycopg://")
    log = sa.table("log", sa.column("t"))
    things = sa.table("things", sa.column("a"), sa.column("b"))
    for n in range(rounds):
        with engine.begin() as conn:
            conn.execute(sa.select(things.c.a).where(things.c.a.in_([1, 2, 3]))).fetchall()
            conn.execute(sa.insert(log), [{"t": str(i)} for i in range(4)])
            conn.execute(sa.update(things).where(things.c.a == n).values(b="s"))
        for statement in (sa.select(sa.literal(1) / sa.literal_column("0")), sa.insert(things).values(a=1)):
            try:
                with engine.begin() as conn:
                    conn.execute(statement)
                raise SystemExit("no error")
            except sa.exc.DBAPIError:
                pass
        with engine.connect() as conn:
            rows = conn.execution_options(yield_per=25).execute(sa.select(things.c.a))
            assert len(rows.fetchall()) == 100
            conn.execute(sa.text(TIMED)).fetchall()
    engine.dispose()


def django_driver(rounds):
    import django
    from django.conf import settings
    from django.db import DatabaseError, connection, models, transaction
    from django.db.models import F, Func, Value

    options = {"sslmode": os.environ["PGSSLMODE"]}
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"], "OPTIONS": options}})
    django.setup()

    class Thing(models.Model):
        a = models.IntegerField(primary_key=True)
        b = models.TextField()

        class Meta:
            app_label, db_table, managed = "matrix", "things", False

    class Log(models.Model):
        t = models.TextField(primary_key=True)

        class Meta:
            app_label, db_table, managed = "matrix", "log", False

    for n in range(rounds):
        assert len(Thing.objects.filter(a__lte=n % 7).order_by("a")) == n % 7
        with transaction.atomic():
            Log.objects.bulk_create([Log(t=str(i)) for i in range(3)])
            Thing.objects.filter(a__lt=n).update(b="django")
        for broken in (lambda: Thing.objects.create(a=1, b=""), lambda: len(Thing.objects.annotate(z=F("a") / Value(0)))):
            try:
                with transaction.atomic():
                    broken()
                raise SystemExit("no error")
            except DatabaseError:
                pass
        with transaction.atomic():
            Log.objects.filter(t="none").delete()
            transaction.set_rollback(True)
        assert sum(1 for _ in Thing.objects.iterator(chunk_size=30)) == 100
        list(Thing.objects.annotate(timed=Func(Value(0.03), function="pg_sleep", output_field=models.TextField())).values("timed")[:1])
        with connection.cursor() as cur:
            cur.execute(TIMED)
            cur.execute(SEVERAL)
    connection.close()


DRIVERS = {
    "psycopg2": psycopg2_driver,
    "psycopg": psycopg_driver,
    "psycopg_cursor": psycopg_cursor,
    "psycopg_pipeline": psycopg_pipeline,
    "psycopg_copy": psycopg_copy,
    "asyncpg": asyncpg_driver,
    "sqlalchemy": sqlalchemy_driver,
    "django": django_driver,
}

if __name__ == "__main__":
    DRIVERS[sys.argv[1]](int(sys.argv[2]))
