# For the scripts here: interpreters by name, a temporary folder that goes away, environments in it.

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1

# Print the path of CPython $1 (3.11, say): on PATH, or one that pyenv has.
need() {
    local found others=""
    if command -v pyenv >/dev/null; then
        others=$(ls "$(pyenv root)"/versions/"$1".*/bin/"python$1" 2>/dev/null | sort -rV) || true
    fi
    for found in "$(command -v "python$1")" $others; do
        # One of pyenv's names on PATH may stand for nothing: try it.
        if [ -n "$found" ] && "$found" -c '' 2>/dev/null; then
            echo "$found"
            return
        fi
    done
    echo "needs CPython $1, on PATH or in pyenv" >&2
    exit 2
}

# Make an environment for CPython $1 with the packages that follow; print its interpreter.
venv() {
    local python at=$1
    python=$(need "$at") || exit 2  # within $(...) `set -e` is off
    shift
    "$python" -m venv "$dir/$at" >&2 || {
        echo "needs the venv module of CPython $at" >&2
        exit 2
    }
    "$dir/$at/bin/pip" install -qq "$@" >&2 || {
        echo "needs to install $*" >&2
        exit 2
    }
    echo "$dir/$at/bin/python"
}
