#!/usr/bin/env bash
# The long tier of the robustness tests: scripts/soak.sh [DIR]
# Kills a training on the device and one in worker processes KILLS times each, watches
# both for MINUTES for anything that grows, stops and kills one of two processes PAIRS
# times each, feeds INPUTS mutated inputs to each fuzz test. Most of a day on two cores;
# each part can be made smaller:
# KILLS=20 MINUTES=10 INPUTS=500 scripts/soak.sh (INPUTS=0: none)
set -euo pipefail

out=$(realpath -m "${1:-runs/soak}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
mkdir -p "$out"
failed=0

part() {  # NAME COMMAND …
  local name=$1
  shift
  echo "soak: $name"
  if "$@" >"$out/$name.txt" 2>&1; then
    tail -n 1 "$out/$name.txt"
  else
    failed=1
    echo "soak: $name FAILED; see $out/$name.txt" >&2
  fi
}

for run in device host; do
  rm -rf "$out/kill_$run" "$out/steady_$run"
  part "kills_$run" python -m tests.faults.kills --run="$run" \
    --kills="${KILLS:-200}" --iterations="${ITERATIONS:-120}" --out="$out/kill_$run"
  part "steady_$run" python -m tests.faults.steady --run="$run" \
    --minutes="${MINUTES:-120}" --out="$out/steady_$run"
done
part pairs python -m tests.processes.bare --kills="${PAIRS:-20}" --signals TERM KILL
for signal in TERM KILL; do  # to one process of two that train
  rm -rf "$out/two_$signal"
  part "two_$signal" python -m tests.processes.kills --kills="${PAIRS:-20}" \
    --signal="$signal" --out="$out/two_$signal"
done
if [[ "${INPUTS:=10000}" != 0 ]]; then
  part fuzz env STEPPO_SOAK=1 STEPPO_INPUTS="$INPUTS" \
    python -m pytest -q -p no:cacheprovider tests/fuzz
fi
echo "soak: $(git rev-parse --short HEAD 2>/dev/null || echo no commit), $out"
exit $failed
