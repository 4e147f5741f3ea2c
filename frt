#!/bin/sh
# Builds the Python environment when it is missing or its lock file changed, then runs the command line: ./frt --help
# FRT_VENV: another place for the environment. FRT_PYTHON: the interpreter to build it with (3.11 or newer).
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
venv=${FRT_VENV:-$root/.venv}

say() { printf 'frt: %s\n' "$*" >&2; }

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  if [ -n "${FRT_PYTHON:-}" ]; then
    command -v "$FRT_PYTHON" >/dev/null 2>&1 && is_311 "$FRT_PYTHON" && command -v "$FRT_PYTHON" && return 0
    say "FRT_PYTHON=$FRT_PYTHON is not a Python of version 3.11 or newer"
    return 1
  fi
  for candidate in python3.11 python3 python3.12 python3.13; do
    if command -v "$candidate" >/dev/null 2>&1 && is_311 "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  say "Python 3.11 or newer is needed and was not found: install it (Debian, Ubuntu: apt-get install python3 python3-venv)"
  say "or set FRT_PYTHON to its path"
  return 1
}

# What the stamp must say: which lock file, its checksum, and the checkout that the environment imports.
stamp_of() { printf '%s %s %s' "$1" "$(cksum <"$root/requirements/$1.lock" | tr ' ' '-')" "$root"; }

# Tests, checks and the program's build need the development tools; everything else runs with or without them.
case "${1:-}" in
  test | lint | types | program) wanted=dev ;;
  *) wanted=run ;;
esac

found=$(cat "$venv/frt-stamp" 2>/dev/null || true)
case "$found" in
  dev\ *) wanted=dev ;; # never take the development tools away again
esac

if [ "$found" != "$(stamp_of $wanted)" ] || ! [ -x "$venv/bin/python" ]; then
  python=$(find_python) || exit 1
  "$python" -I "$root/ops/environment.py" "$venv" "$root" "$wanted" "$(stamp_of $wanted)" || exit 1
fi

unset FRT_VENV FRT_PYTHON # they are ours; the service's settings know no such names
# -P: the folder that the command was given in must not hide our packages.
exec "$venv/bin/python" -P -m ops.cli "$@"
