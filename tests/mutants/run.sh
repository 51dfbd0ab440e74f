# Mutants of kernels/ and ckks/: run.sh CC BUILD SANBUILD SANFLAGS COUNT [FIRST LAST]
# COUNT mutants, evenly spread over all places where a rule of mutate.awk applies.  Each is compiled alone (-O1), put in
# front of the library and run against the quick tests until one fails: killed.  One that passes all is compiled once more
# with the sanitizers, as `make san` would.  What does not compile is not counted.  BUILD and SANBUILD hold the objects and
# tests of the whole tree, plain and with sanitizers.  FIRST .. LAST: a part; results are kept in BUILD/mutants.txt, so
# that a long run can be done in parts.
set -u
cc=$1 build=$2 sanbuild=$3 sanflags=$4 count=$5 first=${6:-1} last=${7:-$5}
here=tests/mutants
out=$build/mutants.txt
work=$build/mutant
mkdir -p "$work"
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 THOR_FULL=0 THOR_CIRCUITS=5
libs="-ljansson -lutf8proc -lsodium -lxxhash -lm -lcmocka -lgmp"

files=$(ls kernels/*.c ckks/*.c | grep -v -e dry.c -e nocuda.c -e status.c)
# shellcheck disable=SC2086
awk -f $here/mutate.awk $files >"$work/all"
awk -v n="$(wc -l <"$work/all")" -v m="$count" 'int(NR * m / n) > int((NR - 1) * m / n)' "$work/all" >"$work/list"

tests_of() { # FILE RULE; rules 10 and 11, && and ||, are often checks for memory
    case $1 in
    kernels/cpu.c | kernels/pool.c) echo "kernels_gmp precision determinism boot kernels faults/test_faults" ;;
    kernels/*) echo "kernels_gmp extents lazy precision determinism boot kernels" ;;
    ckks/serial* | ckks/file.c | ckks/keygen.c | ckks/keys*.c)
        echo "engine contracts security forged file damage faults/test_faults serial"
        ;;
    *)
        echo "engine contracts precision random determinism boot security leakage forged"
        case $2 in 10 | 11) echo faults/test_faults ;; esac
        ;;
    esac
}

fails() { # BUILD TEST FLAGS..: does the test fail with the mutant in it?  2: it cannot be built
    b=$1 t=$2
    shift 2
    case $t in */*) o=$t extra=$b/tests/faults/interpose.o ;; *) o=test_$t extra= ;; esac
    # shellcheck disable=SC2086
    $cc -fopenmp "$@" -o "$work/test" "$b/tests/$o.o" $extra $(ls "$b"/tests/*.o | grep -v '/test_') "$work/mutant.o" \
        "$b/libthor.a" $libs 2>/dev/null || return 2
    timeout 60 "$work/test" >/dev/null 2>&1 && return 1
    return 0
}

compiled() { # FLAGS..
    # shellcheck disable=SC2086
    $cc -std=c11 -D_GNU_SOURCE -O1 -w -fopenmp -I. $tier "$@" -c -o "$work/mutant.o" "$work/mutant.c" 2>/dev/null
}

one() { # FILE LINE RULE: the test that kills it, or "survived", or "none" when it does not compile
    tier=
    case $1 in *_avx2.c) tier="-mavx2 -mfma" ;; *_avx512.c) tier="-mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512ifma" ;; esac
    awk -v at="$2" -v rule="$3" -f $here/mutate.awk "$1" >"$work/mutant.c"
    compiled || { echo none; return; }
    for t in $(tests_of "$1" "$3"); do
        fails "$build" "$t"
        case $? in 0) echo "$t"; return ;; 2) echo none; return ;; esac
        case $1 in kernels/rows_ref.c) THOR_CPU=ref fails "$build" "$t" && { echo "$t"; return; } ;; esac
    done
    # shellcheck disable=SC2086
    compiled $sanflags || { echo none; return; }
    for t in engine contracts precision boot security; do
        # shellcheck disable=SC2086
        fails "$sanbuild" $t $sanflags && { echo "sanitized:$t"; return; }
    done
    echo survived
}

i=0
while IFS=: read -r file line rule; do
    i=$((i + 1))
    [ $i -ge "$first" ] && [ $i -le "$last" ] || continue
    grep -q "^$i " "$out" 2>/dev/null && continue
    echo "$i $file:$line:$rule $(one "$file" "$line" "$rule")" >>"$out"
done <"$work/list"

sort -n "$out" | awk '
    $3 == "none" { none++; next }
    $3 == "survived" { s++; print "survived: " $2; next }
    { k++ }
    END { printf "mutants: %d killed, %d survived, %d not compiled: %.1f %% killed\n", k, s, none, 100 * k / (k + s) }'
