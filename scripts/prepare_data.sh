#!/usr/bin/env bash
# Official data of the text environments: scripts/prepare_data.sh --family=hotpotqa
# says where it comes from; with --source=DOWNLOADS --out=DIR verifies and lays it out.
set -euo pipefail

here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
cd "$here"

exec python -m experiments.prepare_data "$@"
