"""Work queues between processes and machines: at least once, whoever dies meanwhile.

Not channels over a network: who receives has a lease, and acknowledges what is done. One API, and
two that keep the values: a process of this machine (`local:`), or NATS JetStream (`nats://`).
"""

from gopark._util import set_public_module
from gopark.workqueue._backend import Stats as Stats
from gopark.workqueue._codec import Codec as Codec
from gopark.workqueue._codec import json as json
from gopark.workqueue._codec import msgspec as msgspec
from gopark.workqueue._codec import raw as raw
from gopark.workqueue._codec import unsafe_pickle as unsafe_pickle
from gopark.workqueue._errors import Lost as Lost
from gopark.workqueue._errors import Mismatch as Mismatch
from gopark.workqueue._errors import NotEncodable as NotEncodable
from gopark.workqueue._errors import RemoteError as RemoteError
from gopark.workqueue._errors import TooBig as TooBig
from gopark.workqueue._errors import Unavailable as Unavailable
from gopark.workqueue._group import Group as Group
from gopark.workqueue._queue import DeadLetters as DeadLetters
from gopark.workqueue._queue import Letter as Letter
from gopark.workqueue._queue import Queue as Queue
from gopark.workqueue._queue import open as open
from gopark.workqueue._receiver import Delivery as Delivery
from gopark.workqueue._serve import serve as serve

__all__ = (
    "Codec",
    "DeadLetters",
    "Delivery",
    "Group",
    "Letter",
    "Lost",
    "Mismatch",
    "NotEncodable",
    "Queue",
    "RemoteError",
    "Stats",
    "TooBig",
    "Unavailable",
    "json",
    "msgspec",
    "open",
    "raw",
    "serve",
    "unsafe_pickle",
)

set_public_module(__name__, globals())
