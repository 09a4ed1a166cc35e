"""What a running program does, counted: profiles, and labels to tell goroutines apart.

Go: package runtime/pprof.
"""

from gopark._util import set_public_module
from gopark.pprof._cpu import start_cpu_profile as start_cpu_profile
from gopark.pprof._cpu import stop_cpu_profile as stop_cpu_profile
from gopark.pprof._labels import LabelSet as LabelSet
from gopark.pprof._labels import do as do
from gopark.pprof._labels import for_labels as for_labels
from gopark.pprof._labels import label as label
from gopark.pprof._labels import labels as labels
from gopark.pprof._labels import set_goroutine_labels as set_goroutine_labels
from gopark.pprof._labels import with_labels as with_labels
from gopark.pprof._profile import Profile as Profile
from gopark.pprof._profile import lookup as lookup
from gopark.pprof._profile import new_profile as new_profile
from gopark.pprof._profile import profiles as profiles

__all__ = (
    "LabelSet",
    "Profile",
    "do",
    "for_labels",
    "label",
    "labels",
    "lookup",
    "new_profile",
    "profiles",
    "set_goroutine_labels",
    "start_cpu_profile",
    "stop_cpu_profile",
    "with_labels",
)

set_public_module(__name__, globals())
