#!/usr/bin/env bash
# Trains presets with paired seeds, one after the other, into one folder:
#   scripts/compare_presets.sh DIR ["steppo ppo grpo"] ["0 1 2 3 4"] [flags …]
# Interrupted, it goes on where it stopped. Then:
#   python -m experiments.compare --runs=DIR --out=results/household
set -euo pipefail

out=$(realpath -m "${1:?usage: scripts/compare_presets.sh DIR [PRESETS] [SEEDS] [flags]}")
presets=${2:-steppo ppo grpo}
seeds=${3:-0 1 2 3 4}
shift $(($# < 3 ? $# : 3))
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

for seed in $seeds; do
  for preset in $presets; do
    run=$out/$preset-$seed
    if [[ -e $run/finished ]]; then continue; fi
    python -m experiments.train --config="configs/household.py:$preset" \
      --config.seed="$seed" --workdir="$run" "$@"
    for decoding in sampled greedy; do
      python -m experiments.evaluate --workdir="$run" --panel=unseen --decoding=$decoding
    done
    touch "$run/finished"
  done
done
