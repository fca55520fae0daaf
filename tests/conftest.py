"""Eight CPU devices for every test, no silent broadcasting between ranks, and quick
compiles: tests run programs once. Tests that start processes optimise fully.
"""

import os

import jax
import jaxlib

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)
if jaxlib.__version__.startswith("0.10."):  # others may not know the flag, and abort
    # The plain emitters compile the update in a third of the time. XLA reads it when
    # the first array is made; processes that tests start inherit it.
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} --xla_cpu_use_fusion_emitters=false"
