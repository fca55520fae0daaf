# Sourced by the other scripts: .venv at the repository root, installed and active.
# Installs again only if setup.py, constraints.txt or the Python version changed.
# STEPPO_ENVIRONMENT=active: use the Python on the PATH as it is, and install nothing.

if [[ "${STEPPO_ENVIRONMENT:-}" == active ]]; then
  return
fi

find_python() {
  local name
  for name in python3.12 python3.11 python3.13 python3 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo "error: no Python 3.11 or newer on the PATH; install one (python.org, pyenv)" >&2
  return 1
}

if [[ ! -x .venv/bin/python ]]; then
  found=$(find_python)
  echo "Making .venv with $("$found" --version) ..."
  if ! "$found" -m venv .venv; then
    rm -rf .venv
    echo "error: '$found -m venv' failed; on Debian: apt install python3-venv" >&2
    exit 1
  fi
fi

wanted="$(.venv/bin/python --version) $(cat setup.py constraints.txt | cksum)"
if [[ "$(cat .venv/installed 2>/dev/null || true)" != "$wanted" ]]; then
  echo "Installing packages into .venv (once) ..."
  .venv/bin/python -m pip install -q --disable-pip-version-check \
    -c constraints.txt -e '.[test]'
  echo "$wanted" >.venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"
