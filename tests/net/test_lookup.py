"""Resolver: names and addresses through the system, which is replaced where it would be asked."""

from __future__ import annotations

import pickle
import socket
import threading

import pytest

import gopark
from conftest import wait_until
from gopark import go, net
from gopark.context import Canceled, DeadlineExceeded, background, with_cancel, with_timeout
from gopark.runtime import num_goroutine
from gopark.testing import synctest
from netpeers import outcome


class System:
    """In the place of getaddrinfo: it answers when it is let."""

    def __init__(self, *addresses, error=None):
        self.addresses = addresses
        self.error = error
        self.asked = []
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.gate = threading.Event()

    def __call__(self, host, port, family=0, kind=0, proto=0, flags=0):
        with self.lock:
            self.asked.append(host)
            self.now += 1
            self.most = max(self.most, self.now)
        self.gate.wait()
        with self.lock:
            self.now -= 1
        if self.error is not None:
            raise self.error
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, kind, 6, "canon.test", (one, 0))
            for one in self.addresses
        ]


@pytest.fixture
def system(monkeypatch):
    one = System("192.0.2.1", "192.0.2.1", "2001:db8::1")
    monkeypatch.setattr(socket, "getaddrinfo", one)
    yield one
    one.gate.set()


# --- what it answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%lo"])
async def test_an_address_is_its_own_answer_and_nobody_is_asked(host, system):
    assert await net.lookup_host(host) == [host]
    assert await net.lookup_cname(host) == host
    assert system.asked == []


async def test_addresses_come_once_each_in_the_systems_order(system):
    system.gate.set()
    assert await net.Resolver().lookup_host("a.test") == ["192.0.2.1", "2001:db8::1"]
    assert await net.Resolver().lookup_cname("a.test") == "canon.test"


async def test_the_real_system_knows_this_machine():
    assert set(await net.lookup_host("localhost")) <= {"127.0.0.1", "::1"}
    assert await net.lookup_host("localhost", network="ip4") == ["127.0.0.1"]
    with net.listen("tcp", "localhost:0") as ln, await net.dial("tcp", f"localhost:{ln.addr.port}"):
        pass


async def test_an_address_of_the_other_kind_is_none(system):
    with pytest.raises(net.DNSError, match="no suitable address"):
        await net.lookup_host("127.0.0.1", network="ip6")


async def test_names_of_an_address(monkeypatch):
    monkeypatch.setattr(socket, "getnameinfo", lambda name, how: (f"host-of-{name[0]}", "0"))
    assert await net.lookup_addr("192.0.2.7") == ["host-of-192.0.2.7"]


def test_in_plain_code_and_without_a_program(system):
    system.gate.set()
    assert gopark.block(net.Resolver().lookup_host("a.test"))[0] == "192.0.2.1"


# --- how it asks --------------------------------------------------------------------------------


async def test_others_run_while_the_system_is_asked(system):
    got = gopark.Chan()
    go(outcome, net.Resolver().lookup_host("a.test"), got)
    while not system.asked:
        await gopark.gosched()
    system.gate.set()  # by this goroutine, which runs
    assert "192.0.2.1" in await got.recv()


async def test_who_asks_for_the_same_name_waits_for_the_same_answer(system):
    resolver, got = net.Resolver(), gopark.Chan()
    for _ in range(5):
        go(outcome, resolver.lookup_host("a.test"), got)
    go(outcome, resolver.lookup_host("b.test"), got)
    while len(system.asked) < 2:
        await gopark.gosched()
    system.gate.set()
    for _ in range(6):
        assert await got.recv() == ["192.0.2.1", "2001:db8::1"]
    assert sorted(system.asked) == ["a.test", "b.test"]
    await resolver.lookup_host("a.test")  # and nothing is kept
    assert len(system.asked) == 3


async def test_answers_that_several_have_are_each_ones_own(system):
    resolver, got = net.Resolver(), gopark.Chan()
    for _ in range(2):
        go(outcome, resolver.lookup_host("a.test"), got)
    while not system.asked:
        await gopark.gosched()
    system.gate.set()
    one, other = await got.recv(), await got.recv()
    one.clear()
    assert other


async def test_no_more_than_so_many_wait_for_the_system(system):
    resolver, got = net.Resolver(limit=2), gopark.Chan()
    for n in range(6):
        go(outcome, resolver.lookup_host(f"{n}.test"), got)
    while len(system.asked) < 2:
        await gopark.gosched()
    system.gate.set()
    for _ in range(6):
        assert await got.recv()
    assert system.most <= 2


async def test_a_context_leaves_the_system_behind(system):
    resolver, got = net.Resolver(limit=1), gopark.Chan()
    with with_cancel(background()) as ctx:
        go(outcome, resolver.lookup_host("a.test", ctx=ctx), got)
        while not system.asked:
            await gopark.gosched()
        ctx.cancel()
        exc = await got.recv()
        assert isinstance(exc, Canceled)
        assert exc.__notes__ == ["lookup a.test"]
    gs = num_goroutine()
    system.gate.set()
    assert await resolver.lookup_host("b.test")  # its place is free again
    while num_goroutine() > gs - 2:
        await gopark.gosched()


async def test_a_deadline_and_a_context_that_is_over(system):
    with with_timeout(background(), 0.01) as ctx:
        with pytest.raises(DeadlineExceeded):
            await net.Resolver().lookup_host("a.test", ctx=ctx)
        asked = len(system.asked)
        with pytest.raises(DeadlineExceeded):
            await net.Resolver().lookup_host("b.test", ctx=ctx)
        assert len(system.asked) == asked


def test_a_program_ends_while_the_system_is_asked_and_the_next_one_can_ask(system):
    resolver = net.Resolver(limit=1)

    async def main():
        go(resolver.lookup_host, "a.test")
        while not system.asked:
            await gopark.gosched()

    gopark.run(main)
    system.gate.set()
    assert wait_until(lambda: not system.now)
    assert gopark.run(resolver.lookup_host, "a.test")
    assert len(system.asked) == 2


def test_in_a_bubble(system):
    """Who is asked is no goroutine of the bubble, and the clock stands still meanwhile."""
    system.gate.set()
    assert "192.0.2.1" in synctest.test(net.Resolver().lookup_host, "a.test")


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "x" * 300,
        ".".join(["label"] * 60),
        "x" * 64 + ".test",
        "nul\0.test",
        "a..test",
        ".test",
        "",
        ".",
        "a b.test",
        "new\nline.test",
        "\udcff.test",
        "ä" * 70 + ".test",
    ],
    ids=ascii,
)
async def test_what_cannot_be_a_name_is_not_asked_for(name, system):
    for looked in (net.lookup_host(name), net.lookup_cname(name)):
        with pytest.raises(net.DNSError, match="no such host") as caught:
            await looked
        assert caught.value.name == name
        assert caught.value.not_found
        assert not caught.value.timeout
        assert len(str(caught.value)) < 150
        assert str(caught.value).isprintable()
    assert system.asked == []


async def test_dial_says_the_same():
    with pytest.raises(net.DNSError, match="lookup xxx"):
        await net.dial("tcp", "x" * 300 + ":80")


@pytest.mark.parametrize(
    ("code", "not_found", "timeout"),
    [
        (socket.EAI_NONAME, True, False),
        (socket.EAI_NODATA, True, False),
        (socket.EAI_AGAIN, False, True),
        (socket.EAI_FAIL, False, False),
    ],
)
async def test_errors_of_the_system(system, code, not_found, timeout):
    system.error = socket.gaierror(code, "What The System Says")
    system.gate.set()
    with pytest.raises(net.DNSError) as caught:
        await net.Resolver().lookup_host("a.test")
    exc = caught.value
    assert isinstance(exc, socket.gaierror)
    assert (exc.name, exc.errno, exc.not_found, exc.timeout) == (
        "a.test",
        code,
        not_found,
        timeout,
    )
    assert str(exc) == f"lookup a.test: {'no such host' if not_found else 'what the system says'}"


async def test_who_shares_an_error_has_one_of_its_own(system):
    system.error = socket.gaierror(socket.EAI_NONAME, "no")
    resolver, got = net.Resolver(), gopark.Chan()
    for _ in range(2):
        go(outcome, resolver.lookup_host("a.test"), got)
    while not system.asked:
        await gopark.gosched()
    system.gate.set()
    one, other = await got.recv(), await got.recv()
    assert one is not other
    assert str(one) == str(other)


def test_an_error_can_be_pickled():
    one = net.DNSError("a.test", "no such host", not_found=True, code=socket.EAI_NONAME)
    other = pickle.loads(pickle.dumps(one))
    assert (str(other), other.name, other.not_found) == (str(one), "a.test", True)


async def test_what_is_no_address_has_no_names():
    with pytest.raises(net.DNSError, match="unrecognized address"):
        await net.lookup_addr("localhost")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none(limit):
    with pytest.raises(ValueError, match="limit"):
        net.Resolver(limit=limit)
    with pytest.raises(TypeError, match="limit"):
        net.Resolver(limit="2")


async def test_bad_arguments():
    with pytest.raises(TypeError, match="lookup_host"):
        await net.lookup_host(b"a.test")
    with pytest.raises(TypeError, match="lookup_addr"):
        await net.lookup_addr(None)
    with pytest.raises(TypeError, match="context"):
        await net.lookup_host("a.test", ctx=5)
    with pytest.raises(ValueError, match="unknown network"):
        await net.lookup_host("a.test", network="tcp")


def test_an_address_with_a_zone_keeps_it():
    from gopark.net._addr import addrof, nameof

    index = socket.if_nametoindex("lo")
    assert nameof("fe80::1%lo", 80) == nameof(f"fe80::1%{index}", 80) == ("fe80::1", 80, 0, index)
    addr = addrof("tcp", ("fe80::1", 80, 0, index))
    assert addr == "[fe80::1%lo]:80"
    assert addr.host == "fe80::1%lo"
    with pytest.raises(OSError, match=r"interface|device"):
        nameof("fe80::1%no-such", 80)
