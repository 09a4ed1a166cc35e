"""The lifespan of an ASGI application: it hears of the server's start, and of its end.

One call of the application, in a goroutine or a task of its own, for as long as the server runs.

Source: the ASGI specification, Lifespan 2.0. Tests: tests/http/test_lifespan.py
"""

from __future__ import annotations

import logging
from typing import Any, Final

from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.report.traceback import transparent
from gopark._runtime.sched.newproc import go
from gopark.http._have import failure

__all__ = ("MODES", "Lifespan", "LifespanError")

MODES: Final = ("auto", "on", "off")
_log: Final = logging.getLogger("gopark.http")


class LifespanError(Exception):
    """The application could not start, or not end in good order; the text is its own."""


class Lifespan:
    """That of one server.

    Attributes:
        state: What the application keeps there for its requests.
    """

    def __init__(self, app: Any, mode: str, loop: str) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._mode = mode
        self._onloop = loop == "asyncio"
        self._asked = Chan[str](2)  # to start, to end
        self._answers = Chan[tuple[str, str]](4)
        self._ended = Chan[None]()
        self._error: BaseException | None = None
        self._supported = mode != "off"
        self._begun = False

    async def startup(self) -> None:
        """Have it start, and wait for that.

        Raises:
            LifespanError: it says that it cannot, or fails although it is to support this.
        """
        if not self._supported:
            return
        self._begun = True
        go(self._run)
        await self._asked.send("lifespan.startup")
        kind, text = await self._answer()
        if kind == "lifespan.startup.complete":
            return
        self._supported = False
        if kind:
            raise LifespanError(f"the application cannot start: {text or 'it does not say why'}")
        if self._mode == "on":
            raise LifespanError("the application knows no lifespan") from self._error
        if self._error is not None and not isinstance(self._error, AssertionError):
            _log.debug("the application knows no lifespan: %r", self._error)

    async def shutdown(self) -> None:
        """Have it end, and wait for that."""
        if not (self._supported and self._begun):
            return
        self._supported = False
        await self._asked.send("lifespan.shutdown")
        kind, text = await self._answer()
        if kind == "lifespan.shutdown.failed":
            _log.error("the application has not ended in good order: %s", text)
        elif self._error is not None:
            _log.error("the application failed as it was to end", exc_info=self._error)

    async def _answer(self) -> tuple[str, str]:
        """What it says; "" if it has ended."""
        index, value, _ = await select(recv(self._answers), recv(self._ended))
        if index == 0:
            return value  # type: ignore[no-any-return]
        value, ok, _ = self._answers.try_recv()  # it has said something, and ended
        return value if ok and value is not None else ("", "")

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            if self._onloop:
                from gopark.asyncio import call

                await call(self._app(scope, self._waited, self._send))
            else:
                await self._app(scope, self._receive, self._send)
        except BaseException as exc:
            if not failure(exc):
                raise
            self._error = exc
        finally:
            self._ended.close()

    async def _receive(self) -> dict[str, Any]:
        return {"type": await self._asked.recv()}

    async def _waited(self) -> dict[str, Any]:
        from gopark.asyncio import wait

        return {"type": await wait(self._asked.recv())}

    async def _send(self, message: Any) -> None:
        self._answers.try_send((message["type"], message.get("message", "")))


transparent.add(Lifespan._run.__code__)
