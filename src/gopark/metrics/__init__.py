"""Figures of the running program, by the names that Go has for them. Go: package runtime/metrics.

What the scheduler has at hand is counted always; what would cost something (`/sched/latencies`,
`/sync/mutex/wait/total`, `/sched/pauses/total/gc`) from the first time that it is read.
"""

from gopark._util import set_public_module
from gopark.metrics._metrics import Description as Description
from gopark.metrics._metrics import Histogram as Histogram
from gopark.metrics._metrics import Kind as Kind
from gopark.metrics._metrics import Sample as Sample
from gopark.metrics._metrics import all as all
from gopark.metrics._metrics import read as read
from gopark.metrics._prometheus import Collector as Collector

__all__ = ("Collector", "Description", "Histogram", "Kind", "Sample", "all", "read")

set_public_module(__name__, globals())
