# Tests on a GPU: gpu.sh BUILD [PART..], all parts when none is named.
#   entries, linmap, engine, layers   the cases of `make check` over the emulation, on the device
#   forward                    a sentence under 128-bit keys, every stage against the plain model
#   memcheck, racecheck, synccheck   the same cases under compute-sanitizer, skipped where it is not installed
# CUDA_VISIBLE_DEVICES chooses the card.  THOR_TIMEOUT is the limit of one part in seconds.
# Exit code 0, 1 when a part failed, 2 when there is no GPU; the last line counts.
set -u
build=$1
shift
[ $# -gt 0 ] || set -- entries linmap engine layers forward memcheck racecheck synccheck
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 6
trap 'rm -f "$log"' EXIT
# programs that were built elsewhere bring their libraries
if [ -d "$build/lib" ]; then export LD_LIBRARY_PATH="$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; fi

if ! "$build/thor" info --devices >"$log" 2>&1 || ! grep -q '^cuda:0 ' "$log"; then
    echo "gpu: no GPU to test on: $(sed -n 's/^cuda *none: //p' "$log" | head -n 1)"
    exit 2
fi
grep -A 3 '^cuda' "$log"

sanitizer() { # where it is, or nothing
    for f in "$(command -v compute-sanitizer)" /usr/local/cuda/bin/compute-sanitizer \
        "$(dirname "$(command -v nvcc || echo /none/nvcc)")/compute-sanitizer"; do
        if [ -x "$f" ]; then echo "$f"; return; fi
    done
}

verdict() { # part status seconds
    n=$(sed -n 's/^\[  *PASSED  *\] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        echo "  ok $1: $n tests, $3 s"
    elif [ "$2" = 124 ] && [ "$4" = may_stop ]; then
        skipped=$((skipped + 1))
        echo "  skipped $1: nothing found in $3 s, then stopped"
    else
        failed=$((failed + 1))
        echo "  FAILED $1: status $2, $3 s"
        tail -n 60 "$log" | sed 's/^/      /'
    fi
}

run() { # label may_stop|must_end command..
    label=$1 end=$2
    shift 2
    began=$(date +%s)
    timeout -k 5 "${THOR_TIMEOUT:-300}" "$@" >"$log" 2>&1 </dev/null
    verdict "$label" $? $(($(date +%s) - began)) "$end"
}

forward() { # the numbers are judged here: the program itself refuses a stage beyond its bound
    "$build/thor" forward --data data/examples.tsv --index 0 --compare --json --device cuda:0 || return
    # shellcheck disable=SC2016
    sed -n 's/.*"pred": \([0-9]*\), "plain_pred": \([0-9]*\).*"max_abs_error": \([0-9.e+-]*\).*/\1 \2 \3/p' "$log" |
        awk '{ n++; if ($1 != $2 || $3 >= 0.05) bad = 1 } END { exit bad || n != 1 }'
}

for part in "$@"; do
    case $part in
    entries | engine | layers | linmap) run "$part" must_end "$build/tests/gpu/test_cuda_$part" ;;
    forward)
        began=$(date +%s)
        forward >"$log" 2>&1 </dev/null
        verdict forward $? $(($(date +%s) - began)) must_end
        grep -a '"pred"' "$log"
        ;;
    memcheck | racecheck | synccheck)
        tool=$(sanitizer)
        if [ -z "$tool" ]; then
            skipped=$((skipped + 1))
            echo "  skipped $part: compute-sanitizer is not installed"
            continue
        fi
        for t in engine entries; do
            run "$part $t" may_stop "$tool" --tool "$part" --report-api-errors no --error-exitcode 1 \
                "$build/tests/gpu/test_cuda_$t"
        done
        ;;
    *) echo "gpu: no such part: $part"; exit 2 ;;
    esac
done
[ $skipped = 0 ] || echo "gpu: $skipped skipped"
echo "gpu: $passed passed, $failed failed"
[ $failed = 0 ]
