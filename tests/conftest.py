"""Eight CPU devices for every test, no silent broadcasting between ranks, and quick
compiles: tests run programs once. Tests that start processes optimise fully.
"""

import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)
