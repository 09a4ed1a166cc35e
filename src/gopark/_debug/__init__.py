"""The live page: what `gopark.debug.serve` answers with.

From the bottom up: `_pacing` keeps a long look from holding up the program; `_look` counts
goroutines and groups them by stack; `_graph` finds who waits for whom; `_plain` is the page
without a script; `_paths` has what is at Go's own paths; `_http` is the server; `_serve` the public
names. `static/` is the page. Nothing here is imported before `serve` is called, but `_serve`.
"""
