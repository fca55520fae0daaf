#!/usr/bin/env bash
# Lint, format and tests: scripts/test.sh [pytest arguments]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

ruff check .
ruff format --check .
python -m pytest -n 2 "$@"
