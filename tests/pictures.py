"""The pictures of the live page in the docs: `python tests/pictures.py` makes them anew.

It runs `examples/live_page.py`, which has something to show on each view, and takes them with
the browser of the tests (browser.py).
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tempfile

from browser import Browser

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
READY = {
    "goroutines": "document.querySelectorAll('.group').length > 3",
    "scheduler": "document.querySelector('#picture svg')",
    "graph": "document.querySelectorAll('#drawing .node').length > 3",
}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    file = pathlib.Path(tempfile.gettempdir()) / "bank" / "live_page.py"
    file.parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / "examples" / "live_page.py", file)  # its path is in the picture
    program = subprocess.Popen(
        [sys.executable, str(file), "60"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    url = program.stdout.readline().strip()
    with Browser() as browser:
        for view, ready in READY.items():
            browser.resize(1000, 740 if view == "scheduler" else 640)
            browser.prefer("dark" if view == "scheduler" else "light")
            browser.open("about:blank")
            browser.open(f"{url}#{view}")
            browser.wait(ready)
            if view == "goroutines":
                browser.click(".group summary")
            browser.run("new Promise((done) => setTimeout(done, 6000))")  # a curve needs points
            browser.picture(IMAGES / f"live-page-{view}.png")
        assert browser.complaints == []
    program.terminate()
    program.wait()
    program.stdout.close()


if __name__ == "__main__":
    main()
