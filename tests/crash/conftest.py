"""Children need the folder that their C libraries and other programs are built in."""

from harness import build_folder as build_folder
