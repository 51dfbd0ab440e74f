# Files in both directions between this project and Microsoft SEAL: check.sh FOLDER, which has both programs.
# Of each set, with keys of either side, 100 cases at every level: what SEAL encrypts, encodes and multiplies is read
# here; what is encrypted, encoded, multiplied and rotated here, with keys of SEAL's secret, is read by SEAL.
set -u
dir=$(mktemp -d) || exit 6
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

count() { # PROGRAM ARGUMENTS..: adds up "NAME: N passed, M failed"; one failure where it ends without
    "$@" >"$dir/log"
    st=$?
    grep -v ' passed, ' "$dir/log"
    # shellcheck disable=SC2046
    set -- $(sed -n 's/^[a-z]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$dir/log") 0 0
    passed=$((passed + $1)) failed=$((failed + $2))
    [ $st = 0 ] || [ "$2" != 0 ] || failed=$((failed + 1))
}

for set in ${SEAL_SETS:-t10q28x2b25p1 n12q28x1b26p1 n13q56x3b26p2 n13q56x2b40p2}; do
    levels=${set#*x} levels=${levels%%b*}
    for owner in seal ours; do
        rm -rf "$dir"/*
        count "$1/ours" start "$set" $owner "$dir"
        for level in $(seq "$levels" -1 0); do
            count "$1/driver" make "$dir" "$level"
            count "$1/ours" answer "$set" "$dir" "$level"
            count "$1/driver" check "$dir" "$level"
            rm -f "$dir"/[a-z]"$level"_*
        done
        echo "$set, keys of $owner: $passed passed, $failed failed so far"
    done
done
echo "seal: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed != 0 ]
