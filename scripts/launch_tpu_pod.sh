#!/usr/bin/env bash
# One run on all hosts of a TPU slice, from a machine with gcloud:
#
#   scripts/launch_tpu_pod.sh NAME ZONE --workdir=SHARED_DIR \
#     --config=configs/household.py:steppo --config.parallel.kind=mesh \
#     --config.parallel.data=1 --config.parallel.fsdp=64 --config.parallel.tensor=1
#
# The checkout has to be in ~/steppo_jax on every host, with jax[tpu]:
#   gcloud compute tpus tpu-vm ssh NAME --zone=ZONE --worker=all --command=\
#   "git clone URL steppo_jax && cd steppo_jax && python3 -m venv .venv && \
#    .venv/bin/pip install -c constraints.txt -e . 'jax[tpu]'"
# --workdir is a folder that all hosts see (a Filestore or bucket mount): one host writes
# metrics, all of them write checkpoints.
set -euo pipefail

if [[ $# -lt 3 || "$1" == --* || "$2" == --* ]]; then
  echo "error: give the TPU's name and zone, then flags: launch_tpu_pod.sh NAME ZONE --config=… --workdir=DIR" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
flags=$(printf ' %q' "$@")
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="\
cd ~/steppo_jax && STEPPO_CLUSTER=tpu exec .venv/bin/python -m experiments.train$flags"
