# Sourced by every script here: the repository's root, its Python environment, and stages with their seconds.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
PYTHON=$VENV/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
cd "$ROOT"

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usable_python() {
  "$1" - <<'PY' >/dev/null 2>&1
import ensurepip, pathlib, sys, sysconfig, venv
assert (3, 11) <= sys.version_info[:2] <= (3, 13)
assert pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file()
PY
}

find_python() {
  local name
  for name in ${BMS_PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if usable_python "$name"; then
      echo "$name"
      return
    fi
  done
  die "needs Python 3.11 to 3.13 with venv and headers (Debian: apt-get install python3-venv python3-dev gcc)"
}

# What the environment was made from: the project's requirements, and constraints if the caller set any.
wanted_stamp() {
  cat pyproject.toml "${PIP_CONSTRAINT:-/dev/null}" | sha256sum | cut -d' ' -f1
}

# pip's output, shortened: one line that changes on a terminal, and what is installed at the end.
show_progress() {
  local verb what rest
  while read -r verb what rest; do
    case "$verb $what" in
      "Collecting "*) if [ -t 2 ]; then printf '\r\033[K  collecting %.60s' "$what" >&2; fi ;;
      "Installing collected") printf '%s  installing %d packages\n' "$([ ! -t 2 ] || printf '\r\033[K')" \
        "$(wc -w <<<"${rest#packages: }")" >&2 ;;
    esac
  done
}

# Makes .venv, or brings it up to date when pyproject.toml has changed.
ensure_env() {
  local stamp started=$SECONDS
  stamp=$(wanted_stamp)
  if [ "$(cat "$VENV/.stamp" 2>/dev/null)" = "$stamp" ] && "$PYTHON" -c 'import bms_daemon' 2>/dev/null; then
    return
  fi
  "$PYTHON" -c '' 2>/dev/null || make_venv
  say "environment: installing into .venv (a few minutes the first time)"
  "$PYTHON" -m pip install -e '.[offline,test]' 2>&1 | tee "$VENV/install.log" | show_progress \
    || { tail -n 30 "$VENV/install.log" >&2; die "environment: pip failed, the whole story is in .venv/install.log"; }
  echo "$stamp" >"$VENV/.stamp"
  say "environment: ready, $((SECONDS - started)) s"
}

make_venv() {
  local python
  python=$(find_python)
  say "environment: making .venv with $("$python" --version)"
  rm -rf "$VENV"
  "$python" -m venv "$VENV"
}

# Debian packages by a command or file of theirs.
TEST_TOOLS=(mosquitto=mosquitto candump=can-utils)
LAB_TOOLS=("/usr/src/linux-source-*.tar.xz=linux-source" flex=flex bison=bison bc=bc make=make gcc=gcc xz=xz-utils
  candump=can-utils i2cdetect=i2c-tools gpioinfo=gpiod ip=iproute2 setpriv=util-linux mosquitto=mosquitto
  mosquitto_sub=mosquitto-clients)

missing_packages() {
  local pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || compgen -G "${pair%%=*}" >/dev/null || echo "${pair#*=}"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() {
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
} >&2

# ensure_packages WHAT PAIR...: installs what is missing where it may; says in one line what is left out, which CI=true forbids.
ensure_packages() {
  local what=$1 wanted
  shift
  mapfile -t wanted < <(missing_packages "$@")
  [ ${#wanted[@]} -gt 0 ] || return 0
  if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    say "packages: installing ${wanted[*]}"
    apt_install "${wanted[@]}" || say "packages: apt-get failed"
    mapfile -t wanted < <(missing_packages "$@")
    [ ${#wanted[@]} -gt 0 ] || return 0
  fi
  say "$what left out: ${wanted[*]} not here and not mine to install (apt-get install ${wanted[*]})"
  return 1
}

FAILED=()

# stage NAME COMMAND...: runs it, prints a closing line with its seconds, remembers a failure and goes on.
stage() {
  local name=$1 started=$SECONDS verdict=ok
  shift
  "$@" || { verdict=FAILED; FAILED+=("$name"); }
  printf -- '-- %-14s %-6s %4d s\n' "$name" "$verdict" $((SECONDS - started))
}

# The last line of a run of stages, and its exit code.
finish() {
  if [ ${#FAILED[@]} -gt 0 ]; then
    printf -- '-- FAILED: %s (%d s in all)\n' "${FAILED[*]}" "$SECONDS"
    exit 1
  fi
  printf -- '-- all ok (%d s in all)\n' "$SECONDS"
}

# Types are checked against the newest libraries only: an environment under constraints has older stubs.
check_stages() {
  stage ruff "$VENV/bin/ruff" check .
  [ -n "${PIP_CONSTRAINT:-}" ] || stage mypy "$VENV/bin/mypy"
  stage imports "$VENV/bin/lint-imports" --no-logo
  stage stages "$VENV/bin/coverage" run -m pytest -q tests/stages
  stage coverage "$VENV/bin/coverage" report
}
