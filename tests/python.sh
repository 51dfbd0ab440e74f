# The Python package: python.sh BUILD.  Its tests (python/tests) on the library and the program of BUILD, its example, and
# whether it can be installed.  Counts as the test programs do; skipped where python3 or numpy is not installed, and with
# a library that has the sanitizers in it, which an interpreter without them cannot open.  PYTHON names another one.
set -u
build=$(realpath "$1") || exit 1
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
unset MAKEFLAGS MAKELEVEL MFLAGS
skip() { echo "[  SKIPPED ] $*"; skipped=$((skipped + 1)); }
number() { sed -n "s/^\[  $1 *\] \([0-9][0-9]*\) test(s).*/\1/p" "$tmp/out" | head -n 1; }
holds() { # what command..: the command succeeds
    what=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $what" && cat "$tmp/log"; fi
}
finish() {
    echo "[  PASSED  ] $passed test(s)."
    [ $skipped = 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above:"
    [ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
    exit 0
}

# the system's own too, where another stands before it
for python in ${PYTHON:-python3 /usr/bin/python3} ''; do
    "${python:-true}" -c 'import sys, numpy; assert sys.version_info >= (3, 9)' 2>/dev/null && break
done
if [ -z "$python" ]; then
    skip "python: ${PYTHON:-python3} of 3.9 or later with numpy is not installed"
    finish
fi
CKKS_LIBRARY=$build/libckks.so.$(cat VERSION) THOR=$build/thor
export CKKS_LIBRARY THOR PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$PWD/python"
if nm "$build"/ckks/*.o 2>/dev/null | grep -q -e __asan_ -e __ubsan_ -e __tsan_; then
    skip "python: the library of $1 has the sanitizers in it"
    finish
fi
make -s CUDA=0 BUILD="$build" "$CKKS_LIBRARY" >"$tmp/log" 2>&1 || cat "$tmp/log"

(cd python && "$python" -m tests) >"$tmp/out" 2>"$tmp/err"
st=$?
grep '^\[  SKIPPED \] [^0-9]' "$tmp/out"
p=$(number PASSED) f=$(number FAILED) s=$(number SKIPPED)
passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
[ $st = 0 ] || { cat "$tmp/err"; [ -n "$f" ] || failed=$((failed + 1)); }

for example in python/examples/*.py; do holds "$example" "$python" "$example"; done

# installed from a copy (setuptools writes beside the sources) and imported from there, types and all
# setuptools first: pip may have brought in the distutils that it replaces
if "$python" -c 'import setuptools, pip; assert int(setuptools.__version__.split(".")[0]) >= 61' 2>/dev/null; then
    cp -r python "$tmp/sources"
    holds 'pip install ./python' "$python" -m pip install -q --no-build-isolation --no-index --no-deps \
        --disable-pip-version-check --target "$tmp/installed" "$tmp/sources"
    holds 'what was installed' env PYTHONPATH="$tmp/installed" "$python" -c \
        'import ckks, thor; assert "/installed/" in ckks.__file__ + thor.__file__; print(ckks.version())'
    [ -e "$tmp/installed/ckks/py.typed" ] && [ -e "$tmp/installed/thor/py.typed" ] && [ ! -e "$tmp/installed/tests" ]
    holds 'py.typed' [ $? = 0 ]
else
    skip "python: pip and setuptools 61 are not installed: it is not installed for a try"
fi
if "$python" -c 'import mypy' 2>/dev/null; then
    holds 'mypy --strict' sh -c "cd python && '$python' -m mypy --strict --cache-dir '$tmp/mypy' ckks thor"
else
    skip "python: mypy is not installed: types are not checked"
fi
finish
