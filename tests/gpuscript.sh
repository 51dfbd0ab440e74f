# bench/gpu.sh with everything that it starts replaced by stubs: order, limits, what fails, going on, the pack.
# The last lines are those of a test program: how many passed, and failed.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
mkdir -p "$tmp/bin" "$tmp/tests" "$tmp/build/gpu" "$tmp/build/gpu-pack/lib" "$tmp/build/gpu-pack/tests/gpu"

stub() { # file: a script from stdin
    { echo '#!/bin/sh'; cat; } >"$1" && chmod +x "$1"
}
stub "$tmp/bin/nvidia-smi" <<'END'
case $* in *name,compute_cap*) [ -e no-card ] || echo 'Fake H100, 9.0' ;; *) echo 'a card' ;; esac
END
stub "$tmp/bin/git" <<'END'
echo abc1234
END
stub "$tmp/bin/make" <<'END'
echo "make $*" >>ran
[ ! -e no-build ]
END
stub "$tmp/tests/gpu.sh" <<'END'
echo "gpu.sh $*" >>ran
if [ "$2" = engine ] && [ -e hang ]; then sleep 60; fi
if [ "$2" = engine ] && [ -e leave ]; then setsid sleep 30 & fi
[ "$2" != layers ] || [ ! -e fail ]
END
stub "$tmp/build/gpu/thor" <<'END'
case $1 in
info) if [ -e no-card ]; then echo 'cuda none: no driver'; else echo 'cuda:0 Fake H100'; fi ;;
*) echo "thor ${THOR_COLUMNS:-} $*" >>ran ;;
esac
END
cp "$tmp/build/gpu/thor" "$tmp/build/gpu-pack/thor"

call() { # seconds: runs the script, its status in $status
    rm -f "$tmp/ran"
    touch "$tmp/ran"
    (cd "$tmp" && PATH="$tmp/bin:$PATH" THOR_GPU_ROOT="$tmp" THOR_GPU_SECONDS="$1" \
        sh "$root/bench/gpu.sh" >out 2>&1)
    status=$?
}
expect() { # what condition..
    what=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $what"; fi
}
ran() { grep -q -- "$1" "$tmp/ran"; }
not() { ! "$@"; }
before() { awk -v a="$1" -v b="$2" 'index($0, a) && !x { x = NR } index($0, b) && !y { y = NR }
    END { exit !(x && y && x < y) }' "$tmp/ran"; }

touch "$tmp/fail"
call 60
expect 'a step that fails is told by the status' [ $status = 1 ]
expect 'one architecture, that of the card' ran 'CUDAARCH=90 '
expect 'one kernel before all entries' before 'bench ntt' 'build/gpu entries'
expect 'entries before bootstraps' before 'build/gpu entries' 'bench bootstrap'
expect 'bootstraps before a sentence' before 'bench bootstrap' 'build/gpu forward'
expect 'tests before timings' before 'build/gpu memcheck' 'bench ops'
expect 'what comes after a failure is done' ran 'build/gpu synccheck'
expect 'every kind of columns is timed' ran 'thor turned bench ntt'
rm "$tmp/fail"
call 60
expect 'the second call goes on' [ $status = 0 ]
expect 'with what failed' ran 'build/gpu layers'
expect 'and not with what passed' not ran 'build/gpu entries'
expect 'the report has both' grep -q -- '-- entries: status 0' "$tmp/build/gpu-report.txt"
rm -rf "$tmp/build/gpu-state"
touch "$tmp/hang"
call 8
expect 'a step that hangs is stopped' grep -q -- '-- engine: status 124' "$tmp/build/gpu-report.txt"
expect 'and no time is left' grep -q 'no time left' "$tmp/build/gpu-report.txt"
rm -rf "$tmp/build/gpu-state" "$tmp/hang"
touch "$tmp/leave"
began=$(date +%s)
call 60
expect 'what a step leaves behind holds up nothing' [ $(($(date +%s) - began)) -lt 25 ]
expect 'and the step has passed' grep -q -- '-- engine: status 0' "$tmp/build/gpu-report.txt"
rm -rf "$tmp/build/gpu-state" "$tmp/leave"
touch "$tmp/no-build"
call 60
expect 'what was built elsewhere is taken' ran 'gpu.sh build/gpu-pack entries'
touch "$tmp/no-card"
call 60
expect 'no card: status 2' [ $status = 2 ]
echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || echo "[  FAILED  ] $failed test(s)."
[ $failed = 0 ]
