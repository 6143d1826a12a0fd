#!/bin/sh
# Makes .venv with `pc` in it, or says in a second that it is there. Run it through `make setup`.
#
#   scripts/setup.sh core     what the pipeline needs
#   scripts/setup.sh photos   core, and ultralytics without torch: the demo's two photographs
#   scripts/setup.sh dev      core, and the tools of developers
#   scripts/setup.sh all      dev, and ultralytics with torch (about 6 GB)
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-core}
here=$(pwd -P)
log=.venv/setup.log

stop() {
    echo "setup: $*" >&2
    exit 1
}

# A set is installed when its stamp holds this: the files it is made from, and the place, since .venv cannot be moved.
fingerprint() {
    {
        echo "$here"
        cat "requirements/$1.txt" pyproject.toml scripts/setup.sh
    } | cksum
}

has() {
    [ "$(cat ".venv/.has-$1" 2>/dev/null)" = "$(fingerprint "$2")" ]
}

# Each set holds the ones named before it, at the same versions.
case $wanted in
core) sets=core file=core about="1 to 3 minutes" ;;
photos) sets="core" file=core about="1 to 3 minutes" ;;
dev) sets="core dev" file=dev about="1 to 3 minutes" ;;
all) sets="core dev all" file=all about="about 6 GB, 3 to 15 minutes" ;;
*) stop "EXTRAS is '$wanted'; it can be core, dev or all." ;;
esac

if .venv/bin/python -c '' 2>/dev/null && { has "$wanted" "$file" || { [ "$wanted" = photos ] && has all all; }; }; then
    echo "setup: .venv has all it needs"
    exit 0
fi

find_python() {
    for candidate in python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

make_venv() {
    python=$(find_python)
    [ -n "$python" ] || stop "Python 3.11 is needed and neither python3.11 nor python3 is one: install python3.11 (Debian 12 has it)."
    if ! "$python" -c 'import ensurepip, venv; ensurepip.version()' 2>/dev/null; then
        missing="$python lacks the module ensurepip: install it with 'apt-get install python3-venv' as root, then run this again."
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || stop "$missing"
        echo "      installing the Debian package python3-venv…"
        { apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/dev/null 2>&1 || stop "$missing"
    fi
    rm -rf .venv
    "$python" -m venv .venv
}

# Runs `pip install` with a sign of life in place of its own words, whose end is shown when it fails.
pip_install() {
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off "$@" >"$log" 2>&1 &
    pid=$!
    trap 'kill $pid 2>/dev/null; exit 130' INT TERM
    seconds=0
    while kill -0 $pid 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        [ $((seconds % 20)) != 0 ] || echo "      $seconds s, $(du -sm .venv | cut -f1) MB"
    done
    trap - INT TERM
    wait $pid || {
        tail -n 15 "$log" >&2
        stop "pip failed: see above and $log."
    }
}

began=$(date +%s)
if .venv/bin/python -c '' 2>/dev/null && [ "$(cat .venv/.here 2>/dev/null || echo "$here")" = "$here" ]; then
    echo "[1/4] using the .venv that is there"
else
    echo "[1/4] making .venv…"
    make_venv
    echo "$here" >.venv/.here
fi

echo "[2/4] installing $(grep -c == "requirements/$file.txt") packages ($about)…"
pip_install -r "requirements/$file.txt"
if [ "$wanted" = photos ]; then
    pip_install --no-deps "$(grep '^ultralytics==' requirements/all.txt)"
fi

echo "[3/4] installing pc…"
pip_install --no-deps --no-build-isolation -e .

echo "[4/4] checking…"
# The wheel of opencv-python needs libGL.so.1 and glib of the system, which bare machines lack, and installing those needs
# root. The headless wheel is the same code without windows; over the other one's files it takes the same place.
if ! .venv/bin/python -c 'import cv2' 2>/dev/null; then
    echo "      OpenCV finds no libGL here: taking its build without windows…"
    pip_install --no-deps --force-reinstall "$(sed -n 's/^opencv-python==/opencv-python-headless==/p' requirements/core.txt)"
fi
.venv/bin/python -c 'import cv2' || stop "OpenCV does not load: see above."
.venv/bin/pc --version

for set in $sets; do
    fingerprint "$set" >".venv/.has-$set"
done
[ "$wanted" != photos ] || fingerprint core >.venv/.has-photos
echo "models here (PC_MODELS_DIR):"
.venv/bin/pc models list | sed 's/^/      /' | cut -c1-150
[ -z "${PC_SAMPLES_DIR:-}" ] || echo "sample videos (PC_SAMPLES_DIR): $PC_SAMPLES_DIR"
echo "setup: ready after $(($(date +%s) - began)) s"
