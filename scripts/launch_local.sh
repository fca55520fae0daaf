#!/usr/bin/env bash
# One run as several processes of this machine: scripts/launch_local.sh N FLAGS…
#
#   scripts/launch_local.sh 2 --config=configs/household.py:steppo --workdir=DIR \
#     --config.parallel.kind=mesh --config.parallel.data=2 \
#     --config.parallel.fsdp=1 --config.parallel.tensor=1
#
# One process drives all GPUs of a machine as well (README); several of them are for
# trying what a pod does. N has to divide the devices of the mesh; GPUs are shared out
# in order. Lines of process 0 are shown, the others write to DIR/process_I.log. SIGTERM
# goes to process 0, which stops all of them. PORT=8476 may be set. Needs bash 5.1.
set -euo pipefail

if [[ $# -lt 2 || ! "$1" =~ ^[1-9][0-9]*$ ]]; then
  echo "error: give the number of processes, then flags: launch_local.sh 2 --config=… --workdir=DIR" >&2
  exit 2
fi
count=$1
shift
workdir=
for word in "$@"; do
  if [[ "$word" == --workdir=* ]]; then workdir=${word#--workdir=}; fi
done
if [[ -z "$workdir" ]]; then
  echo "error: --workdir is missing; give --workdir=DIR, the folder of the run" >&2
  exit 2
fi
workdir=$(realpath -m "$workdir")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
mkdir -p "$workdir"

gpus=()
if command -v nvidia-smi >/dev/null; then
  mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader)
fi
if ((${#gpus[@]} % count)); then
  echo "error: ${#gpus[@]} GPUs do not divide over $count processes; choose a divisor" >&2
  exit 2
fi
each=$((${#gpus[@]} / count))

ids=()
for ((i = 0; i < count; i++)); do
  export STEPPO_COORDINATOR=127.0.0.1:${PORT:-8476} STEPPO_PROCESSES=$count
  export STEPPO_PROCESS_ID=$i
  if ((each)); then
    CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${gpus[*]:i * each:each}")
    export CUDA_VISIBLE_DEVICES
  fi
  if ((i)); then
    python -m experiments.train "$@" --workdir="$workdir" \
      >"$workdir/process_$i.log" 2>&1 &
  else
    python -m experiments.train "$@" --workdir="$workdir" &
  fi
  ids+=($!)
done
trap 'kill -TERM "${ids[0]}" 2>/dev/null || true' TERM

# The first failure decides; those that wait for a lost one get half a minute.
code=0 ended=0 killer=
while ((ended < count)); do
  one=0 who=
  wait -n -p who || one=$?
  if [[ -z "${who:-}" ]]; then
    continue  # the trap woke us: nobody has ended
  fi
  ended=$((ended + 1))
  if ((one && !code)); then
    code=$one
    (sleep 30; kill -KILL "${ids[@]}") >/dev/null 2>&1 &
    killer=$!
    disown "$killer"
  fi
done
if [[ -n "$killer" ]]; then
  kill "$killer" 2>/dev/null || true
fi
if ((code && code != 143)); then
  echo "error: a process ended with $code; see above and $workdir/process_*.log, then run the same command again: it goes on from the last complete checkpoint" >&2
fi
exit "$code"
