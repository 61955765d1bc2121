# SPDX-License-Identifier: Apache-2.0
"""HTTP clients of Python: clients.py LIBRARY BASE NAME. Requests whatever client() below asks for, then ends."""
import asyncio
import sys
import warnings

LIBRARY, BASE, NAME = sys.argv[1:]
warnings.simplefilter("ignore")
KINDS = ["ok", "big", "chunked", "gzip", "redirect", "nocontent", "notmodified", "missing", "fail", "endless", "hints", "cut", "reset",
         "hangup", "slow", "ok"]


def wanted():
    """(method, path, body)"""
    for i, kind in enumerate(KINDS):
        if kind == "hints" and LIBRARY in ("requests", "urllib3", "urllib"):
            continue  # http.client takes any interim answer but 100 for the answer
        yield "GET", f"/{kind}/{NAME}-{i}", None
    yield "HEAD", f"/big/{NAME}-head", None
    yield "POST", f"/ok/{NAME}-small", b"s" * 1000
    yield "POST", f"/ok/{NAME}-large", b"l" * 2000000
    yield "POST", f"/ok/{NAME}-empty", b""
    yield "PUT", f"/fail/{NAME}-put", b"p" * 20000
    yield "DELETE", f"/nocontent/{NAME}-delete", None
    yield "PATCH", f"/missing/{NAME}-patch", b"{}"
    yield "OPTIONS", f"/ok/{NAME}-options", None
    yield "POST", f"/ok/{NAME}-parts", [b"one" * 1000, b"two", b"three" * 5000]
    yield "GET", f"/ok/{NAME}-query?token=not-in-any-output&page=2", None


def each(call):
    for method, path, body in wanted():
        try:
            call(method, BASE + path, body, 0.4 if "/slow/" in path else 20)
        except Exception as error:  # each library has its own, and some answers are meant to fail
            print(path, repr(error)[:100])


def with_requests():
    import requests
    session = requests.Session()
    each(lambda m, u, b, t: session.request(m, u, data=iter(b) if isinstance(b, list) else b, timeout=t, verify=False).content)


def with_urllib3():
    import urllib3
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", retries=urllib3.Retry(connect=0, read=0, other=0, redirect=3))
    each(lambda m, u, b, t: pool.request(m, u, body=iter(b) if isinstance(b, list) else b, timeout=t).data)


def with_urllib():
    import ssl
    import urllib.error
    import urllib.request
    context = ssl._create_unverified_context()

    def call(method, url, body, timeout):
        request = urllib.request.Request(url, method=method, data=iter(body) if isinstance(body, list) else body)
        try:
            urllib.request.urlopen(request, timeout=timeout, context=context).read()
        except urllib.error.HTTPError as error:
            error.read()
    each(call)


def with_httpx():
    import httpx
    with httpx.Client(verify=False, follow_redirects=True) as client:
        each(lambda m, u, b, t: client.request(m, u, content=iter(b) if isinstance(b, list) else b, timeout=t).content)


async def parts(body):
    for part in body:
        yield part


async def each_async(call):
    for method, path, body in wanted():
        try:
            await call(method, BASE + path, parts(body) if isinstance(body, list) else body, 0.4 if "/slow/" in path else 20)
        except Exception as error:
            print(path, repr(error)[:100])


def with_httpx_async():
    import httpx

    async def main():
        async with httpx.AsyncClient(verify=False, follow_redirects=True) as client:
            await each_async(lambda m, u, b, t: client.request(m, u, content=b, timeout=t))
    asyncio.run(main())


def with_aiohttp():
    import aiohttp

    async def main():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as client:
            async def call(method, url, body, timeout):
                async with client.request(method, url, data=body, timeout=aiohttp.ClientTimeout(timeout)) as answer:
                    await answer.read()
            await each_async(call)
    asyncio.run(main())


globals()["with_" + LIBRARY]()
