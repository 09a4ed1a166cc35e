"""Run one of the programs of this folder: `python main.py Name`."""

import pathlib
import sys

_here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_here.parent))

import registry  # noqa: E402 - it is one folder up

if __name__ == "__main__":
    registry.main(_here)
