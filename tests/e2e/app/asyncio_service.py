# SPDX-License-Identifier: Apache-2.0
"""
HTTP on asyncio's streams with four connections to PostgreSQL: one thread, several requests open.
asyncio_service.py PORT asyncpg|psycopg. The first without TLS, the second with.

/orders/ID/ runs two statements whose column is named after ID; other paths run none.
"""
import asyncio
import re
import sys


async def connect(driver):
    """What fetches the rows of a statement."""
    if driver == "asyncpg":
        import asyncpg
        return (await asyncpg.connect(ssl=False)).fetch
    import psycopg
    connection = await psycopg.AsyncConnection.connect("sslmode=require", autocommit=True)

    async def fetch(text):
        return await (await connection.execute(text)).fetchall()
    return fetch


async def answer(pool, path):
    page, rid = path.split("/")[1:3]
    if page == "orders" and re.fullmatch(r"\w+", rid):
        fetch = await pool.get()
        await fetch(f"SELECT 1 AS id_{rid}")
        await fetch(f"SELECT generate_series(1, 3) AS id_{rid}")
        pool.put_nowait(fetch)
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


async def main():
    pool = asyncio.Queue()
    for _ in range(4):
        pool.put_nowait(await connect(sys.argv[2]))

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await answer(pool, head.split()[1].decode()))
                if b"connection: close" in head.lower():
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
