#!/usr/bin/env bash
# The long tier of the robustness tests: scripts/soak.sh [DIR]
# Kills one training KILLS times, feeds 10,000 mutated inputs of each kind, watches
# ITERATIONS iterations for anything that grows. Hours on two cores; each part can be
# made smaller: KILLS=20 ITERATIONS=200 FUZZ=0 scripts/soak.sh
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

rm -rf "$out/kill" "$out/steady"
part kills python -m tests.faults.kills --kills="${KILLS:-200}" \
  --iterations="${KILL_ITERATIONS:-150}" --out="$out/kill"
part pairs python -m tests.processes.bare --kills="${PAIRS:-20}" --signals TERM KILL
for signal in TERM KILL; do  # to one process of two that train
  rm -rf "$out/two_$signal"
  part "two_$signal" python -m tests.processes.kills --kills="${PAIRS:-20}" \
    --signal="$signal" --out="$out/two_$signal"
done
part steady python -m tests.faults.steady --iterations="${ITERATIONS:-1000}" \
  --out="$out/steady"
if [[ "${FUZZ:-1}" == 1 ]]; then
  part fuzz env STEPPO_SOAK=1 python -m pytest -q -p no:cacheprovider tests/fuzz
fi
echo "soak: $(git rev-parse --short HEAD 2>/dev/null || echo no commit), $out"
exit $failed
