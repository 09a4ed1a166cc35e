"""What a running program says about itself: labels of goroutines. Go: package runtime/pprof."""

from gopark._util import set_public_module
from gopark.pprof._labels import LabelSet as LabelSet
from gopark.pprof._labels import do as do
from gopark.pprof._labels import for_labels as for_labels
from gopark.pprof._labels import label as label
from gopark.pprof._labels import labels as labels
from gopark.pprof._labels import set_goroutine_labels as set_goroutine_labels
from gopark.pprof._labels import with_labels as with_labels

__all__ = (
    "LabelSet",
    "do",
    "for_labels",
    "label",
    "labels",
    "set_goroutine_labels",
    "with_labels",
)

set_public_module(__name__, globals())
