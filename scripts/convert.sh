#!/usr/bin/env bash
# Converts weights: scripts/convert.sh --source=model.gguf --out=DIR
# GGUF to safetensors, safetensors anew, adapters folded in; --help lists all flags.
set -euo pipefail

here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
cd "$here"

exec python -m experiments.convert "$@"
