# Run test programs one after the other and count: suite.sh BUILD PROGRAM..
# A program that crashes, times out or fails outside its tests counts as one failure more.
# THOR_SUITE names the suite in the summary, THOR_TIMEOUT is the limit of one program in seconds.
set -u
build=$1
shift
passed=0 failed=0 skipped=0
name=${THOR_SUITE:-suite}
log=$build/suite.log
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" # toy rings: many short loops, and other work on the machine
THOR_PROGRAM=$(realpath "$build/thor") && export THOR_PROGRAM

sum() { # pattern: the numbers that the test library prints behind it, summed
    sed -n "s/^\[  *$1  *\] \([0-9][0-9]*\) test(s).*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

one() { # label command..
    label=$1
    shift
    began=$(date +%s)
    timeout -k 10 "${THOR_TIMEOUT:-900}" "$@" >"$log" 2>&1 </dev/null
    status=$?
    p=$(sum PASSED) f=$(sum FAILED) s=$(sum SKIPPED)
    [ $status = 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    word=ok
    [ "$f" = 0 ] || word=FAILED
    echo "  $word $label: $p tests, $s skipped, $(($(date +%s) - began)) s"
    grep -a '^\[  SKIPPED \] [^0-9]' "$log" | sort -u | sed 's/^\[  SKIPPED \]/      skipped:/'
    if [ "$word" = FAILED ]; then
        [ $status = 124 ] && echo "      stopped after ${THOR_TIMEOUT:-900} s"
        sed 's/^/      /' "$log" | tail -n 60
    fi
}

for t in "$@"; do one "$(basename "$t")" "$t"; done
one cases sh tests/cases/cases.sh "$build/thor"
one command-line sh tests/cli.sh "$build/thor"
one client-and-server sh tests/client.sh "$build"
one killed sh tests/faults/kill.sh "$build/thor"
one build sh tests/build.sh
one sources sh tests/sources.sh
one gpu-script sh tests/gpuscript.sh
rm -f "$log"
[ $skipped = 0 ] || echo "$name: $skipped tests skipped for want of optional data or because they are full-size"
echo "$name: $passed passed, $failed failed"
[ $failed = 0 ]
