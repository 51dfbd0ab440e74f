# The order of the folders holds: each includes only itself and what stands before it; only ckks/ (and the
# tests) include kernels/kernels.h; file names are unique; every header compiles alone, as C11 and as C++17, and says
# extern "C".  The public headers include nothing but each other; programs link with what is installed (linked.sh).
# Usage: layers.sh CC CXX lowest .. highest.   Prints "layers: N passed, N failed".
set -u
cc=$1 cxx=$2
shift 2
passed=0 failed=0
tally() { # status what
    if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "layers: FAILED: $2"; fi
}

allowed=' include include/ckks'
for dir in "$@"; do
    allowed="$allowed $dir"
    bad=0
    for f in "$dir"/*.c "$dir"/*.h "$dir"/*/*.cu "$dir"/*/*.cuh; do
        [ -e "$f" ] || continue
        for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$f"); do
            [ "$inc" = cuemu.h ] && continue # stands in for CUDA in tests/emu
            of=${inc%/*}
            case " $allowed " in
            *" $of "* | *" ${of%/*} "*) [ "$of" != "$inc" ] && [ -e "$inc" ] || { bad=1; echo "$f: no such file: $inc"; } ;;
            *) bad=1; echo "$f: includes $inc, which is not below $dir/" ;;
            esac
            case $dir:$inc in
            kernels:* | ckks:*) ;;
            *:kernels/kernels.h) bad=1; echo "$f: only ckks/ talks to the kernel table" ;;
            esac
        done
    done
    tally $bad "includes of $dir/"
done

dup=$({ for dir in "$@"; do ls "$dir"; done; ls kernels/*/; } | grep '\.' | grep -v -e ':$' -e '^README.md$' | sort | uniq -d)
[ -z "$dup" ]
tally $? "file names used twice: $dup"

alone() { # HEADERS WHAT compiler flags..: each of them compiled alone, as many at a time as there are cores
    list=$1 as=$2
    shift 2
    # shellcheck disable=SC2086
    tried=$(printf '%s\n' $list | xargs -P "$(nproc)" -I{} sh -c \
        'h=$1 && shift && echo "#include \"$h\"" | "$@" -Wall -Wextra -fsyntax-only -; echo "$? $h"' alone {} "$@")
    while read -r status h; do
        tally "$status" "$h as $as"
    done <<END
$tried
END
}

# shellcheck disable=SC2086
{
    headers=$(for dir in "$@"; do ls "$dir"/*.h 2>/dev/null; done)
    for h in $headers; do
        ! grep -v '^static\|^typedef' "$h" | grep -q '^[a-z][a-z_0-9 ]* [*]*[a-z_0-9]*(' || grep -q 'extern "C"' "$h"
        tally $? "$h declares functions and says extern \"C\""
    done
    alone "$headers $(ls tests/*.h)" C11 $cc -std=c11 -D_GNU_SOURCE -Werror -I. -x c
    alone "$headers" C++17 $cxx -std=c++17 -D_GNU_SOURCE -Werror -I. -x c++

    public=$(ls include/*.h include/ckks/*.h)
    for h in $public; do
        bad=$(sed -n 's/^#include "\(.*\)"/\1/p' "$h" | while read -r inc; do
            case $inc in kernels/*) echo "$inc" ;; *) [ -e "$(dirname "$h")/$inc" ] || echo "$inc" ;; esac
        done)
        [ -z "$bad" ]
        tally $? "$h includes $bad"
    done
    alone "$public" C99 $cxx -Wpedantic -Werror -x c -std=c99
    alone "$public" C++11 $cxx -Wpedantic -Werror -x c++ -std=c++11
}
. tests/linked.sh
echo "layers: $passed passed, $failed failed"
[ $failed = 0 ]
