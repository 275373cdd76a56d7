#!/bin/sh
# Makes $VENV and installs the project into it, editable, with everything that the tests and the demo need.
set -eu
: "${PYTHON:=python3}" "${VENV:=.venv}"

say() { printf '%s\n' "$*" >&2; }

command -v "$PYTHON" >/dev/null 2>&1 || { say "setup: $PYTHON not found; install Python 3.11 or newer"; exit 1; }
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "setup: $("$PYTHON" --version) is too old; Intaglio needs Python 3.11 or newer (make PYTHON=python3.12 ...)"
    exit 1
}

# Debian and Ubuntu ship Python without ensurepip.
if ! "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    package="python$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "setup: installing $package"
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$package" >/dev/null
    else
        say "setup: $PYTHON has no ensurepip; run: sudo apt-get install $package"
        exit 1
    fi
fi

# A half-made environment (setup killed half-way) is made again from the start.
[ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || {
    rm -rf "$VENV"
    "$PYTHON" -m venv "$VENV"
}
say "setup: installing into $VENV"
# Dependency groups need pip 25.1.
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[cli,gateway,lab]' --group dev
