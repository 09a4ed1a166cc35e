"""Libraries of asyncio's, unmodified, on a loop that a goroutine runs. Not part of the suite.

`python -m tests.compat` runs them, and `--write` makes docs/asyncio-libraries.md of the result.
"""
