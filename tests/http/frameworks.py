"""One small application of each framework: JSON at `/`, an echo at `/echo`, a stream at `/stream`.

Each function imports what it needs, so that a test can skip what is not installed.
"""

from __future__ import annotations

import asyncio

__all__ = ("ASGI", "WSGI")


def starlette():
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def root(request):
        return JSONResponse({"hello": "world"}, background=BackgroundTask(asyncio.sleep, 0))

    async def echo(request):
        return PlainTextResponse(await request.body())

    def sync(request):  # on one of anyio's threads
        return PlainTextResponse("sync")

    async def stream(request):
        async def pieces():
            for number in range(3):
                yield f"{number}\n"
                await asyncio.sleep(0)

        return StreamingResponse(pieces())

    async def talk(websocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    routes = [
        Route("/", root),
        Route("/echo", echo, methods=["POST"]),
        Route("/sync", sync),
        Route("/stream", stream),
        WebSocketRoute("/talk", talk),
    ]
    return Starlette(routes=routes)


def fastapi():
    from fastapi import FastAPI, Request
    from fastapi.responses import PlainTextResponse, StreamingResponse

    app = FastAPI()

    @app.middleware("http")
    async def timed(request, call_next):
        return await call_next(request)

    @app.get("/")
    async def root():
        await asyncio.sleep(0)
        return {"hello": "world"}

    async def echo(request):
        return PlainTextResponse(await request.body())

    echo.__annotations__["request"] = Request
    app.post("/echo")(echo)

    @app.get("/sync")
    def sync():
        return PlainTextResponse("sync")

    @app.get("/stream")
    async def stream():
        return StreamingResponse(f"{number}\n" for number in range(3))

    return app


def quart():
    from quart import Quart, request

    app = Quart(__name__)

    @app.get("/")
    async def root():
        return {"hello": "world"}

    @app.post("/echo")
    async def echo():
        return await request.get_data()

    @app.get("/sync")
    def sync():
        return "sync"

    @app.get("/stream")
    async def stream():
        async def pieces():
            for number in range(3):
                yield f"{number}\n".encode()

        return pieces(), 200

    return app


def litestar():
    from litestar import Litestar, Request, get, post
    from litestar.response import Stream

    async def root() -> dict[str, str]:
        return {"hello": "world"}

    async def echo(request) -> bytes:
        return await request.body()

    echo.__annotations__ = {"request": Request, "return": bytes}
    root.__annotations__ = {"return": dict[str, str]}

    def sync() -> str:
        return "sync"

    sync.__annotations__ = {"return": str}

    async def stream():
        return Stream(f"{number}\n" for number in range(3))

    stream.__annotations__ = {"return": Stream}
    plain = {"media_type": "text/plain"}
    return Litestar(
        [
            get("/")(root),
            post("/echo", status_code=200, **plain)(echo),
            get("/sync", sync_to_thread=True, **plain)(sync),
            get("/stream")(stream),
        ]
    )


def falcon_asgi():
    import falcon.asgi

    class Root:
        async def on_get(self, request, response):
            response.media = {"hello": "world"}

    class Echo:
        async def on_post(self, request, response):
            response.data = await request.stream.read()

    class Stream:
        async def on_get(self, request, response):
            async def pieces():
                for number in range(3):
                    yield f"{number}\n".encode()

            response.stream = pieces()

    app = falcon.asgi.App()
    app.add_route("/", Root())
    app.add_route("/echo", Echo())
    app.add_route("/stream", Stream())
    return app


def _django():
    import django
    from django.conf import settings
    from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    def root(request):
        return JsonResponse({"hello": "world"})

    @csrf_exempt
    def echo(request):
        return HttpResponse(request.body)

    def sync(request):
        return HttpResponse("sync")

    def stream(request):
        return StreamingHttpResponse(f"{number}\n" for number in range(3))

    if not settings.configured:
        views = (("", root), ("echo", echo), ("sync", sync), ("stream", stream))
        settings.configure(
            ROOT_URLCONF=tuple(path(where, view) for where, view in views),
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="of a test",
        )
        django.setup()


def django_asgi():
    _django()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def django_wsgi():
    _django()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def flask():
    from flask import Flask, request

    app = Flask(__name__)

    @app.get("/")
    def root():
        return {"hello": "world"}

    @app.post("/echo")
    def echo():
        return request.get_data()

    @app.get("/sync")
    def sync():
        return "sync"

    @app.get("/stream")
    def stream():
        return (f"{number}\n" for number in range(3)), 200

    return app


def falcon_wsgi():
    import falcon

    class Root:
        def on_get(self, request, response):
            response.media = {"hello": "world"}

    class Echo:
        def on_post(self, request, response):
            response.data = request.bounded_stream.read()

    class Stream:
        def on_get(self, request, response):
            response.stream = (f"{number}\n".encode() for number in range(3))

    app = falcon.App()
    app.add_route("/", Root())
    app.add_route("/echo", Echo())
    app.add_route("/stream", Stream())
    return app


ASGI = {
    "starlette": starlette,
    "fastapi": fastapi,
    "quart": quart,
    "litestar": litestar,
    "falcon": falcon_asgi,
    "django": django_asgi,
}
WSGI = {"flask": flask, "falcon": falcon_wsgi, "django": django_wsgi}
