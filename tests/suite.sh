# Run test programs, THOR_JOBS at a time, and count: suite.sh BUILD PROGRAM..
# A program that crashes, times out or fails outside its tests counts as one failure more.
# THOR_SUITE names the suite in the summary, THOR_TIMEOUT is the limit of one program in seconds.
set -u
build=$1
shift
name=${THOR_SUITE:-suite}
counts=$(mktemp) || exit 6
trap 'rm -f "$counts"' EXIT
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" # toy rings: many short loops, and other work on the machine
THOR_PROGRAM=$(realpath "$build/thor") && export THOR_PROGRAM

list() { # label and command of everything, the longest first
    for t in "$@"; do
        case $(basename "$t") in
            test_encrypted | test_cli) echo "0 $(basename "$t") $t" ;;
            test_plan | test_batch | test_group | test_kernels | test_reference | test_faults | *_race)
                echo "1 $(basename "$t") $t" ;;
            *) echo "2 $(basename "$t") $t" ;;
        esac
    done
    echo "1 command-line sh tests/cli.sh $build/thor"
    echo "1 tune sh tests/tune.sh $build/thor"
    echo "1 client-and-server sh tests/client.sh $build"
    echo "1 remote python3 tests/remote/remote.py $build"
    for t in serve hostile compute; do echo "1 serve-$t python3 tests/serve/$t.py $build"; done
    echo "1 cases sh tests/cases/cases.sh $build/thor"
    echo "2 help sh tests/help.sh $build"
    echo "1 killed sh tests/faults/kill.sh $build/thor"
    [ "$name" = suite ] || return # what follows takes long under the sanitizers, or has no program of BUILD
    for t in load kill deploy blind; do echo "1 serve-$t python3 tests/serve/$t.py $build"; done
    echo "2 build sh tests/build.sh"
    echo "2 installed sh tests/installed.sh $build"
    echo "1 python sh tests/python.sh $build"
    echo "3 sources sh tests/sources.sh"
    echo "3 constants python3 tests/constants.py $build/thor"
    echo "3 format sh tests/format.sh"
    echo "3 gpu-script sh tests/gpuscript.sh"
}

all=$(list "$@" | wc -l)
list "$@" | sort -s -k 1,1 | cut -d ' ' -f 2- |
    xargs -P "${THOR_JOBS:-$(nproc)}" -L 1 sh tests/suite_one.sh "$counts"
# shellcheck disable=SC2046 # four numbers
set -- $(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0, NR }' "$counts")
failed=$2
[ "$4" = "$all" ] || failed=$((failed + 1)) # one that left no count
[ "$3" = 0 ] || echo "$name: $3 tests skipped for want of optional data or because they are full-size"
echo "$name: $1 passed, $failed failed"
[ "$failed" = 0 ]
