"""In a network of its own: a peer that vanishes, one that comes back as another, a real resolver.

Each test is a child in namespaces of its own for the network and for mounts; where there is a far
side, that is a process in a third one, at the other end of a cable (veth) that can be cut.
"""

from __future__ import annotations

import pytest

import namespaces
from harness import run_python

PRELUDE = """
import contextlib, ctypes, errno, os, socket, struct, subprocess, sys
import gopark
from gopark import net
from gopark.testing import wait_all_parked
from gopark.time import monotonic, sleep

libc = ctypes.CDLL(None, use_errno=True)

def apart():
    if libc.unshare(0x40000000 | 0x00020000):  # the network, mounts
        raise OSError(ctypes.get_errno(), "unshare")

def ip(words):
    subprocess.run(["ip", *words.split()], check=True)

async def outcome(coro, got):
    try:
        await got.send(await coro)
    except Exception as exc:
        await got.send(exc)
"""

FAR = (
    PRELUDE
    + """
apart()
print("apart", flush=True)
input()
ip("link set lo up")
ip("addr add 10.9.0.2/24 dev far")
ip("link set far up")
ln = socket.create_server(("10.9.0.2", 80))
print("listening", flush=True)
conns = []
for line in sys.stdin:
    word = line.strip()
    if word == "accept":
        conns.append(ln.accept()[0])
    elif word == "cut":
        ip("link set far down")
    elif word == "join":
        ip("link set far up")
    elif word == "reset":
        conns[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conns.pop().close()
    elif word == "read":
        size = 0
        while data := conns[-1].recv(1 << 16):
            size += len(data)
        print(size)
    print("done", flush=True)
"""
)

NEAR = (
    PRELUDE
    + """
apart()
ip("link set lo up")
FAR = os.environ["FAR"]

class Far:
    def __init__(self):
        command = [sys.executable, "-c", FAR]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.child = subprocess.Popen(command, **pipes)
        assert self.heard() == "apart"
        ip("link add near type veth peer name far")
        ip(f"link set far netns {self.child.pid}")
        ip("addr add 10.9.0.1/24 dev near")
        ip("link set near up")
        self.said("")
        assert self.heard() == "listening"
        self.conns = []

    def heard(self):
        return self.child.stdout.readline().strip()

    def said(self, word):
        self.child.stdin.write(word + "\\n")
        self.child.stdin.flush()

    def does(self, word):
        self.said(word)
        assert self.heard() == "done", word

    async def connected(self):
        conn = await net.dial("tcp", "10.9.0.2:80", timeout=60)
        self.does("accept")
        self.conns.append(conn)
        return conn

    def end(self):
        for conn in self.conns:
            conn.close()
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()
"""
)


@pytest.fixture(scope="module")
def possible():
    if reason := namespaces.missing():
        pytest.skip(reason)


@pytest.fixture
def child(possible, poller):
    def child(program):
        ended = run_python(
            ["-c", program], env={"FAR": FAR, "GOPARKDEBUG": f"netpoll={poller}"}, timeout=300
        )
        assert (ended.stderr, ended.status) == ("", 0)
        return ended.stdout.splitlines()

    return child


def near(body: str) -> str:
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return (
        f"{NEAR}\nasync def main(far):\n{lines}\n\nfar = Far()\ngopark.run(main, far)\nfar.end()\n"
    )


# --- a cable that is cut ------------------------------------------------------------------------


def test_a_write_to_a_peer_that_has_vanished_ends_by_its_deadline(child):
    body = """
conn = await far.connected()
far.does("cut")
conn.set_write_deadline(monotonic() + 0.3)
try:
    await conn.write(bytes(50_000_000))
except TimeoutError as exc:
    print(exc)
conn.set_write_deadline(None)
got = gopark.Chan()
gopark.go(outcome, conn.write(bytes(50_000_000)), got)
await wait_all_parked()
conn.close()
print(type(await got.recv()).__name__)
"""
    said, closed = child(near(body))
    assert said.startswith("write tcp 10.9.0.1:")
    assert said.endswith("->10.9.0.2:80: i/o timeout")
    assert closed == "ClosedError"


def test_keepalive_finds_that_a_peer_has_vanished(child):
    body = """
conn = await far.connected()
conn.set_keep_alive(1)
conn.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
far.does("cut")
try:
    await conn.read()
except TimeoutError as exc:
    print(exc.errno == errno.ETIMEDOUT, exc.strerror.rpartition(": ")[2])
"""
    assert child(near(body)) == ["True Connection timed out"]


def test_a_cable_that_is_mended_in_time_loses_nothing(child):
    body = """
conn = await far.connected()
far.does("cut")
got = gopark.Chan()
gopark.go(outcome, conn.write(bytes(8_000_000)), got)
await wait_all_parked()
far.does("join")
far.said("read")
print(await got.recv())
conn.close_write()
print(far.heard())
"""
    assert child(near(body)) == ["8000000", "8000000"]


def test_a_half_open_connection_is_reset_by_the_first_word(child):
    """The far side has forgotten it while the cable was cut; here nobody can know."""
    body = """
conn = await far.connected()
got = gopark.Chan()
gopark.go(outcome, conn.read(), got)
await wait_all_parked()
far.does("cut")
far.does("reset")
far.does("join")
print(len(got), await conn.write(b"are you there?"))
print(type(await got.recv()).__name__)
try:
    await conn.write(b"and now?")
except OSError as exc:
    print(type(exc).__name__)
"""
    assert child(near(body)) == ["0 14", "ConnectionResetError", "BrokenPipeError"]


def test_a_reset_ends_a_read_and_a_write_that_wait(child):
    body = """
conn = await far.connected()
got = gopark.Chan()
gopark.go(outcome, conn.read(), got)
gopark.go(outcome, conn.write(bytes(50_000_000)), got)
await wait_all_parked()
far.does("reset")
print(*sorted([type(await got.recv()).__name__ for _ in range(2)]))
"""
    assert child(near(body))[0] in (
        "ConnectionResetError ConnectionResetError",
        "BrokenPipeError ConnectionResetError",
    )


def test_a_full_backlog_and_who_dials_with_a_deadline(child):
    """Whoever is not let in by then is told so; who waits longer gets in when there is room."""
    body = """
with socket.socket() as ln:
    ln.bind(("127.0.0.1", 0))
    ln.listen(0)
    at = f"127.0.0.1:{ln.getsockname()[1]}"
    first = await net.dial("tcp", at)
    try:
        while True:
            await net.dial("tcp", at, timeout=0.2)
    except TimeoutError as exc:
        print(str(exc).replace(at, "there"))
    got = gopark.Chan()
    gopark.go(outcome, net.dial("tcp", at), got)
    await wait_all_parked()
    for _ in range(2):
        ln.accept()[0].close()
    with await got.recv() as conn:
        print(str(conn.remote_addr) == at)
"""
    program = near(body).replace("far = Far()", "far = None").replace("far.end()", "")
    ended = child("import warnings\nwarnings.simplefilter('ignore', ResourceWarning)\n" + program)
    assert ended == ["dial tcp there: i/o timeout", "True"]


def test_where_no_road_leads(child):
    body = """
ip("route add unreachable 10.10.0.0/16")
ip("route add prohibit 10.11.0.0/16")
for host in "10.10.0.1", "10.11.0.1", "192.0.2.1", "10.9.0.99":
    try:
        await net.dial("tcp", f"{host}:80", timeout=None if host[3] == "1" or host[0] == "1" else 1)
    except OSError as exc:
        print(errno.errorcode[exc.errno], exc.strerror.partition(":")[0])
try:
    await net.dial("tcp", "10.9.0.99:80", timeout=0.1)
except TimeoutError as exc:
    print(exc)
"""
    assert child(near(body)) == [
        "EHOSTUNREACH dial tcp 10.10.0.1",
        "EACCES dial tcp 10.11.0.1",
        "ENETUNREACH dial tcp 192.0.2.1",
        "EHOSTUNREACH dial tcp 10.9.0.99",
        "dial tcp 10.9.0.99:80: i/o timeout",
    ]


def test_happy_eyeballs_where_the_other_kind_of_ip_is_a_black_hole(child):
    body = """
ip("addr add fd00::1/64 dev near nodad")
ip("neigh add fd00::99 lladdr 02:00:00:00:00:99 dev near")

class Both:
    async def lookup_host(self, host, *, network="ip", ctx=None):
        return ["fd00::99", "10.9.0.2"]

with await net.Dialer(resolver=Both()).dial("tcp", "both.test:80") as conn:
    print(conn.remote_addr)
print(gopark.runtime.num_goroutine(), "left")
"""
    assert child(near(body)) == ["10.9.0.2:80", "1 left"]


def test_an_address_that_goes_while_one_listens_and_comes_back(child):
    body = """
ip("addr add 10.12.0.1/24 dev lo")
with net.listen("tcp", "10.12.0.1:0") as ln:
    ip("addr del 10.12.0.1/24 dev lo")
    got = gopark.Chan()
    gopark.go(outcome, ln.accept(), got)
    await wait_all_parked()
    ip("addr add 10.12.0.1/24 dev lo")
    with await net.dial("tcp", ln.addr) as conn, await got.recv() as other:
        await conn.write(b"still here")
        print(await other.read())
"""
    assert child(near(body)) == ["b'still here'"]


# --- names --------------------------------------------------------------------------------------

NAMES = (
    PRELUDE
    + r"""
import tempfile
from gopark.context import background, with_timeout

# Where the C library looks: our server alone.
apart()
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
folder = tempfile.mkdtemp()
files = {
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n",
    "nsswitch.conf": "hosts: files dns\n",
    "hosts": "127.0.0.1 localhost\n10.1.1.1 from.the.file\n",
}
for name, text in files.items():
    with open(f"{folder}/{name}", "w") as file:
        file.write(text)
    if os.path.exists(f"/etc/{name}"):
        subprocess.run(["mount", "--bind", f"{folder}/{name}", f"/etc/{name}"], check=True)
ip("link set lo up")

A, CNAME, PTR, AAAA = 1, 5, 12, 28
asked = {}

def name(text):
    parts = text.encode().split(b".")
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"

def record(kind, value):
    if kind in (CNAME, PTR):
        return kind, name(value)
    return kind, socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, value)

ZONE = {
    "a.test": [record(A, "192.0.2.1"), record(A, "192.0.2.2"), record(AAAA, "2001:db8::1")],
    "alias.test": [record(CNAME, "here.test")],
    "here.test": [record(A, "127.0.0.1")],
    "big.test": [record(A, f"10.2.{n // 256}.{n % 256}") for n in range(100)],
    "1.2.0.192.in-addr.arpa": [record(PTR, "a.test")],
    "ipv6only.test": [record(AAAA, "2001:db8::2")],
}

def answer(query, room):
    number, _, count, *_ = struct.unpack("!6H", query[:12])
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    host, end = ".".join(labels).lower(), at + 5
    asked[host] = asked.get(host, 0) + 1
    if host == "silent.test":
        return None
    question, found, code = query[12:end], [], 0
    if host == "broken.test":
        code = 2
    elif host not in ZONE:
        code = 3
    owner = host
    while code == 0:
        records = ZONE.get(owner, [])
        found += [(owner, *r) for r in records if r[0] in (kind, CNAME)]
        alias = [r for r in records if r[0] == CNAME]
        if not alias:
            break
        owner = "here.test"
    body = b"".join(
        name(owner) + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
        for owner, kind, data in found
    )
    cut = 12 + len(question) + len(body) > room
    flags = 0x8180 | code | (0x0200 if cut else 0)
    head = struct.pack("!6H", number, flags, 1, 0 if cut else len(found), 0, 0)
    return head + question + (b"" if cut else body)

async def packets(server):
    while True:
        try:
            query, where = await server.read_from()
        except net.ClosedError:
            return
        if (text := answer(query, 512)) is not None:
            await server.write_to(text, where)

async def streams(ln):
    async for conn in ln:
        with conn:
            while head := await conn.read_full(2):  # both questions come at once
                text = answer(await conn.read_full(struct.unpack("!H", head)[0]), 65535)
                asked["by tcp"] = asked.get("by tcp", 0) + 1
                await conn.write(struct.pack("!H", len(text)) + text)

async def look(what, *args, **kwargs):
    try:
        return await what(*args, **kwargs)
    except net.DNSError as exc:
        return f"{exc} not_found={exc.not_found} timeout={exc.timeout}"

async def main():
    server, ln = net.listen_packet("udp", "127.0.0.1:53"), net.listen("tcp", "127.0.0.1:53")
    gopark.go(packets, server)
    gopark.go(streams, ln)
    print(sorted(await net.lookup_host("a.test")))
    print(sorted(await net.lookup_host("a.test", network="ip4")))
    print(await net.lookup_host("ipv6only.test"), await net.lookup_host("from.the.file"))
    print(await net.lookup_cname("alias.test"), await net.lookup_addr("192.0.2.1"))
    big = await net.lookup_host("big.test")
    print(len(big), len(set(big)), asked["by tcp"] > 0)
    print(await look(net.lookup_host, "none.test"))
    print(await look(net.lookup_host, "ipv6only.test", network="ip4"))
    print(await look(net.lookup_host, "broken.test"))
    print(await look(net.lookup_addr, "192.0.2.9"))
    async with with_timeout(background(), 0.3) as ctx:
        try:
            await net.lookup_host("silent.test", ctx=ctx)
        except Exception as exc:
            print(type(exc).__name__, "silent.test" in asked)
    print(await look(net.lookup_host, "silent.test"))
    with net.listen("tcp", "127.0.0.1:0") as service:
        with await net.dial("tcp", f"alias.test:{service.addr.port}") as conn:
            print(conn.remote_addr == service.addr)
    server.close()
    ln.close()

gopark.run(main)
"""
)


def test_the_systems_resolver_and_a_server_of_ours(child):
    """The C library asks over a real socket; who answers is a goroutine of the same program."""
    assert child(NAMES) == [
        "['192.0.2.1', '192.0.2.2', '2001:db8::1']",
        "['192.0.2.1', '192.0.2.2']",
        "['2001:db8::2'] ['10.1.1.1']",
        "here.test ['a.test']",
        "100 100 True",
        "lookup none.test: no such host not_found=True timeout=False",
        "lookup ipv6only.test: no such host not_found=True timeout=False",
        "lookup broken.test: temporary failure in name resolution not_found=False timeout=True",
        "lookup 192.0.2.9: no such host not_found=True timeout=False",
        "DeadlineExceeded True",
        "lookup silent.test: temporary failure in name resolution not_found=False timeout=True",
        "True",
    ]
