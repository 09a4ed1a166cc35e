"""A module that waits for ever as it is imported."""

import gopark

gopark.block(gopark.select())
