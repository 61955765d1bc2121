# SPDX-License-Identifier: Apache-2.0
"""
HTTP on asyncio's streams with a pool of asyncpg: one thread, several requests open. asyncio_service.py PORT

/orders/ID/ runs two statements whose column is named after ID; other paths run none.
"""
import asyncio
import re
import sys

import asyncpg


async def answer(pool, path):
    page, rid = path.split("/")[1:3]
    if page == "orders" and re.fullmatch(r"\w+", rid):
        async with pool.acquire() as connection:
            await connection.fetch(f"SELECT 1 AS id_{rid}")
            await connection.fetch(f"SELECT generate_series(1, 3) AS id_{rid}")
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


async def main():
    pool = await asyncpg.create_pool(min_size=1, max_size=4, ssl=False)

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
