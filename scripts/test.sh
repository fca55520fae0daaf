#!/usr/bin/env bash
# Lint, format, known holes in dependencies, tests: scripts/test.sh [pytest arguments]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

ruff check .
ruff format --check .
bash scripts/audit.sh
python -m pytest -n 2 "$@"
