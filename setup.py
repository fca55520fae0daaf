"""Packaging of steppo_jax. Exact tested versions stand in `constraints.txt`."""

import pathlib

import setuptools

ROOT = pathlib.Path(__file__).parent
ABOUT = "Step-level agentic reinforcement learning in JAX (StepPO and its baselines)"

CORE = [
    # jax 0.11+ needs Python 3.12, and each jax has its own flax (see README).
    "jax>=0.10.2,<0.13",
    "flax>=0.12.8,<0.13",
    "optax>=0.2.8,<0.3",
    "orbax-checkpoint>=0.12.8,<0.13",
    "chex>=0.1.92,<0.2",
    "ml-collections>=1.1,<2",
    "absl-py>=2.1",
    "numpy>=2.0",
    "psutil>=5.9",  # how much memory is free
    "scipy>=1.13",  # intervals of proportions and means
    "rich>=13.7",  # progress bars and tables in the terminal
    "matplotlib>=3.9",  # learning curves
    "jinja2>=3.1.5",  # report.html; chat templates, in its sandbox
    "tensorboardX>=2.6.2",  # event files without TensorFlow
]
LM = [  # language models from checkpoints
    "safetensors>=0.5",  # HuggingFace weights
    "gguf>=0.17",  # llama.cpp's weights
    "tokenizers>=0.21",  # the models' own tokenizers
]
DATA = [  # WebShop, HotpotQA and paper search on the host (docs/host_data.md)
    "bm25s>=0.3.9",  # their search
    "rapidfuzz>=3.9",  # WebShop's score
    "pyarrow>=18",  # official files in parquet
]
# Real text environments (docs/hosts.md). Licences: alfworld and textworld MIT, but they
# bring jericho (GPL-2) and fast-downward-textworld (GPL-3); the other two Apache-2.0.
ALFWORLD = ["alfworld>=0.4.2,<0.5", "textworld[pddl]>=1.7,<1.8"]
SCIENCEWORLD = ["scienceworld>=1.2.3,<1.3"]  # and Java 17
TEXTWORLD_EXPRESS = ["textworld-express>=1.1,<1.2"]  # and Java 17
GATEWAY = [  # a chat-completions server (docs/gateway.md)
    "starlette>=1.0",  # BSD-3
    "uvicorn>=0.40",  # BSD-3
    "pydantic>=2.10",  # MIT
]
EXTRAS = {
    "alfworld": ALFWORLD,
    "scienceworld": SCIENCEWORLD,
    "textworld-express": TEXTWORLD_EXPRESS,
    "cuda": ["jax[cuda13]"],
    "tpu": ["jax[tpu]"],
    "aot": ["jax[tpu]"],  # compiles for TPUs that are not here; the libtpu of this jax
    "gateway": GATEWAY,
    "fuzz": ["schemathesis>=4.30,<5"],  # tests/gateway/test_schemathesis.py; MIT
    "lm": LM,
    "data": DATA,
    "peer": ["torch>=2.6", "transformers>=5"],  # what the benchmark stands beside
    "tunix": ["google-tunix>=0.1.7,<0.2"],  # the same; it brings a jax of its own
    "test": [
        *LM,
        *DATA,
        *GATEWAY,
        "httpx2>=2",  # what its tests call it with
        *("pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "ruff>=0.8"),
    ],
}

setuptools.setup(
    name="steppo_jax",
    version="0.1.0",
    description=ABOUT,
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=setuptools.find_packages(
        include=["steppo_jax*", "experiments*", "configs*"]
    ),
    package_data={"steppo_jax": ["pages/templates/*.html", "gateway/*.html"]},
    python_requires=">=3.11",
    install_requires=CORE,
    extras_require=EXTRAS,
)
