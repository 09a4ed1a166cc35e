"""Descriptors that are read and written through the network poller. Go: internal/poll.

Knows no addresses and no TLS; `gopark.net` and `gopark.exec` stand on it.
"""
