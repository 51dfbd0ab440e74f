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

for h in $(for dir in "$@" tests; do ls "$dir"/*.h 2>/dev/null; done); do
    echo "#include \"$h\"" | $cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c -
    tally $? "$h as C11"
    case $h in tests/*) continue ;; esac
    ! grep -v '^static\|^typedef' "$h" | grep -q '^[a-z][a-z_0-9 ]* [*]*[a-z_0-9]*(' || grep -q 'extern "C"' "$h"
    tally $? "$h declares functions and says extern \"C\""
    echo "#include \"$h\"" | $cxx -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c++ -
    tally $? "$h as C++17"
done

for h in include/*.h include/ckks/*.h; do
    bad=$(sed -n 's/^#include "\(.*\)"/\1/p' "$h" | while read -r inc; do
        case $inc in kernels/*) echo "$inc" ;; *) [ -e "$(dirname "$h")/$inc" ] || echo "$inc" ;; esac
    done)
    [ -z "$bad" ]
    tally $? "$h includes $bad"
    for std in 'c -std=c99' 'c++ -std=c++11'; do
        # shellcheck disable=SC2086
        echo "#include \"$h\"" | ${cxx} -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x $std -
        tally $? "$h as $std"
    done
done
. tests/linked.sh
echo "layers: $passed passed, $failed failed"
[ $failed = 0 ]
