"""Servers of NATS beyond one on loopback: three of which one dies, one that is cut off, TLS."""

from __future__ import annotations

import shutil
import ssl

import pytest

import gopark
import namespaces
import natsservers
import tlsends
from gopark import workqueue
from harness import run_python


@pytest.fixture(params=natsservers.KINDS)
def kind(request):
    if why := natsservers.missing(request.param):
        pytest.skip(why)
    return request.param


class Cluster:
    """Three servers that know each other."""

    def __init__(self, kind: str) -> None:
        ports = [natsservers.free_port() for _ in range(3)]
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        more = [("-cluster_name", "three", "-routes", routes)] * 3
        self.servers = [
            natsservers.Server(
                kind, 0, *one, "-cluster", f"nats://127.0.0.1:{port}", "-server_name", f"s{port}"
            )
            for port, one in zip(ports, more, strict=True)
        ]
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        self.url = f"nats://{hosts}?replicas=3"

    async def opened(self, **settings):
        """A queue, once they have found each other."""
        late = gopark.time.monotonic() + 60
        while True:
            try:
                return await workqueue.open("jobs", self.url, **settings)
            except workqueue.Unavailable:
                if gopark.time.monotonic() > late:
                    raise
                await gopark.time.sleep(0.1)


@pytest.fixture
def cluster(kind):
    three = Cluster(kind)
    for server in three.servers:
        server.start()
    yield three
    for server in three.servers:
        server.stop()


async def whole(q):
    """Return when each server has all of the queue."""
    backend = q._backend
    asks = f"STREAM.INFO.{backend._stream}", f"CONSUMER.INFO.{backend._stream}.workers"
    while True:
        try:
            groups = [(await backend._wire.api(ask)).get("cluster") or {} for ask in asks]
        except workqueue.Unavailable:  # there is no leader just now
            continue
        if all(one.get("leader") and len(one.get("replicas", ())) == 2 for one in groups) and all(
            peer.get("current") for one in groups for peer in one["replicas"]
        ):
            return
        await gopark.time.sleep(0.05)


async def test_a_cluster_that_loses_one_goes_on(cluster):
    """Each in its turn, so that the one which leads the stream is among them."""
    async with await cluster.opened(lease=2.0) as q:
        confirmed, done = [], []

        async def send():
            for n in range(600):
                await q.send(n)
                confirmed.append(n)
            await q.close()

        async def receive():
            async for d in q:
                async with d as value:
                    done.append(value)

        async def reached(n):
            while len(done) < n and not any(task.done and task.exception() for task in tasks):
                await gopark.time.sleep(0.001)

        tasks = [gopark.spawn(send), *(gopark.spawn(receive) for _ in range(4))]
        for at, server in zip((50, 200, 350), cluster.servers, strict=True):
            await reached(at)
            server.kill()
            await reached(at + 50)  # two are enough
            server.start()
            await whole(q)  # else the next that goes is the second
        await gopark.gather(*tasks)
        assert set(done) == set(confirmed) == set(range(600))


@pytest.fixture
def secured(kind, tmp_path):
    """A server with a certificate, and a password."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tlsends.made(tmp_path, "localhost", ",IP:127.0.0.1")
    server = natsservers.Server(
        kind, 0, "--tls", "--tlscert", str(cert), "--tlskey", str(key), "--user", "u", "--pass", "p"
    ).start()
    yield server, cert
    server.stop()


async def test_tls_with_a_password(secured):
    server, cert = secured
    context = ssl.create_default_context(cafile=cert)
    url = f"tls://u:p@localhost:{server.port}"
    async with await workqueue.open("jobs", url, options={"tls": context}) as q:
        await q.send({"n": 1})
        await q.close()
        async for d in q:
            async with d as value:
                assert value == {"n": 1}


@pytest.mark.parametrize(
    ("who", "trusts", "says"), [("u:wrong", True, "uthorization"), ("u:p", False, "ertificate")]
)
async def test_who_is_refused_is_told_why(secured, monkeypatch, who, trusts, says):
    from gopark.workqueue import _natswire

    monkeypatch.setattr(_natswire, "_CONNECT", 3.0)
    server, cert = secured
    context = ssl.create_default_context(cafile=cert if trusts else None)
    url = f"tls://{who}@localhost:{server.port}"
    with pytest.raises(workqueue.Unavailable, match=says) as info:
        await workqueue.open("jobs", url, options={"tls": context})
    assert who not in str(info.value), "a password is nothing for a log"


FAR = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x40000000):
    raise OSError(ctypes.get_errno(), "unshare")
print("apart", flush=True)
input()
for words in ("link set lo up", "addr add 10.9.1.2/24 dev far", "link set far up"):
    subprocess.run(["ip", *words.split()], check=True)
server, folder = sys.argv[1:]
options = f"-js -a 10.9.1.2 -p 4222 -sd {folder} -l {folder}/log"
os.execv(server, [server, *options.split()])
"""

CUT = """
import ctypes, os, subprocess, sys
import gopark
from gopark import workqueue
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x40000000):
    raise OSError(ctypes.get_errno(), "unshare")
def ip(words):
    subprocess.run(["ip", *words.split()], check=True)
ip("link set lo up")
far = subprocess.Popen(
    [sys.executable, "-c", os.environ["FAR"], os.environ["SERVER"], os.environ["FOLDER"]],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
)
assert far.stdout.readline() == "apart\\n"
ip("link add near type veth peer name far")
ip(f"link set far netns {far.pid}")
ip("addr add 10.9.1.1/24 dev near")
ip("link set near up")
far.stdin.write("\\n")
far.stdin.flush()
confirmed, done = [], []

async def send(q):
    for n in range(300):
        await q.send(n)
        confirmed.append(n)
    await q.close()

async def receive(q):
    async for d in q:
        async with d as value:
            done.append(value)

async def main():
    async with await workqueue.open("jobs", "nats://10.9.1.2:4222", lease=1.0) as q:
        tasks = [gopark.spawn(send, q), *(gopark.spawn(receive, q) for _ in range(4))]
        for at in (50, 150):
            while len(done) < at:
                await gopark.time.sleep(0.001)
            ip("link set near down")
            await gopark.time.sleep(3)  # the leases are over meanwhile
            ip("link set near up")
        await gopark.gather(*tasks)
    assert set(done) == set(confirmed) == set(range(300))
    print("lost 0")

try:
    gopark.run(main)
finally:
    far.kill()
    far.wait()
    far.stdin.close()
    far.stdout.close()
"""


def test_a_server_that_is_cut_off_for_longer_than_a_lease_loses_nothing(kind, tmp_path):
    if why := namespaces.missing():
        pytest.skip(why)
    env = {"FAR": FAR, "SERVER": natsservers.binary(kind), "FOLDER": str(tmp_path)}
    done = run_python(["-c", CUT], env=env, timeout=120)
    assert (done.status, done.stdout) == (0, "lost 0\n"), done.stderr
