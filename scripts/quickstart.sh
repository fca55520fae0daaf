#!/usr/bin/env bash
# From nothing to a trained agent: scripts/quickstart.sh [WORKDIR]
# Run again, it resumes. Needs Python 3.11+ and a few minutes on two CPU cores.
set -euo pipefail

workdir=${1:-}
if [[ -n "$workdir" && "$workdir" != /* ]]; then
  workdir=$PWD/$workdir
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
workdir=${workdir:-runs/quickstart}
source scripts/environment.sh

python -m experiments.train --config=configs/household.py:steppo --workdir="$workdir"

cat <<END

Next:
  source .venv/bin/activate
  python -m experiments.evaluate --workdir=$workdir --decoding=greedy
  python -m experiments.train --config=configs/household.py:grpo --workdir=runs/grpo
  python -m experiments.train --help
END
