"""Eight CPU devices for every test, and no silent broadcasting between ranks."""

import pathlib
import sys

import jax

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # toy.py, from every folder
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
