#!/usr/bin/env bash
# One run on the nodes of a Slurm allocation, one process a node:
#
#   sbatch --nodes=4 --gpus-per-node=8 scripts/launch_slurm.sh --workdir=SHARED_DIR \
#     --config=configs/household.py:steppo --config.parallel.kind=mesh \
#     --config.parallel.data=4 --config.parallel.fsdp=8 --config.parallel.tensor=1
#
# From the checkout, installed (scripts/environment.sh) on a file system that all nodes
# see; so is --workdir. Two minutes before the time limit Slurm sends SIGTERM: the run
# saves, all of its processes stop at the same update, and the job is queued again.
#SBATCH --job-name=steppo
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:-$(dirname "${BASH_SOURCE[0]}")/..}"
if [[ -z "${SLURM_JOB_ID:-}" ]]; then
  echo "error: there is no Slurm allocation; start with sbatch scripts/launch_slurm.sh FLAGS" >&2
  exit 2
fi
source scripts/environment.sh

# JAX_LOCAL_DEVICE_IDS: jax would give one GPU to each task, and there is one a node.
if [[ -n "${SLURM_GPUS_ON_NODE:-}" ]]; then
  JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((SLURM_GPUS_ON_NODE - 1)))
  export JAX_LOCAL_DEVICE_IDS
fi
code=0
srun --kill-on-bad-exit=1 python -m experiments.train "$@" || code=$?
if ((code == 143)); then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
