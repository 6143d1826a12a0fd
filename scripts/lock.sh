#!/bin/sh
# Writes requirements/*.txt from pyproject.toml, with uv in a folder of its own. Versions that stand there stay where they
# still fit; with --upgrade the newest are taken. Each set holds the one before it at the same versions.
set -eu
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check uv

compile() {
    target=$1
    shift
    "$tools/bin/uv" pip compile pyproject.toml --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
        --no-emit-find-links --quiet --output-file "requirements/$target.txt" "$@"
}

compile core "$@"
compile dev --extra dev --constraint requirements/core.txt "$@"
compile all --extra dev --extra ultralytics --constraint requirements/dev.txt "$@"
