# A build without the libraries says so in one line: build.sh.  Prints the counts in the form of the test programs.
set -u
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
unset MAKEFLAGS MAKELEVEL MFLAGS
says() { # PATTERN CC what: make fails with one line of ours, and compiles nothing
    make -j2 CUDA=0 MPI=0 HTTP=1 REMOTE=1 BUILD="$tmp/b" CC="$2" all >"$tmp/out" 2>&1
    got=$?
    if [ $got = 2 ] && [ "$(grep -cv '^make\|^CUDA' "$tmp/out")" = 1 ] && grep -q "$1.*make deps" "$tmp/out" &&
        [ -z "$(find "$tmp/b" -name '*.o' 2>/dev/null)" ]; then passed=$((passed + 1))
    else failed=$((failed + 1)) && echo "FAILED: $3: exit $got" && sed 's/^/    /' "$tmp/out" | tail -n 20; fi
    rm -rf "$tmp/b"
}
for h in jansson.h utf8proc.h sodium.h xxhash.h; do # a compiler that does not find it
    printf '#!/bin/sh\nin=$(cat)\ncase $in in *"<%s>"*) exit 1 ;; esac\necho "$in" | %s "$@"\n' "$h" "${CC:-cc}" >"$tmp/cc"
    chmod +x "$tmp/cc"
    says "missing: $h;" "$tmp/cc" "without $h"
done
says "missing: no-such-compiler;" no-such-compiler 'without a compiler'
echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
