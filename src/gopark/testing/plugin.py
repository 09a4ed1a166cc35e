"""The pytest plugin: tests that are `async def` run as main goroutines, if they ask for it.

pytest loads it wherever gopark is installed. It does nothing before a marker or an ini option
says so; docs/testing.md has both.
"""

__all__ = ()

pytest_plugins = ("gopark.testing._plugin",)
