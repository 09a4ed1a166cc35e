"""The backend of `nats://` URLs: a stream of JetStream, with one consumer that all workers share.

    GOPARK_name        the values: a work queue, so what is acknowledged is gone; when `cap` are in
                       it the server refuses more, and a sender asks again
    GOPARK_name_DEAD   the dead letters
    workers            the consumer: a lease is its ack_wait

The settings that JetStream has no place for (tries, codec) stand in the stream's description. A
closed queue is one whose stream has no subject to send to: that decides, in the server, between a
send and a close. Whoever receives looks from then on whether the stream is empty.

Values are pulled: `_wanted` may come yet, and for `_asked` of them a request lies at the server. A
value whose tries are over is moved by who gets it next: first to the dead, then away.

Source: JetStream's API, as nats-server 2.9 to 2.15 have it. Tests: tests/workqueue/test_nats.py
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from email.parser import BytesHeaderParser
from random import random
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from gopark._runtime.base.errors import ClosedChannelError
from gopark._runtime.base.lockrank import Holding, Mutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.time.timechan import after
from gopark._runtime.time.timesleep import sleep
from gopark.context import Context
from gopark.context._with import checked
from gopark.workqueue._backend import MAKE, Backend, RawLetter, Sink, Stats
from gopark.workqueue._errors import Unavailable
from gopark.workqueue._leftovers import clear_nats
from gopark.workqueue._natswire import ELECTION, SILENCE, NatsWire, status_of
from gopark.workqueue._settings import WINDOW, Settings, Wanted, without_secrets

__all__ = ("open_nats", "stream_names")

_CONSUMER: Final = "workers"
_PATIENCE: Final = 30.0  # seconds in which a server may be away
_EXPIRES: Final = 20.0  # seconds that a request for values lies at the server
_LOOK: Final = 0.05  # seconds between two looks whether a closed queue is empty
_STUCK: Final = 1.0  # seconds without any progress, to ask what holds it up
_SECOND: Final = 1_000_000_000

_FULL: Final = 10077
_NO_STREAM: Final = 10059
_NO_MESSAGE: Final = (10037, 10043, 10057)


async def open_nats(
    url: str,
    name: str,
    asked: Wanted,
    reopen: bool,
    sink: Sink,
    options: Mapping[str, Any],
    how: str,
) -> Nats:
    """Open a queue.

    Raises:
        Mismatch, Unavailable
        ValueError: the URL is none.
    """
    servers, replicas = _parsed(url)
    wire = NatsWire(url, servers, options)
    await wire.connect()
    try:
        queue = Nats(wire, name, sink, replicas, how)
        await queue._begin(asked, reopen)
    except BaseException:
        await wire.close()
        raise
    return queue


def _parsed(url: str) -> tuple[list[str], int]:
    """The servers of a URL, and how many of them are to have each value."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    replicas = query.pop("replicas", "1")
    if not parts.netloc or query or not replicas.isdecimal() or not 1 <= int(replicas) <= 5:
        raise ValueError(
            "open: a URL of NATS is nats://host:port, nats://a,b,c?replicas=3 for a cluster, got "
            + shown(without_secrets(url))
        )
    user, at, hosts = parts.netloc.rpartition("@")
    return [f"{parts.scheme}://{user}{at}{host}" for host in hosts.split(",")], int(replicas)


class _Token:
    """A lease: where its acknowledgement goes, and what it is about."""

    __slots__ = ("data", "reply", "seq", "tries")

    def __init__(self, reply: str, data: bytes) -> None:
        parts = reply.split(".")
        at = 4 if len(parts) == 9 else 6
        self.reply = reply
        self.data = data
        self.tries = int(parts[at])
        self.seq = int(parts[at + 1])


class Nats(Backend):
    """A queue, as one of those who have opened it sees it."""

    def __init__(self, wire: NatsWire, name: str, sink: Sink, replicas: int, how: str) -> None:
        self.settings = Settings()
        self.limit = wire.limit
        self._wire = wire
        wire.queue, wire.when_forked = name, sink.forked
        self._name = name
        self._sink = sink
        self._replicas = replicas
        self._how = how
        self._stream = f"GOPARK_{name}"
        self._dead = f"GOPARK_{name}_DEAD"
        self._subject = f"gopark.{name}"
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{_CONSUMER}"
        self._lock: Mutex = Mutex((None,))
        self._wanted = self._asked = 0
        self._heard = 0.0  # when the server last spoke of our requests
        self._inbox = ""
        self.over = False  # as far as we know
        self._left = False
        self._stuck = 0, 0.0  # so many values were there since then
        self._look: Chan[None] = Chan(1)

    # --- the stream -------------------------------------------------------------------------------

    async def _begin(self, asked: Wanted, reopen: bool) -> None:
        config = await self._made(asked)
        said = json.loads(config["description"])
        there = Settings(config["max_msgs"], said["lease"], said["tries"], said["codec"])
        self.settings = there.merged(self._name, asked)
        self.over = not self._open(config)
        if self.over and reopen:
            await self._update(config, closed=False)
            self.over = False
        await self._consumer()
        self._wire.reconnected = self._anew
        await self._wire.subscribe(f"{self._subject}.control", self._told)

    def _open(self, config: dict[str, Any]) -> bool:
        return f"{self._subject}.job" in config["subjects"]

    async def _made(self, asked: Wanted) -> dict[str, Any]:
        """The stream's configuration; it is made if it is not there."""
        there = await self._wire.api(f"STREAM.INFO.{self._stream}")
        if "error" not in there:
            return self._ours(there["config"])
        if self._how != MAKE:
            raise Unavailable(f"{self._wire.url}: there is no queue {shown(self._name)}")
        settings = Settings(**asked)
        said = {
            "gopark": 1,
            "lease": settings.lease,
            "tries": settings.tries,
            "codec": settings.codec,
        }
        # Bound to nobody before, so that a queue is whole when its own stream is there.
        await self._create(self._dead, f"{self._subject}.dead", retention="limits")
        await self._create(
            self._stream,
            f"{self._subject}.job",
            retention="workqueue",
            max_msgs=settings.cap,
            discard="new",
            description=json.dumps(said),
        )
        there = await self._api(f"STREAM.INFO.{self._stream}")
        return self._ours(there["config"])

    def _ours(self, config: dict[str, Any]) -> dict[str, Any]:
        try:
            json.loads(config["description"])["gopark"]
        except (KeyError, ValueError, TypeError):
            raise Unavailable(
                f"{self._wire.url}: the stream {self._stream} is there and is no queue of gopark"
            ) from None
        return config

    async def _create(self, name: str, subject: str, **config: Any) -> None:
        whole = {
            "name": name,
            "subjects": [subject],
            "storage": "file",
            "num_replicas": self._replicas,
            "duplicate_window": int(WINDOW * _SECOND),
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_consumers": -1,
            **config,
        }
        answer = await self._wire.api(f"STREAM.CREATE.{name}", whole)
        if "error" in answer and answer["error"].get("err_code") != 10058:  # it is there by now
            raise self._refused(answer)

    async def _consumer(self) -> None:
        answer = await self._wire.api(f"CONSUMER.INFO.{self._stream}.{_CONSUMER}")
        if "error" not in answer:
            return
        config = {
            "durable_name": _CONSUMER,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "replay_policy": "instant",
            "ack_wait": int(self.settings.lease * _SECOND),
            "max_deliver": -1,
            "max_ack_pending": -1,
            "max_waiting": 8192,
        }
        answer = await self._wire.api(
            f"CONSUMER.DURABLE.CREATE.{self._stream}.{_CONSUMER}",
            {"stream_name": self._stream, "config": config},
        )
        if "error" in answer:
            raise self._refused(answer)

    async def _update(self, config: dict[str, Any], closed: bool) -> None:
        subject = f"{self._subject}.{'closed' if closed else 'job'}"
        await self._api(f"STREAM.UPDATE.{self._stream}", {**config, "subjects": [subject]})

    async def _api(self, what: str, body: object = None) -> dict[str, Any]:
        answer = await self._wire.api(what, body)
        if "error" in answer:
            raise self._refused(answer)
        return answer

    def _refused(self, answer: dict[str, Any]) -> Unavailable:
        error = answer["error"]
        text = error.get("description", "")
        if error.get("err_code") == _NO_STREAM:
            text = f"the stream {self._stream} was deleted"
        return Unavailable(f"{self._wire.url}: the server refuses: {text}")

    # --- sending ----------------------------------------------------------------------------------

    async def send(self, payload: bytes, id: str, ctx: Context | None) -> None:
        if ctx is not None:
            checked("send", ctx)
            if (err := ctx.err()) is not None:
                raise err
        headers, until, pause, full = {"Nats-Msg-Id": id} if id else None, 0.0, 0.002, monotonic()
        while True:
            status, data = await self._wire.request(f"{self._subject}.job", payload, headers, ctx)
            if not status:
                answer = json.loads(data)
                if "error" not in answer:
                    return
                if answer["error"].get("err_code") == _FULL:
                    until = 0.0
                    if monotonic() - full > 5 * _STUCK:
                        full = monotonic()
                        await self._sweep(await self._info())
                elif answer["error"].get("code") == ELECTION:
                    until = await self._nobody(SILENCE, until)
                else:
                    raise self._refused(answer)
            else:
                until = await self._nobody(status, until)
            await self._pause(pause, ctx)
            pause = min(2 * pause, 0.1)

    async def _nobody(self, status: int, until: float) -> float:
        """Nobody took it. Because the queue is closed, or the server away; until when it may be."""
        if self._left:
            raise RuntimeError("the queue was left")
        if status != SILENCE and not await self._isopen():
            self._close_seen()
            raise ClosedChannelError(
                f"queue {shown(self._name)} was closed: nobody sends to it any more. "
                "open(..., reopen=True) begins it anew"
            )
        now = monotonic()
        if until and now > until:
            raise self._wire.unavailable("no server has the queue", status)
        return until or now + _PATIENCE

    async def _isopen(self) -> bool:
        try:  # where nobody can be asked it may be
            answer = await self._wire.api(f"STREAM.INFO.{self._stream}")
        except Unavailable:
            return True
        if answer.get("error", {}).get("code", ELECTION) != ELECTION:
            raise self._refused(answer)
        return "error" in answer or self._open(answer["config"])

    async def _pause(self, seconds: float, ctx: Context | None) -> None:
        seconds *= 0.5 + random()
        if ctx is None:
            await sleep(seconds)
        elif (await select(recv(after(seconds)), recv(ctx.done())))[0] and (err := ctx.err()):
            raise err

    async def _info(self) -> dict[str, Any]:
        return await self._api(f"STREAM.INFO.{self._stream}")

    # --- receiving --------------------------------------------------------------------------------

    def want(self, n: int) -> None:
        with Holding(self._lock):
            first = not self._inbox
            if first:
                self._inbox = self._wire.inbox()
            self._wanted = self._wanted + n if n else 0
        if first:
            go(self._listen)
        elif n:
            self._pull()

    async def _listen(self) -> None:
        """The goroutine of who receives: asks anew, and looks for the end."""
        try:
            await self._wire.subscribe(self._inbox, self._arrived)
        except Exception as exc:
            if not self._left:
                self._sink.failed(Unavailable(f"{self._wire.url}: cannot receive: {exc}"))
            return
        self._heard = monotonic()
        self._pull()
        while not self._left:
            late = after(_LOOK if self.over else _EXPIRES)
            await select(recv(self._look), recv(late))
            if self._left:
                return
            try:
                if await self._ended():
                    self._wire.publish(f"{self._subject}.control", b"done")
                    self._sink.ended()
                    return
            except (Unavailable, RuntimeError):
                continue
            if monotonic() - self._heard > _EXPIRES + 5:
                self._anew()

    async def _ended(self) -> bool:
        info = await self._info()
        self.over = not self._open(info["config"])
        if not self.over:
            return False
        undone = info["state"]["messages"]
        if undone != self._stuck[0]:
            self._stuck = undone, monotonic()
        elif undone and monotonic() - self._stuck[1] > _STUCK:
            self._stuck = undone, monotonic()
            await self._sweep(info)
        return not undone

    async def _sweep(self, info: dict[str, Any]) -> None:
        """Remove what is acknowledged, and is there all the same.

        A server that was killed may have forgotten that it removed values (2.9 does), and gives
        them to nobody, for its consumer knows that they are done; but they count.
        """
        consumer = await self._api(f"CONSUMER.INFO.{self._stream}.{_CONSUMER}")
        floor = consumer["ack_floor"]["stream_seq"]
        if info["state"]["messages"] and info["state"]["first_seq"] <= floor:
            await self._api(f"STREAM.PURGE.{self._stream}", {"seq": floor + 1})

    def _pull(self) -> None:
        """Ask for what is wanted and not asked for yet, if that is worth a request."""
        with Holding(self._lock):
            n = self._wanted - self._asked
            if n <= 0 or 2 * n < self._wanted or not self._heard or self._left:
                return
            self._asked += n
        body = json.dumps({"batch": n, "expires": int(_EXPIRES * _SECOND)})
        self._wire.publish(self._next, body.encode(), self._inbox)

    def _arrived(self, msg: Any) -> None:
        """In the loop: a value, or what has become of a request for some."""
        self._heard = monotonic()
        if not msg.reply:
            self._expired(msg)
            return
        with Holding(self._lock):
            self._wanted -= 1
            self._asked -= 1
        token = _Token(msg.reply, msg.data)
        self._sink.arrived(((token, token.tries, token.data),))
        self._pull()

    def _expired(self, msg: Any) -> None:
        if status_of(msg) == 100:
            return
        left = msg.headers.get("Nats-Pending-Messages") if msg.headers else None
        with Holding(self._lock):
            self._asked = max(0, self._asked - int(left)) if left else 0
        if status_of(msg) == 409:
            go(self._later)  # the consumer moves, or was deleted
        else:
            self._pull()

    async def _later(self) -> None:
        await sleep(0.1)
        self._pull()

    def _anew(self) -> None:
        """The connection is another: what was asked for will not come."""
        with Holding(self._lock):
            self._asked = 0
        if self._inbox:
            self._pull()

    # --- leases -----------------------------------------------------------------------------------

    async def ack(self, token: _Token) -> bool:
        done = await self._confirmed(token, b"+ACK")
        if self.over:
            self._look.try_send(None)
        return done

    async def _confirmed(self, token: _Token, what: bytes) -> bool:
        """Say it until the server has confirmed it.

        Raises:
            Unavailable: it does not for half a minute.
        """
        until = monotonic() + _PATIENCE
        while True:
            status, _ = await self._wire.request(token.reply, what)
            if not status:
                return True
            if self._left:
                raise RuntimeError("the queue was left")
            if monotonic() > until:
                raise self._wire.unavailable("no server has the queue", status)
            await sleep(0.02 if status == SILENCE else 0.1)

    async def again(self, token: _Token, delay: float, untried: bool) -> bool:
        what = b"-NAK"
        if delay > 0:
            what += b' {"delay": %d}' % int(delay * _SECOND)
        return await self._confirmed(token, what)

    async def bury(self, token: _Token, why: str) -> bool:
        """To the dead first; should it be done twice, that is the same letter."""
        headers = {
            "Nats-Msg-Id": f"dead-{token.seq}-{token.tries}",
            "Gopark-Tries": str(min(token.tries, self.settings.tries)),
            "Gopark-Why": base64.b64encode(why.encode(errors="replace")).decode(),
        }
        await self._stored(f"{self._subject}.dead", token.data, headers)
        return await self.ack(token)

    async def _stored(self, subject: str, data: bytes, headers: dict[str, str] | None) -> None:
        until = monotonic() + _PATIENCE
        while True:
            status, answer = await self._wire.request(subject, data, headers)
            if not status:
                said = json.loads(answer)
                if "error" in said:
                    raise self._refused(said)
                return
            if self._left:
                raise RuntimeError("the queue was left")
            if monotonic() > until:
                raise self._wire.unavailable("no server has the queue", status)
            await sleep(0.05)

    def touch(self, tokens: Iterable[_Token]) -> None:
        for token in tokens:
            self._wire.publish(token.reply, b"+WPI")

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        config = (await self._info())["config"]
        if self._open(config):
            await self._update(config, closed=True)
        self._wire.publish(f"{self._subject}.control", b"closed")
        self._close_seen()

    def _told(self, msg: Any) -> None:
        """In the loop: another has closed it, or done the last."""
        self._close_seen()

    def _close_seen(self) -> None:
        self.over = True
        self._look.try_send(None)

    async def leave(self) -> None:
        if self._left:
            return
        self._left = True
        self._look.try_send(None)
        await self._wire.close()

    async def destroy(self) -> None:
        for one in (self._stream, self._dead):
            await self._wire.api(f"STREAM.DELETE.{one}")
        await self.leave()

    async def clear(self, queue: str, quiet: float) -> None:
        others = set(await self._wire.streams()) - {self._stream}
        await clear_nats(self._wire, others, queue, quiet)

    # --- looking after it -------------------------------------------------------------------------

    async def stats(self) -> Stats:
        info = await self._info()
        consumer = await self._api(f"CONSUMER.INFO.{self._stream}.{_CONSUMER}")
        dead = await self._wire.api(f"STREAM.INFO.{self._dead}")
        undone = info["state"]["messages"]
        leased = min(undone, consumer["num_ack_pending"])
        settings = self.settings
        return Stats(
            waiting=undone - leased,
            leased=leased,
            dead=dead["state"]["messages"] if "state" in dead else 0,
            closed=not self._open(info["config"]),
            cap=settings.cap,
            lease=settings.lease,
            tries=settings.tries,
            codec=settings.codec,
        )

    async def letters(self, after: int, most: int) -> list[RawLetter]:
        found: list[RawLetter] = []
        while len(found) < most:
            letter = await self._letter({"seq": after + 1, "next_by_subj": f"{self._subject}.dead"})
            if letter is None:
                break
            found.append(letter)
            after = letter.seq
        return found

    async def _letter(self, which: dict[str, Any]) -> RawLetter | None:
        answer = await self._wire.api(f"STREAM.MSG.GET.{self._dead}", which)
        if "error" in answer:
            if answer["error"].get("err_code") in (*_NO_MESSAGE, _NO_STREAM):
                return None
            raise self._refused(answer)
        message = answer["message"]
        _, _, head = base64.b64decode(message.get("hdrs", "")).partition(b"\r\n")
        headers = BytesHeaderParser().parsebytes(head)
        why = base64.b64decode(headers.get("Gopark-Why", "")).decode(errors="replace")
        return RawLetter(
            message["seq"],
            int(headers.get("Gopark-Tries", "0")),
            why,
            base64.b64decode(message.get("data", "")),
        )

    async def requeue(self, seq: int) -> bool:
        """Sent first, deleted then: should this end between, it is there twice."""
        letter = await self._letter({"seq": seq})
        if letter is None:
            return False
        await self.send(letter.payload, "", None)
        return await self.discard(seq)

    async def discard(self, seq: int) -> bool:
        answer = await self._wire.api(f"STREAM.MSG.DELETE.{self._dead}", {"seq": seq})
        if "error" in answer and answer["error"].get("err_code") not in _NO_MESSAGE:
            raise self._refused(answer)
        return "error" not in answer

    async def purge(self, dead: bool) -> int:
        answer = await self._api(f"STREAM.PURGE.{self._dead if dead else self._stream}")
        return int(answer.get("purged", 0))


async def stream_names(url: str) -> list[str]:
    """The queues that a server has."""
    wire = NatsWire(url, _parsed(url)[0], {})
    await wire.connect()
    try:
        found = await wire.streams()
    finally:
        await wire.close()
    return sorted(
        name.removeprefix("GOPARK_")
        for name in found
        if name.startswith("GOPARK_") and not name.endswith("_DEAD")
    )
