# SPDX-License-Identifier: Apache-2.0
"""An https service on asyncio: tls_asyncio.py PORT KEY CERTIFICATE. Its TLS is made in memory, around sends and receives."""
import asyncio
import ssl
import sys


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            status = b"404 Not Found" if b" /missing/" in head else b"200 OK"
            body = b"" if head.startswith(b"HEAD") else b"x" * 2000
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2000\r\n\r\n" + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[2])
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), ssl=context)
    await server.serve_forever()


asyncio.run(main())
