# All of `make check`: check.sh MAKE JOBS.  Each part ends in "NAME: N passed, N failed"; the last line sums them.
set -u
make=$1 jobs=$2
passed=0 failed=0
log=$(mktemp) || exit 6
trap 'rm -f "$log"' EXIT

part() { # name command..: the command's summary is counted; a part without one has failed
    name=$1
    shift
    echo "== $name"
    { "$@" 2>&1; echo "status $?"; } | tee "$log" | sed -u '/^status [0-9]*$/d'
    line=$(grep -a "^$name: [0-9]* passed, [0-9]* failed\$" "$log" | tail -n 1)
    f=$(echo "$line" | sed -n 's/.*passed, \([0-9]*\) failed/\1/p')
    p=$(echo "$line" | sed -n 's/.*: \([0-9]*\) passed.*/\1/p')
    if [ -z "$line" ]; then p=0 f=1; fi
    [ "$(tail -n 1 "$log")" = "status 0" ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f))
}

# shellcheck disable=SC2086
{
    part layers $make --no-print-directory layers
    echo "== build"
    $make --no-print-directory -s $jobs all tests
    part suite $make --no-print-directory suite
    [ "${THOR_SAN:-1}" = 0 ] || part san env THOR_SUITE=san $make --no-print-directory san
    [ "${THOR_SAN:-1}" = 0 ] || part fuzz $make --no-print-directory fuzz FUZZ_SECONDS="${THOR_FUZZ:-10}"
}
echo "thor: $passed passed, $failed failed"
[ $failed = 0 ]
