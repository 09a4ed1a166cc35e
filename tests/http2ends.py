"""A client of HTTP/2, by h2, which sends and reads what it is told to and nothing by itself."""

from __future__ import annotations

import contextlib

import h2.config
import h2.connection
import h2.events

from gopark import net
from httpends import serving

HEAD = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")]


class Client:
    """One connection; `answers` has what has come for each stream."""

    def __init__(self, conn):
        self.conn = conn
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.answers = {}
        self.events = []
        self.closed = False

    async def flush(self):
        if data := self.h2.data_to_send():
            await self.conn.write(data)

    async def ask(self, path="/", method="GET", headers=(), end=True, flush=True):
        """Begin a stream."""
        number = self.h2.get_next_available_stream_id()
        head = [(":method", method), *HEAD[1:3], (":path", path), *headers]
        self.h2.send_headers(number, head, end_stream=end)
        self.answers[number] = Answer()
        if flush:
            await self.flush()
        return number

    async def step(self):
        """Read once; False at the end."""
        data = await self.conn.read()
        if not data:
            self.closed = True
            return False
        for event in self.h2.receive_data(data):
            self.events.append(event)
            answer = self.answers.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived):
                answer.headers = dict(event.headers)
                answer.status = int(answer.headers[":status"])
            elif isinstance(event, h2.events.InformationalResponseReceived):
                answer.before.append(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.TrailersReceived):
                answer.trailers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                answer.body += event.data
                answer.owed += event.flow_controlled_length
            elif isinstance(event, h2.events.StreamEnded):
                answer.ended = True
            elif isinstance(event, h2.events.StreamReset):
                answer.reset = event.error_code
        await self.flush()
        return True

    async def until(self, test):
        while not test():
            assert await self.step(), "the server has closed"

    async def answer(self, number, reads=True):
        """That of a stream, complete; `reads`: say that its body was read."""
        answer = self.answers[number]
        while not (answer.ended or answer.reset is not None):
            if reads and answer.owed:
                self.h2.acknowledge_received_data(answer.owed, number)
                answer.owed = 0
                await self.flush()
            assert await self.step(), "the server has closed"
        return answer

    async def get(self, path="/", **how):
        return await self.answer(await self.ask(path, **how))

    def had(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class Answer:
    def __init__(self):
        self.status, self.headers, self.trailers = None, {}, {}
        self.body, self.owed = b"", 0
        self.before = []
        self.ended = False
        self.reset = None


@contextlib.asynccontextmanager
async def serving2(app, **options):
    """As `serving`, of clients that speak HTTP/2."""
    async with serving(app, **options) as connect:

        @contextlib.asynccontextmanager
        async def connect2():
            conn = await net.dial("tcp", connect.addr)
            with conn:
                client = Client(conn)
                await client.flush()
                yield client

        connect2.server, connect2.addr, connect2.first = connect.server, connect.addr, connect
        yield connect2
