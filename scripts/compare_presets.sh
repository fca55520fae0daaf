#!/usr/bin/env bash
# Trains presets with paired seeds into one folder, several runs at a time:
#   scripts/compare_presets.sh DIR [ENVIRONMENT] ["steppo ppo grpo"] ["0 1 2 3 4"] [flags …]
# JOBS=2 runs at a time (default 1), CORES=2 CPU cores for each (default: all, unpinned).
# Interrupted, it goes on where it stopped. Then:
#   python -m experiments.compare --runs=DIR --out=results/ENVIRONMENT
set -euo pipefail

usage='usage: scripts/compare_presets.sh DIR [ENVIRONMENT] [PRESETS] [SEEDS] [flags]'
out=$(realpath -m "${1:?$usage}")
environment=${2:-household}
presets=${3:-steppo ppo grpo}
seeds=${4:-0 1 2 3 4}
shift $(($# < 4 ? $# : 4))
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
if [[ ! -f configs/$environment.py ]]; then
  echo "error: there is no configs/$environment.py; $usage" >&2
  exit 2
fi
jobs=${JOBS:-1} cores=${CORES:-}
mkdir -p "$out"

one() {  # SLOT RUN PRESET SEED [flags]
  local slot=$1 run=$2 preset=$3 seed=$4 pin=()
  shift 4
  if [[ -e $run/finished ]]; then return; fi
  if [[ -n $cores ]]; then
    pin=(taskset -c "$((slot * cores))-$((slot * cores + cores - 1))")
  fi
  "${pin[@]}" python -m experiments.train --config="configs/$environment.py:$preset" \
    --config.seed="$seed" --workdir="$run" "$@"
  for decoding in sampled greedy; do
    "${pin[@]}" python -m experiments.evaluate --workdir="$run" --panel=unseen \
      --decoding=$decoding
  done
  touch "$run/finished"
}

if ((jobs == 1)); then
  for seed in $seeds; do
    for preset in $presets; do one 0 "$out/$preset-$seed" "$preset" "$seed" "$@"; done
  done
  exit
fi

# Each slot takes every jobs-th run; its output goes to DIR/slot-N.log.
worker() {
  local slot=$1 i=0
  shift
  for seed in $seeds; do
    for preset in $presets; do
      if ((i++ % jobs == slot)); then
        one "$slot" "$out/$preset-$seed" "$preset" "$seed" "$@"
      fi
    done
  done
}
workers=()
for ((slot = 0; slot < jobs; slot++)); do
  worker "$slot" "$@" >"$out/slot-$slot.log" 2>&1 &
  workers+=($!)
done
failed=0
for pid in "${workers[@]}"; do wait "$pid" || failed=1; done
if ((failed)); then echo "error: a run failed; see $out/slot-*.log" >&2; fi
exit $failed
