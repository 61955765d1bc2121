# SPDX-License-Identifier: Apache-2.0
"""
ASGI with blocking connections to PostgreSQL, which an event loop leaves to the threads of a pool: by Starlette, whose
functions without async anyio runs (as FastAPI's), by Django, whose views asgiref runs, and by an executor. And with
asyncpg in tasks that others wait for: below two of Starlette's BaseHTTPMiddleware, in a group of tasks, and shielded.
"deferred" is the last on a loop that writes in the end of its turn what its tasks have given it, as uvloop does.

/orders/ID/ runs two statements whose column is named after ID; other paths run none.
"""
import asyncio
import contextlib
import contextvars
import os
from asyncio import selector_events

from wsgi_service import connect, work

connect()


def make_starlette():
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def page(request):
        work(request.path_params["page"], request.path_params["rid"])
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/{page}/{rid}/", page)])


def make_middleware(shield=False):
    """With shield: below no middleware, in tasks that are shielded, as SQLAlchemy gives back its connections."""
    import asyncpg
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    pool = None

    async def statement(text):
        async with pool.acquire() as connection:
            await connection.fetch(text)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        nonlocal pool
        async with asyncpg.create_pool(min_size=1, max_size=4, ssl=os.environ.get("PGSSLMODE", "disable")) as pool:
            yield

    async def page(request):
        rid = request.path_params["rid"]
        if request.path_params["page"] == "orders" and shield:
            await asyncio.shield(asyncio.create_task(statement(f"SELECT 1 AS id_{rid}")))
            await asyncio.shield(asyncio.create_task(statement(f"SELECT generate_series(1, 3) AS id_{rid}")))
        elif request.path_params["page"] == "orders":
            await statement(f"SELECT 1 AS id_{rid}")
            await asyncio.gather(statement(f"SELECT generate_series(1, 3) AS id_{rid}"))
        return PlainTextResponse("ok\n")

    async def passes(request, call_next):
        return await call_next(request)

    middleware = (0 if shield else 2) * [Middleware(BaseHTTPMiddleware, dispatch=passes)]
    return Starlette(routes=[Route("/{page}/{rid}/", page)], middleware=middleware, lifespan=lifespan)


def make_django():
    from django.conf import settings
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of a test")
    import django
    django.setup()
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import path

    def view(request, page, rid):
        work(page, rid)
        return HttpResponse("ok\n")

    globals()["urlpatterns"] = [path("<str:page>/<str:rid>/", view)]
    return get_asgi_application()


async def executor(scope, receive, send):
    if scope["type"] != "http":
        return
    page, rid = scope["path"].split("/")[1:3]
    await asyncio.get_running_loop().run_in_executor(None, work, page, rid)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"ok\n"})


def make_deferred():
    transports, context, queued = selector_events._SelectorSocketTransport, contextvars.copy_context(), []

    def run_all():
        given = queued[:]
        queued.clear()
        for function, arguments in given:
            function(*arguments)

    def later(function):
        def give(*arguments):
            if not queued:
                asyncio.get_running_loop().call_soon(run_all, context=context)
            queued.append((function, arguments))
        return give

    transports.write, transports.close = later(transports.write), later(transports.close)
    return make_middleware(shield=True)


application = {
    "starlette": make_starlette, "middleware": make_middleware, "shield": lambda: make_middleware(shield=True), "django": make_django,
    "executor": lambda: executor, "deferred": make_deferred,
}[os.environ["ASGI"]]()
