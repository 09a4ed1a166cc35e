"""The live page in a real browser: what its script does, and that nothing of it is kept out."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import gopark
from browser import CHROMIUM, Browser
from harness import start_python

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="drives the browser over a pipe"),
]

PROGRAM = """
import gopark

async def receiver(ch):
    await ch.recv()

async def transfer(first, second, ready):
    async with first:
        await ready.recv()
        async with second:
            pass

async def start(ch):
    first, second, ready = gopark.sync.Mutex(), gopark.sync.Mutex(), gopark.Chan()
    for _ in range(40):
        gopark.go(receiver, ch)
    for a, b in ((first, second), (second, first)):
        gopark.go(transfer, a, b, ready)
    await gopark.testing.wait_all_parked()
    ready.close()

async def main():
    ch = gopark.Chan()
    await start(ch)
    with gopark.debug.serve() as server:
        print(server.url, flush=True)
        await gopark.time.sleep(300)

gopark.run(main)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests, for it takes a second or two to start."""
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A program with something to see, in a process of its own."""
    file = tmp_path_factory.mktemp("program") / "bank.py"
    file.write_text(PROGRAM)
    program = start_python([str(file)], timeout=3600)
    yield program.line()
    program.kill()
    program.end()


@pytest.fixture(autouse=True)
def no_complaints(browser: Browser) -> Iterator[None]:
    """The page has no error, and asks for nothing that its own policy forbids."""
    browser.complaints.clear()
    browser.prefer("light")
    yield
    assert browser.complaints == []


def test_groups_are_shown_and_opened(browser, url):
    browser.open(url)
    browser.wait("document.querySelectorAll('.group').length >= 3")
    assert browser.text("#tiles li[data-count=goroutines]").split() == ["43", "goroutines"]
    assert browser.text(".group summary").split()[:3] == ["40", "chan", "receive"]
    assert not browser.run("document.querySelector('#plain').checkVisibility()")
    browser.click(".group summary")
    assert "created by main.start" in browser.text(".group .body")
    browser.click(".group .ids button")
    browser.wait("document.querySelector('.group pre')")
    assert "[chan receive]:" in browser.text(".group pre")
    assert "waits on Chan 0/0" in browser.text(".group .body")
    browser.click(".group .body > button")
    browser.wait("document.querySelector('.group .ids').childElementCount === 40")


def test_search_and_states_narrow_the_list(browser, url):
    browser.open(url)
    browser.wait("document.querySelectorAll('.group').length >= 3")
    browser.type("#find input", "transfer")
    browser.wait("document.querySelector('#summary').textContent.startsWith('2 of 43 goroutines')")
    browser.wait("document.querySelectorAll('.group').length === 1")
    browser.run("document.querySelector('#find input').value = ''")
    browser.click("[data-state='chan receive']")
    browser.wait("document.querySelector('#summary').textContent.startsWith('2 of') === false")
    browser.run("document.querySelector('#find').requestSubmit()")
    browser.wait("document.querySelector('#summary').textContent.startsWith('40 of 43')")
    assert browser.run("document.querySelector('[data-state=\"chan receive\"]').ariaPressed")


def test_leaks_are_found_and_shown(browser, url):
    browser.open(url)
    browser.wait("document.querySelectorAll('.group').length >= 3")
    browser.click("#leaks")
    browser.wait("document.querySelector('#summary').textContent.startsWith('2 of 43 goroutines')")
    browser.wait("document.querySelectorAll('.group').length === 1")
    assert "sync.Mutex.Lock (leaked)" in browser.text(".group summary")


def test_the_scheduler_is_drawn(browser, url):
    browser.open(url)
    browser.click("#tab-scheduler")
    browser.wait("document.querySelector('#picture svg')")
    assert browser.run("document.querySelectorAll('#curves figure').length") == 4
    assert "P0" in browser.run("document.querySelector('#picture').textContent")
    names = [name for role, name in browser.tree() if role == "image"]
    assert any("main thread" in name for name in names)
    assert any(name.startswith("goroutines over the last") for name in names)


def test_a_deadlock_is_seen_in_the_graph(browser, url):
    browser.open(url)
    browser.click("#tab-graph")
    browser.wait("document.querySelectorAll('#drawing .node').length >= 5")
    assert browser.run("document.querySelectorAll('#drawing .edge.holds.bad').length") == 2
    assert "nobody awake" in browser.run("document.querySelector('#drawing').textContent")
    names = [name for role, name in browser.tree() if role == "button"]
    (mine,) = [name for name in names if name.startswith("goroutine 42 ")]
    assert "waits on Mutex locked" in mine
    assert "holds Mutex locked" in mine
    browser.run("document.querySelector('#drawing .node').dispatchEvent(new Event('click'))")
    assert browser.run("document.querySelector('#drawing svg').classList.contains('picked')")


def test_tabs_work_with_the_keyboard_and_are_in_the_address(browser, url):
    browser.open(url)
    browser.run("document.querySelector('#tab-goroutines').focus()")
    browser.press("ArrowRight")
    assert browser.run("document.activeElement.id") == "tab-scheduler"
    assert browser.run("location.hash") == "#scheduler"
    assert browser.run("document.querySelector('#scheduler').checkVisibility()")
    assert not browser.run("document.querySelector('#goroutines').checkVisibility()")


def test_everything_that_can_be_pressed_has_a_name(browser, url):
    browser.open(url)
    browser.wait("document.querySelectorAll('.group').length >= 3")
    for tab in ("goroutines", "scheduler", "graph", "profiles"):
        browser.click(f"#tab-{tab}")
        nameless = [role for role, name in browser.tree() if not name and role in
                    ("button", "link", "textbox", "searchbox", "combobox", "tab")]  # fmt: skip
        assert nameless == []


def test_pause_stops_asking(browser, url):
    browser.open(url)
    browser.wait("document.querySelector('#status').textContent.startsWith('live')")
    browser.click("#pause")
    assert browser.text("#status") == "paused"
    browser.run("window.asked = 0; window.fetch = () => { window.asked += 1; }")
    browser.run("new Promise((done) => setTimeout(done, 1200))")
    assert browser.run("window.asked") == 0


def contrast(browser: Browser, selector: str) -> float:
    """The contrast of a text with the page behind it, as WCAG counts it."""
    script = f"""(() => {{
      const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
      const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((part) => linear(part / 255))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
      let node = document.querySelector("{selector}");
      const ink = light(getComputedStyle(node).color);
      const behind = (node) => getComputedStyle(node).backgroundColor;
      while (behind(node) === "rgba(0, 0, 0, 0)") node = node.parentElement;
      const paper = light(behind(node));
      return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    }})()"""
    return float(browser.run(script))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_both_schemes(browser, url, scheme):
    browser.prefer(scheme)
    browser.open(url)
    browser.wait("document.querySelectorAll('.group').length >= 3")
    for selector in ("h1", "#about", "#summary", ".state", ".group .age", ".group .func small"):
        assert contrast(browser, selector) >= 4.5, selector


def test_without_a_script_there_is_a_table(browser, url):
    browser.prefer("light", script=False)
    browser.open(url + "?q=transfer")
    browser.prefer("light")
    assert "2 goroutines in 1 groups" in browser.text("#summary")
    assert "sync.Mutex.Lock" in browser.text("#plain table")
    assert browser.run("document.querySelector('#tabs').checkVisibility()") is False


def test_when_the_program_has_ended_the_page_says_so(browser):
    server = gopark.debug.serve()
    browser.open(server.url)
    browser.wait("document.querySelector('#status').textContent.startsWith('live')")
    server.close()
    browser.wait("document.querySelector('#status').textContent.includes('has ended')")
    browser.complaints.clear()  # of the connection
