# One program of a suite: suite_one.sh COUNTS LABEL COMMAND..; what it has to say is printed at once when it ends, and
# a line "passed failed skipped" goes to COUNTS.
set -u
counts=$1 label=$2
shift 2
log=$(mktemp) || exit 6
trap 'rm -f "$log" "$log.out"' EXIT

sum() { # pattern: the numbers that the test library prints behind it, summed
    sed -n "s/^\[  *$1  *\] \([0-9][0-9]*\) test(s).*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

began=$(date +%s)
timeout -k 10 "${THOR_TIMEOUT:-900}" "$@" >"$log" 2>&1 </dev/null
status=$?
p=$(sum PASSED) f=$(sum FAILED) s=$(sum SKIPPED)
[ $status = 0 ] || [ "$f" -gt 0 ] || f=1
word=ok
[ "$f" = 0 ] || word=FAILED
times >"$log.out" # of the shell, of its children: user and system, as 1m2.34s
cpu=$(awk 'NR == 2 { gsub(/[ms]/, " "); printf "%.0f", 60 * ($1 + $3) + $2 + $4 }' "$log.out")
{
    echo "  $word $label: $p tests, $s skipped, $(($(date +%s) - began)) s, $cpu s of processor"
    grep -a '^\[  SKIPPED \] [^0-9]' "$log" | sort -u | sed 's/^\[  SKIPPED \]/      skipped:/'
    if [ "$word" = FAILED ]; then
        [ $status = 124 ] && echo "      stopped after ${THOR_TIMEOUT:-900} s"
        sed 's/^/      /' "$log" | tail -n 60
    fi
} >"$log.out"
cat "$log.out"
echo "$p $f $s" >>"$counts"
