"""dial and Dialer. Go: net/dial_test.go, and what Python adds."""

from __future__ import annotations

import errno
import os
import socket

import pytest

import gopark
from gopark import go, net
from gopark.context import Canceled, DeadlineExceeded, background, with_cancel, with_timeout
from gopark.runtime import num_goroutine
from gopark.testing import wait_all_parked
from gopark.time import monotonic
from netpeers import back_to, descriptors, outcome, same_port, silent

HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")
ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")


class Names:
    """A resolver with a table."""

    def __init__(self, **hosts):
        self.hosts = hosts
        self.asked = []

    async def lookup_host(self, host, *, network="ip", ctx=None):
        self.asked.append((host, network))
        return self.hosts[host.partition(".")[0]]


# --- it connects --------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["tcp", "tcp4"])
async def test_a_connection_knows_its_ends(network):
    with net.listen(network, "127.0.0.1:0") as ln:
        with await net.dial(network, ln.addr) as conn, await ln.accept() as other:
            assert type(conn) is net.SocketConn
            assert conn.remote_addr == ln.addr
            assert conn.local_addr == other.remote_addr
            assert conn.local_addr.network == "tcp"
            assert conn.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert conn.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@ipv6
async def test_over_ipv6():
    with net.listen("tcp6", "[::1]:0") as ln, await net.dial("tcp", ln.addr) as conn:
        assert conn.remote_addr == ln.addr
        assert conn.remote_addr.host == "::1"


@ipv6
async def test_an_ipv4_peer_of_a_listener_for_both_has_an_ipv4_address():
    with net.listen("tcp", ":0") as ln:
        with await net.dial("tcp", f"127.0.0.1:{ln.addr.port}") as conn:
            with await ln.accept() as other:
                assert other.remote_addr == conn.local_addr
                assert other.remote_addr.host == "127.0.0.1"


@pytest.mark.go("net", "TestDialLocal")
async def test_dial_local():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        with await net.dial("tcp", f":{ln.addr.port}") as conn:
            assert conn.remote_addr == ln.addr


@pytest.mark.parametrize("name", ["socket", "@"])
async def test_unix(name, tmp_path):
    path = f"@gopark-test-{os.getpid()}" if name == "@" else str(tmp_path / name)
    with net.listen("unix", path) as ln:
        with await net.dial("unix", path, timeout=60) as conn, await ln.accept() as other:
            await conn.write(b"hello")
            assert await other.read() == b"hello"
            assert conn.remote_addr == path
            assert conn.remote_addr.network == "unix"


async def test_from_an_address_and_a_port_of_ones_own():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        port = same_port()
        with await net.dial("tcp", ln.addr, local_addr=f"127.0.0.1:{port}") as conn:
            assert conn.local_addr == f"127.0.0.1:{port}"
        with await net.dial("tcp", ln.addr, local_addr=":0") as conn:
            assert conn.remote_addr == ln.addr


async def test_from_a_unix_path_of_ones_own(tmp_path):
    here = str(tmp_path / "here")
    with net.listen("unix", str(tmp_path / "there")) as ln:
        with await net.dial("unix", ln.addr, local_addr=here), await ln.accept() as other:
            assert other.remote_addr == here


async def test_a_dialer_sets_what_it_was_told():
    dialer = net.Dialer(keep_alive=0, timeout=60, deadline=monotonic() + 60)
    with net.listen("tcp", "127.0.0.1:0") as ln, await dialer.dial("tcp", ln.addr) as conn:
        assert not conn.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_a_deadline_of_the_attempt_is_none_of_the_connection():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        conn = await net.dial("tcp", ln.addr, timeout=0.05)
        got = gopark.Chan()
        go(outcome, conn.read(), got)
        await gopark.time.sleep(0.1)
        other = await ln.accept()
        await other.write(b"late")
        assert await got.recv() == b"late"
        assert await conn.write(b"late too") == 8
        conn.close()
        other.close()


@pytest.mark.go("net", "TestCancelAfterDial")
async def test_cancel_after_dial():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        with with_cancel(background()) as ctx:
            conn = await net.dial("tcp", ln.addr, ctx=ctx)
        other = await ln.accept()
        assert await conn.write(b"x") == 1
        assert await other.read() == b"x"
        conn.close()
        other.close()


async def test_plain_goroutines_dial_through_block():
    with net.listen("tcp", "127.0.0.1:0") as ln:
        done = gopark.Chan()

        def client():
            with gopark.block(net.dial("tcp", ln.addr)) as conn:
                gopark.block(conn.write(b"hello"))
            gopark.block(done.send(None))

        go(client)
        with await ln.accept() as conn:
            assert await conn.read() == b"hello"
        await done.recv()


# --- names --------------------------------------------------------------------------------------


async def test_the_resolver_is_asked_for_names_alone_and_for_the_kind_of_ip():
    names = Names(here=["127.0.0.1"])
    dialer = net.Dialer(resolver=names)
    with net.listen("tcp", "127.0.0.1:0") as ln:
        for network in ("tcp", "tcp4"):
            (await dialer.dial(network, f"here.test:{ln.addr.port}")).close()
        (await dialer.dial("tcp", ln.addr)).close()
    assert names.asked == [("here.test", "ip"), ("here.test", "ip4")]


async def test_of_several_addresses_the_first_that_answers():
    dialer = net.Dialer(resolver=Names(here=["127.0.0.2", "127.0.0.3", "127.0.0.1"]))
    with net.listen("tcp", "127.0.0.1:0") as ln:
        with await dialer.dial("tcp", f"here.test:{ln.addr.port}") as conn:
            assert conn.remote_addr == ln.addr


async def test_if_all_fail_it_is_the_first_error_which_names_the_others():
    dialer = net.Dialer(resolver=Names(here=["127.0.0.2", "127.0.0.3"]))
    with pytest.raises(ConnectionRefusedError, match=r"dial tcp 127.0.0.2:") as caught:
        await dialer.dial("tcp", f"here.test:{same_port()}")
    assert any("127.0.0.3" in note for note in caught.value.__notes__)


async def test_each_of_several_addresses_has_its_share_of_the_time(monkeypatch):
    monkeypatch.setattr("gopark.net._dial._LEAST", 0.01)
    with silent("127.0.0.2") as port, net.listen("tcp", f"127.0.0.1:{port}") as ln:
        dialer = net.Dialer(resolver=Names(here=["127.0.0.2", "127.0.0.1"]), timeout=1)
        with await dialer.dial("tcp", f"here.test:{port}") as conn:
            assert conn.remote_addr == ln.addr


def test_the_share_of_one_address_is_gos():
    from gopark.net._dial import _share

    now = monotonic()
    assert _share(None, 3) is None
    assert _share(now + 60, 1) == now + 60
    assert _share(now + 60, 3) == pytest.approx(now + 20, abs=5)
    assert _share(now + 4, 4) == pytest.approx(now + 2, abs=1)
    assert _share(now + 1, 4) == pytest.approx(now + 1, abs=0.5)


# --- happy eyeballs -----------------------------------------------------------------------------


@ipv6
@pytest.mark.parametrize("first", ["127.0.0.1", "::1"])
async def test_the_other_kind_of_ip_is_tried_while_the_first_is_silent(first):
    port, before, gs = same_port(), None, num_goroutine()
    other = "::1" if first == "127.0.0.1" else "127.0.0.1"
    with silent(first, port), net.listen("tcp", net.join_host_port(other, port)):
        dialer = net.Dialer(resolver=Names(here=[first, other]), fallback_delay=0.01)
        before = descriptors()
        with await dialer.dial("tcp", f"here.test:{port}") as conn:
            assert conn.remote_addr.host == other
            assert back_to(before, 1)  # the other attempt is gone
            assert num_goroutine() == gs


@ipv6
async def test_the_other_kind_is_tried_at_once_if_the_first_fails():
    port = same_port()
    with net.listen("tcp", f"127.0.0.1:{port}"):
        dialer = net.Dialer(resolver=Names(here=["::1", "127.0.0.1"]), fallback_delay=3600)
        with await dialer.dial("tcp", f"here.test:{port}") as conn:
            assert conn.remote_addr.host == "127.0.0.1"


@ipv6
async def test_if_both_kinds_fail_it_is_the_error_of_the_first():
    dialer = net.Dialer(resolver=Names(here=["::1", "127.0.0.1"]))
    with pytest.raises(ConnectionRefusedError, match=r"dial tcp \[::1\]:"):
        await dialer.dial("tcp", f"here.test:{same_port()}")


@ipv6
async def test_with_a_negative_delay_there_is_no_second_attempt_beside_the_first():
    port, got = same_port(), gopark.Chan()
    with silent("::1", port), net.listen("tcp", f"127.0.0.1:{port}"):
        dialer = net.Dialer(resolver=Names(here=["::1", "127.0.0.1"]), fallback_delay=-1)
        with with_cancel(background()) as ctx:
            before = num_goroutine()
            go(outcome, dialer.dial("tcp", f"here.test:{port}", ctx=ctx), got)
            await wait_all_parked()
            assert num_goroutine() == before + 1
            ctx.cancel()
            assert isinstance(await got.recv(), Canceled)


@ipv6
async def test_a_context_ends_both_attempts_at_once():
    port, got, gs = same_port(), gopark.Chan(), num_goroutine()
    with silent("::1", port), silent("127.0.0.1", port):
        before = descriptors()
        dialer = net.Dialer(resolver=Names(here=["::1", "127.0.0.1"]), fallback_delay=0)
        with with_cancel(background()) as ctx:
            go(outcome, dialer.dial("tcp", f"here.test:{port}", ctx=ctx), got)
            await wait_all_parked()
            ctx.cancel()
            assert isinstance(await got.recv(), Canceled)
        assert back_to(before)
        await gopark.gosched()
        assert num_goroutine() == gs


# --- time and contexts --------------------------------------------------------------------------


@pytest.mark.go("net", "TestDialCancel")
async def test_dial_cancel():
    got, gs = gopark.Chan(), num_goroutine()
    with silent() as port:
        before = descriptors()
        with with_cancel(background()) as ctx:
            go(outcome, net.dial("tcp", f"127.0.0.1:{port}", ctx=ctx), got)
            await wait_all_parked()
            assert back_to(before, 1)
            ctx.cancel()
            exc = await got.recv()
        assert isinstance(exc, Canceled)
        assert exc.__notes__ == [f"dial tcp 127.0.0.1:{port}"]
        assert back_to(before)
        await gopark.gosched()
        assert num_goroutine() == gs


async def test_the_deadline_of_a_context_is_its_error():
    with silent() as port, with_timeout(background(), 0.02) as ctx:
        with pytest.raises(DeadlineExceeded) as caught:
            await net.dial("tcp", f"127.0.0.1:{port}", ctx=ctx)
        assert caught.value == ctx.err()


@pytest.mark.parametrize("how", ["timeout", "dialer", "deadline"])
async def test_a_timeout_is_a_timeout_error_that_names_the_address(how):
    with silent() as port:
        address = f"127.0.0.1:{port}"
        dial = {
            "timeout": lambda: net.dial("tcp", address, timeout=0.02),
            "dialer": lambda: net.Dialer(timeout=0.02).dial("tcp", address),
            "deadline": lambda: net.Dialer(deadline=monotonic() + 0.02).dial("tcp", address),
        }[how]
        before = descriptors()
        with pytest.raises(TimeoutError, match=f"^dial tcp {address}: i/o timeout$") as caught:
            await dial()
        assert type(caught.value) is TimeoutError
        assert back_to(before)


@pytest.mark.parametrize("timeout", [0, -1])
async def test_no_time_at_all_is_over_at_once(timeout):
    with pytest.raises(TimeoutError, match="i/o timeout"):
        await net.dial("tcp", "127.0.0.1:1", timeout=timeout)


async def test_a_context_that_is_over_ends_it_at_once():
    ctx, cancel = with_cancel(background())
    cancel()
    with net.listen("tcp", "127.0.0.1:0") as ln:
        ln.set_deadline(monotonic())
        with pytest.raises(Canceled):
            await net.dial("tcp", ln.addr, ctx=ctx)


async def test_a_resolver_has_the_time_of_the_dialer():
    class Slow:
        async def lookup_host(self, host, *, network="ip", ctx=None):
            await ctx.done().recv()
            raise ctx.err()

    dialer = net.Dialer(resolver=Slow(), timeout=0.02)
    with pytest.raises(TimeoutError, match=r"^dial tcp here.test:80: i/o timeout$"):
        await dialer.dial("tcp", "here.test:80")


# --- errors -------------------------------------------------------------------------------------


async def test_errors_are_pythons_own_classes_and_name_network_and_address(tmp_path):
    port = same_port()
    with pytest.raises(ConnectionRefusedError) as caught:
        await net.dial("tcp", f"127.0.0.1:{port}")
    assert str(caught.value) == f"[Errno 111] dial tcp 127.0.0.1:{port}: Connection refused"
    assert caught.value.errno == errno.ECONNREFUSED
    path = str(tmp_path / "nobody")
    with pytest.raises(FileNotFoundError, match=f"dial unix {path}: No such file"):
        await net.dial("unix", path)
    with pytest.raises(OSError, match=f"dial tcp 127.0.0.1:{port}: Cannot assign") as caught:
        await net.dial("tcp", f"127.0.0.1:{port}", local_addr="192.0.2.1:0")
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("network", "address", "text"),
    [("tcp6", "127.0.0.1:1", "no suitable address"), ("tcp4", "[::1]:1", "no suitable address")],
)
async def test_an_address_of_the_other_kind(network, address, text):
    with pytest.raises(OSError, match=text):
        await net.dial(network, address)


async def test_an_address_of_ones_own_of_the_other_kind():
    with pytest.raises(OSError, match="no suitable address"):
        await net.dial("tcp", "127.0.0.1:1", local_addr="[::1]:0")


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        (("tcp", "127.0.0.1"), ValueError, "missing port"),
        (("tcp", "127.0.0.1:65536"), ValueError, "the last is 65535"),
        (("tcp", "127.0.0.1:-1"), ValueError, "the first is 0"),
        (("tcp", "127.0.0.1:" + "9" * 300), ValueError, "the last is 65535"),
        (("tcp", "127.0.0.1:no-such-service"), ValueError, "unknown port"),
        (("tcp", "::1:80"), ValueError, "too many colons"),
        (("tpc", "127.0.0.1:80"), ValueError, "unknown network 'tpc'"),
        ((None, "127.0.0.1:80"), TypeError, "network"),
        (("tcp", ("127.0.0.1", 80)), TypeError, "address is a string"),
        (("unix", ""), ValueError, "empty"),
        (("unix", "/" * 200), ValueError, "at most 107"),
        (("unix", b"/x"), TypeError, "path as string"),
    ],
)
async def test_bad_arguments(args, error, text):
    before = descriptors()
    with pytest.raises(error, match=text):
        await net.dial(*args)
    assert back_to(before)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"deadline": float("nan")}, ValueError),
        ({"local_addr": 5}, TypeError),
        ({"fallback_delay": None}, TypeError),
        ({"keep_alive": "x"}, TypeError),
        ({"resolver": object()}, TypeError),
    ],
)
def test_bad_settings(kwargs, error):
    with pytest.raises(error, match="Dialer"):
        net.Dialer(**kwargs)


async def test_what_is_no_context_and_no_local_address():
    with pytest.raises(TypeError, match="context"):
        await net.dial("tcp", "127.0.0.1:1", ctx=5)
    with pytest.raises(ValueError, match="not a name"):
        await net.dial("tcp", "127.0.0.1:1", local_addr="localhost:0")


async def test_a_port_that_the_system_gives_to_both_ends_is_a_refusal():
    """With from = to, TCP connects a socket to itself."""
    port = same_port()
    address = f"127.0.0.1:{port}"
    from gopark.net._connect import _toitself
    from gopark.net._sock import opened

    sock = socket.socket()
    sock.bind(("127.0.0.1", port))
    sock.connect(("127.0.0.1", port))
    fd = opened(sock, "tcp")
    assert _toitself(fd)
    fd.close()
    with pytest.raises(ConnectionRefusedError):
        await net.dial("tcp", address)
