"""gopark beside asyncio, the same work in each one's own best idiom: `python -m benchmarks`."""
