# shellcheck shell=bash
# Sourced by the scripts beside it: finds Python, makes .venv from the lock, fetches Debian packages where it may.
# All that it says goes to standard error: the demo's standard output may be read by a program.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME              # the packages `rules`, `adapters` and `desk` must be ours
export PATH="$PATH:/usr/sbin:/sbin"      # where Debian keeps mosquitto

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "hourmeter: $*"
    exit 1
}

# fetch PACKAGE: installs a Debian package; false where that cannot be done.
fetch() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    # RUNLEVEL keeps packages from starting their services where there is no systemd
    local log install=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends
        -o DPkg::Lock::Timeout=60 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$1")
    say "installing the Debian package $1"
    log=$("${install[@]}" </dev/null 2>&1) && return 0
    log=$(apt-get -qq update 2>&1 && "${install[@]}" </dev/null 2>&1) && return 0
    say "$(tail -n 3 <<<"$log")"
    return 1
}

# there PROGRAM: whether it is installed; Debian keeps PostgreSQL's off the PATH.
there() {
    command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

# server PROGRAM PACKAGE: whether the program is there, after an attempt to install it.
server() {
    there "$1" && return 0
    fetch "$2" || return 1
    if [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet "$2" || return 1
        say "the system's own service $2 is switched off: hourmeter starts what it needs, on ports of its own"
    fi
    there "$1"
}

# Prints the newest Python from 3.11 on, before all one that can make virtual environments.
find_python() {
    local name found=""
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        found=${found:-$name}
        "$name" -c 'import ensurepip, venv' 2>/dev/null || continue
        found=$name
        break
    done
    [ -n "$found" ] || fail "needs Python 3.11 or newer, and found none on the PATH"
    echo "$found"
}

# Prints a Python that can make virtual environments, after an attempt to install what it lacks for that.
find_python_with_venv() {
    local python package
    python=$(find_python) || exit 1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        fetch "$package" || fail "$python cannot make virtual environments; as root: apt-get install $package"
    fi
    echo "$python"
}

# Makes .venv with exactly what requirements-dev.lock names and the project itself; at once when it is there.
set_up() {
    local python stamp
    stamp=$({ pwd && cat requirements-dev.lock pyproject.toml; } | sha256sum)
    if [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ] && .venv/bin/python -c 'import editables' 2>/dev/null; then
        return
    fi
    python=$(find_python_with_venv) || exit 1
    say "setting up .venv with $python; this takes a minute"
    "$python" -m venv --clear .venv
    local install=(.venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps)
    "${install[@]}" --require-hashes --requirement requirements-dev.lock >&2 ||
        fail "could not install the packages of requirements-dev.lock (is the package index within reach?)"
    "${install[@]}" --no-build-isolation --editable . >&2 || fail "could not install hourmeter itself into .venv"
    echo "$stamp" >.venv/stamp
}

failed=()
status=0

# step NAME COMMAND...: runs one check; notes its failure and goes on, so that one run shows all there is.
step() {
    local code=0
    say "== $1"
    "${@:2}" || code=$?
    [ "$code" = 0 ] || { failed+=("$1") && status=$code; }
}

check_sources() {
    step "ruff format" .venv/bin/ruff format --check --quiet .
    step "ruff check" .venv/bin/ruff check --quiet .
    step "mypy" .venv/bin/mypy
    step "imports" .venv/bin/lint-imports
}

# Says how it went and leaves with the status of the last failure.
finish() {
    if [ "$status" = 0 ]; then say "all well"; else say "failed: $(printf '%s; ' "${failed[@]}")see above"; fi
    exit "$status"
}
