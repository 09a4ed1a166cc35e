"""Bugs of Hugo. Go: goker/hugo3251, 5379."""

from __future__ import annotations

from gopark import Chan, context, go, recv, select
from gopark.sync import Mutex, Once, RWMutex, WaitGroup
from testdata.leaks.stage import leaves, settled

# --- 3251: a lock for each address, got with the lock of all ------------------------------------


class RemoteLock:
    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.mu = RWMutex()
        self.urls: dict[str, Mutex] = {}

    async def lock(self, url: str) -> None:
        await self.mu.lock()
        of_url = self.urls.setdefault(url, Mutex())
        if self.fixed:
            self.mu.unlock()
        await of_url.lock()
        if not self.fixed:
            self.mu.unlock()

    async def unlock(self, url: str) -> None:
        async with self.mu.reader():
            self.urls[url].unlock()


@leaves(
    "hugo3251.build [sync.WaitGroup.Wait]",
    "hugo3251.build.fetch [sync.RWMutex.RLock]",
    *["hugo3251.build.fetch [sync.Mutex.Lock]"] * 9,
)
async def hugo3251(fixed: bool) -> None:
    async def build(turn: Chan[None]) -> None:
        async def fetch() -> None:
            await remote.lock("http://Foo.Bar/foo_Bar-Foo")
            await turn.recv()
            await remote.unlock("http://Foo.Bar/foo_Bar-Foo")

        remote = RemoteLock(fixed)
        wg = WaitGroup()
        for _ in range(10):
            wg.go(fetch)
        await wg.wait()

    turn: Chan[None] = Chan()
    go(build, turn)
    await settled(fixed)
    turn.close()


# --- 5379: to render a page, its words are counted, for which it has to be rendered -------------


class Page:
    def __init__(self, ctx: context.Context, fixed: bool) -> None:
        self.ctx = ctx
        self.fixed = fixed
        self.content = Once()
        self.plain = Once()
        self.mu = Mutex()

    async def word_count(self) -> None:
        await self.content.do(self.init_content)
        await self.plain.do(self.init_plain)

    async def init_plain(self) -> None:
        async with self.mu:
            pass

    async def init_content(self) -> None:
        async def render() -> None:
            async with self.mu:
                if not self.fixed:  # a shortcode may ask for anything but content
                    await self.word_count()
            await done.send(None)

        done: Chan[None] = Chan(1)
        go(render)
        await select(recv(self.ctx.done()), recv(done))


async def render_page(page: Page, wg: WaitGroup) -> None:
    await page.word_count()
    wg.done()


@leaves(
    "Page.init_content.render [sync.Mutex.Lock]",
    *["render_page [sync.Mutex.Lock]"] * 2,
    "hugo5379.build [sync.WaitGroup.Wait]",
)
async def hugo5379(fixed: bool) -> None:
    async def build(ctx: context.Context) -> None:
        page = Page(ctx, fixed)
        wg = WaitGroup()
        wg.add(2)
        go(render_page, page, wg)
        go(render_page, page, wg)
        await wg.wait()

    ctx, time_is_over = context.with_cancel(context.background())
    go(build, ctx)
    await settled(fixed)
    time_is_over()
