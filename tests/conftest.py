"""Eight CPU devices for every test, no silent broadcasting between ranks, and quick
compiles: tests run programs once. Processes that tests start inherit the emitters only.
"""

import gc
import os

import jax
import jaxlib
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)
if jaxlib.__version__.startswith("0.10."):  # others may not know the flag, and abort
    # The plain emitters compile the update in less than half of the time. XLA reads
    # this when the first array is made.
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} --xla_cpu_use_fusion_emitters=false"


@pytest.fixture(autouse=True, scope="module")
def what_stays_is_searched_once():
    """Traced programs are millions of objects that live on. Without this a collection
    looks at all of them again, and a restored checkpoint asks for one.

    Their code is mapped memory; a process may have 65,530 pieces of it on Linux. With
    one more the compiler dies, so before it is too much all of it is let go.
    """
    yield
    if pieces_of_memory() > MOST_PIECES:
        gc.unfreeze()
        jax.clear_caches()
    gc.collect()
    gc.freeze()


MOST_PIECES = 25_000


def pieces_of_memory() -> int:
    """Mappings of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/maps", "rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0
