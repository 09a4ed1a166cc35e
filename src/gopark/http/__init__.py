"""An HTTP server for ASGI and WSGI applications, whose handlers may block. Go: package net/http.

A connection is a goroutine. The protocols are those of others: HTTP/1.1 by httptools or h11
(`pip install 'gopark[http]'`).
"""

from gopark._util import set_public_module
from gopark.http._lifespan import LifespanError as LifespanError
from gopark.http._load import LoadError as LoadError
from gopark.http._load import load as load
from gopark.http._options import Limits as Limits
from gopark.http._options import Timeouts as Timeouts
from gopark.http._server import Server as Server

__all__ = ("LifespanError", "Limits", "LoadError", "Server", "Timeouts", "load")

set_public_module(__name__, globals())
