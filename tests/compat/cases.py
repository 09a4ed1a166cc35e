"""What is asked of each library: an async function, which knows nothing of gopark.

It raises if something is not as it should be. A name says which distribution it is of, and what.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading

__all__ = ("CASES", "DISTRIBUTIONS", "NOSIGNALS")

NOSIGNALS = 77


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listening():
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


# --- aiohttp ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def aiohttp_server():
    from aiohttp import web

    async def hello(request):
        return web.json_response({"name": request.match_info["name"]})

    async def echo(request):
        return web.Response(body=await request.read())

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for n in range(20):
            await response.write(b"%d\n" % n)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def socket_(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str("echo " + message.data)
        return ws

    app = web.Application()
    app.add_routes(
        [
            web.get("/hello/{name}", hello),
            web.post("/echo", echo),
            web.get("/stream", stream),
            web.get("/ws", socket_),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    sock, port = listening()
    await web.SockSite(runner, sock).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def aiohttp_requests():
    import aiohttp

    async with aiohttp_server() as url, aiohttp.ClientSession() as session:

        async def one(n):
            async with session.get(f"{url}/hello/{n}") as response:
                assert await response.json() == {"name": str(n)}

        await asyncio.gather(*(one(n) for n in range(50)))
        body = os.urandom(1_000_000)
        async with session.post(f"{url}/echo", data=body) as response:
            assert await response.read() == body
        async with session.get(f"{url}/stream") as response:
            assert len(await response.text()) == 50
        async with session.get(f"{url}/none") as response:
            assert response.status == 404


async def aiohttp_timeouts():
    import aiohttp

    sock, port = listening()  # nobody answers there
    with sock:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.1)) as session:
            try:
                async with session.get(f"http://127.0.0.1:{port}/"):
                    raise AssertionError
            except TimeoutError:
                pass


async def aiohttp_websocket():
    import aiohttp

    async with aiohttp_server() as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/ws") as ws:
            for n in range(20):
                await ws.send_str(str(n))
                assert (await ws.receive()).data == f"echo {n}"


# --- httpx -----------------------------------------------------------------------------------


async def httpx_requests():
    import httpx

    async with aiohttp_server() as url, httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get(f"{url}/hello/{n}") for n in range(50)))
        assert [a.json()["name"] for a in answers] == [str(n) for n in range(50)]
        body = os.urandom(1_000_000)
        assert (await client.post(f"{url}/echo", content=body)).content == body
        async with client.stream("GET", f"{url}/stream") as response:
            assert [line async for line in response.aiter_lines()] == [str(n) for n in range(20)]


async def httpx_timeouts():
    import httpx

    sock, port = listening()
    with sock:
        async with httpx.AsyncClient(timeout=0.1) as client:
            try:
                await client.get(f"http://127.0.0.1:{port}/")
                raise AssertionError
            except httpx.ReadTimeout:
                pass


# --- uvicorn and FastAPI ---------------------------------------------------------------------


def fastapi_app(events):
    from fastapi import FastAPI, WebSocket
    from fastapi.responses import StreamingResponse

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await asyncio.sleep(0.001)
        events.append("up")
        yield
        await asyncio.sleep(0.001)
        events.append("down")

    app = FastAPI(lifespan=lifespan)

    @app.get("/async")
    async def asynchronous():
        await asyncio.sleep(0.001)
        return {"thread": threading.current_thread().name}

    @app.get("/sync")
    def synchronous():
        return {"thread": threading.current_thread().name}

    @app.get("/stream")
    async def stream():
        async def parts():
            for n in range(20):
                yield f"{n}\n"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    async def socket_(ws):
        await ws.accept()
        with contextlib.suppress(Exception):
            while True:
                await ws.send_text("echo " + await ws.receive_text())

    socket_.__annotations__["ws"] = WebSocket  # those of this module are text
    app.websocket("/ws")(socket_)
    return app


@contextlib.asynccontextmanager
async def uvicorn_server(events):
    import uvicorn

    sock, port = listening()
    config = uvicorn.Config(fastapi_app(events), log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([sock]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield server, port
    finally:
        server.should_exit = True
        await serving


async def uvicorn_fastapi():
    import httpx

    events = []
    async with uvicorn_server(events) as (_, port), httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}"
        assert events == ["up"]
        for path in ("async", "sync"):
            answers = await asyncio.gather(*(client.get(f"{url}/{path}") for _ in range(30)))
            assert all(a.status_code == 200 for a in answers)
        async with client.stream("GET", f"{url}/stream") as response:
            assert [line async for line in response.aiter_lines()] == [str(n) for n in range(20)]
    assert events == ["up", "down"]


async def uvicorn_websocket():
    import websockets

    events = []
    async with uvicorn_server(events) as (_, port):
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws") as ws:
            for n in range(20):
                await ws.send(str(n))
                assert await ws.recv() == f"echo {n}"
    assert events == ["up", "down"]


async def uvicorn_sigterm():
    """A signal ends it in order: its lifespan is left."""
    events = []
    import uvicorn

    sock, _ = listening()
    server = uvicorn.Server(uvicorn.Config(fastapi_app(events), log_level="warning"))
    if threading.current_thread() is not threading.main_thread():
        # uvicorn sets handlers on the main thread alone; elsewhere its caller does.
        try:
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGTERM, lambda: server.handle_exit(signal.SIGTERM, None)
            )
        except (RuntimeError, ValueError):
            sys.exit(NOSIGNALS)  # such a loop gets none on a thread of its own
        captured = False
    else:
        captured = True
        before = signal.signal(signal.SIGTERM, lambda *_: events.append("signal"))
    serving = asyncio.create_task(server.serve([sock]))
    while not server.started:
        await asyncio.sleep(0.005)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving
    assert events[:2] == ["up", "down"], events
    if captured:  # it raises the signal again, once it has ended
        signal.signal(signal.SIGTERM, before)


# --- websockets ------------------------------------------------------------------------------


async def websockets_echo():
    import websockets

    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        async def one(n):
            async with websockets.connect(f"ws://127.0.0.1:{port}") as ws:
                for size in (1, 1000, 100_000):
                    data = bytes([n]) * size
                    await ws.send(data)
                    assert await ws.recv() == data
                pong = await ws.ping()
                await pong

        await asyncio.gather(*(one(n) for n in range(10)))


# --- redis, PostgreSQL -----------------------------------------------------------------------


async def redis_asyncio():
    import redis.asyncio as redis

    pool = redis.BlockingConnectionPool(port=int(os.environ["REDIS_PORT"]), max_connections=20)
    client = redis.Redis(connection_pool=pool)
    await client.flushall()
    await asyncio.gather(*(client.incr("n") for _ in range(200)))
    assert await client.get("n") == b"200"
    async with client.pipeline() as pipe:
        assert await pipe.set("a", "1").get("a").execute() == [True, b"1"]
    pubsub = client.pubsub()
    await pubsub.subscribe("news")
    got = []

    async def listen():
        async for message in pubsub.listen():
            if message["type"] == "message":
                got.append(message["data"])
                if len(got) == 10:
                    return

    listening_ = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    for n in range(10):
        await client.publish("news", n)
    await listening_
    assert got == [str(n).encode() for n in range(10)]
    try:
        async with asyncio.timeout(0.1):
            await client.blpop("empty")
        raise AssertionError
    except TimeoutError:
        pass
    await pubsub.aclose()
    await client.aclose()
    await pool.aclose()


def dsn():
    return f"postgresql://postgres@127.0.0.1:{os.environ['POSTGRES_PORT']}/postgres"


async def asyncpg_pool():
    import asyncpg

    async with asyncpg.create_pool(dsn(), min_size=2, max_size=8) as pool:

        async def one(n):
            async with pool.acquire() as conn, conn.transaction():
                return await conn.fetchval("select $1::int * 2", n)

        assert await asyncio.gather(*(one(n) for n in range(100))) == [2 * n for n in range(100)]
        async with pool.acquire() as conn:
            rows = [row[0] async for row in _cursor(conn)]
            assert rows == list(range(1000))
            try:
                await conn.execute("select pg_sleep(10)", timeout=0.1)
                raise AssertionError
            except TimeoutError:
                pass
            assert await conn.fetchval("select 1") == 1
            heard = asyncio.Queue()
            await conn.add_listener("news", lambda *args: heard.put_nowait(args[3]))
            async with pool.acquire() as other:
                await other.execute("notify news, 'hello'")
            assert await heard.get() == "hello"


async def _cursor(conn):
    async with conn.transaction():
        async for row in conn.cursor("select generate_series(0, 999)"):
            yield row


async def psycopg_async():
    import psycopg

    async with await psycopg.AsyncConnection.connect(dsn()) as conn, conn.cursor() as cursor:
        await cursor.execute("select generate_series(0, 999)")
        assert [row[0] async for row in cursor] == list(range(1000))
        try:
            async with asyncio.timeout(0.1):
                await cursor.execute("select pg_sleep(10)")
            raise AssertionError
        except TimeoutError:
            pass


# --- nats ------------------------------------------------------------------------------------


async def nats_messages():
    import nats

    client = await nats.connect(f"nats://127.0.0.1:{os.environ['NATS_PORT']}")

    async def answer(message):
        await message.respond(b"echo " + message.data)

    await client.subscribe("echo", cb=answer)
    for n in range(50):
        reply = await client.request("echo", b"%d" % n, timeout=10)
        assert reply.data == b"echo %d" % n
    got, last = [], asyncio.Event()
    listening = await client.subscribe("many")

    async def listen():
        async for message in listening.messages:
            got.append(int(message.data))
            if len(got) == 500:
                last.set()

    reader = asyncio.create_task(listen())
    await asyncio.gather(*(client.publish("many", b"%d" % n) for n in range(500)))
    await asyncio.wait_for(last.wait(), 10)
    assert sorted(got) == list(range(500))
    await listening.unsubscribe()
    reader.cancel()
    try:
        await client.request("nobody", b"", timeout=0.2)
    except (TimeoutError, nats.errors.Error):
        pass
    else:
        raise AssertionError
    await client.drain()


async def nats_jetstream():
    import nats

    client = await nats.connect(f"nats://127.0.0.1:{os.environ['NATS_PORT']}")
    js = client.jetstream()
    await js.add_stream(name="jobs", subjects=["jobs.*"])
    for n in range(100):
        await js.publish("jobs.one", b"%d" % n)
    puller = await js.pull_subscribe("jobs.*", durable="worker")
    got = []
    while len(got) < 100:
        for message in await puller.fetch(10, timeout=10):
            got.append(int(message.data))
            await message.ack()
    assert got == list(range(100))
    try:
        await puller.fetch(1, timeout=0.2)
    except TimeoutError:
        pass
    else:
        raise AssertionError
    bucket = await js.create_key_value(bucket="settings")
    await bucket.put("name", b"ada")
    assert (await bucket.get("name")).value == b"ada"
    await js.delete_stream("jobs")
    await client.close()


# --- grpc ------------------------------------------------------------------------------------


def _grpc_service():
    import grpc

    async def unary(request, context):
        await asyncio.sleep(0.001)
        return request[::-1]

    async def counts(request, context):
        for n in range(int(request)):
            yield b"%d" % n

    async def sums(requests, context):
        return b"%d" % sum([int(request) async for request in requests])

    async def both(requests, context):
        async for request in requests:
            yield b"echo " + request

    async def slow(request, context):
        await asyncio.sleep(60)
        return b""

    async def refuses(request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    return grpc.method_handlers_generic_handler(
        "test.Service",
        {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Counts": grpc.unary_stream_rpc_method_handler(counts),
            "Sums": grpc.stream_unary_rpc_method_handler(sums),
            "Both": grpc.stream_stream_rpc_method_handler(both),
            "Slow": grpc.unary_unary_rpc_method_handler(slow),
            "Refuses": grpc.unary_unary_rpc_method_handler(refuses),
        },
    )


async def grpc_aio():
    import grpc

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_grpc_service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        unary = channel.unary_unary("/test.Service/Unary")
        got = await asyncio.gather(*(unary(b"%03d" % n, timeout=30) for n in range(100)))
        assert got == [(b"%03d" % n)[::-1] for n in range(100)]
        counts = channel.unary_stream("/test.Service/Counts")
        assert [int(n) async for n in counts(b"20")] == list(range(20))

        async def numbers():
            for n in range(10):
                yield b"%d" % n
                await asyncio.sleep(0)

        assert await channel.stream_unary("/test.Service/Sums")(numbers()) == b"45"
        both = channel.stream_stream("/test.Service/Both")(numbers())
        assert [reply async for reply in both] == [b"echo %d" % n for n in range(10)]
        for method, code in (("Slow", "DEADLINE_EXCEEDED"), ("Refuses", "NOT_FOUND")):
            call = channel.unary_unary(f"/test.Service/{method}")(b"", timeout=0.2)
            assert (await call.code()).name == code
        call = channel.unary_unary("/test.Service/Slow")(b"")
        await asyncio.sleep(0.01)
        assert call.cancel()
        try:
            await call
        except asyncio.CancelledError:
            pass
        else:
            raise AssertionError
    await server.stop(1)


# --- anyio -----------------------------------------------------------------------------------


async def anyio_tools():
    import anyio

    async def work(n, out):
        await anyio.sleep(0.001)
        out.append(await anyio.to_thread.run_sync(lambda: n * 2))

    out: list[int] = []
    async with anyio.create_task_group() as group:
        for n in range(20):
            group.start_soon(work, n, out)
    assert sorted(out) == [2 * n for n in range(20)]
    with anyio.move_on_after(0.05) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    send, receive = anyio.create_memory_object_stream(1)
    async with anyio.create_task_group() as group, receive:

        async def feed():
            async with send:
                for n in range(10):
                    await send.send(n)

        group.start_soon(feed)
        assert [n async for n in receive] == list(range(10))
    done = await anyio.run_process([sys.executable, "-c", "print(42)"])
    assert done.stdout == b"42\n"


# --- asyncio itself --------------------------------------------------------------------------


async def asyncio_children():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])", stdin=-1, stdout=-1
    )
    assert await child.communicate(b"abc\n") == (b"cba\n", None)
    assert child.returncode == 0
    sleeper = await asyncio.create_subprocess_exec("sleep", "100")
    sleeper.kill()
    assert await sleeper.wait() == -signal.SIGKILL


DISTRIBUTIONS = {
    "aiohttp": ["aiohttp"],
    "httpx": ["httpx", "aiohttp"],
    "uvicorn": ["uvicorn", "fastapi", "httpx", "websockets"],
    "websockets": ["websockets"],
    "redis": ["redis"],
    "asyncpg": ["asyncpg"],
    "psycopg": ["psycopg"],
    "nats": ["nats-py"],
    "grpc": ["grpcio"],
    "anyio": ["anyio"],
    "asyncio": [],
}
CASES = {
    name: value
    for name, value in list(globals().items())
    if name.partition("_")[0] in DISTRIBUTIONS and asyncio.iscoroutinefunction(value)
}
