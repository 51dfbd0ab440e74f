# The CUDA compiler.
#   toolkit.sh find FOLDER 'ARCH..' 'FLAGS' CC [NVCC..]   the first NVCC that compiles and links a small program:
#       prints "NVCC LIBRARY VERSION ARCH..", with those of the architectures that it knows, or "none WHY".
#       The answer is kept in FOLDER/cuda.state, whose time changes with the answer.
#   toolkit.sh fetch FOLDER PACKAGE==VERSION..            installs Python wheels of the compiler into FOLDER
set -u

version() { "$1" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p' | head -n 1; }

library() { # of the runtime, beside the compiler or where the C compiler looks
    top=$(dirname "$(dirname "$(readlink -f "$1")")")
    for f in "$top"/lib64 "$top"/lib "$top"/targets/*/lib; do
        [ -f "$f/libcudart_static.a" ] && { echo "$f/libcudart_static.a"; return; }
    done
    f=$("$cc" -print-file-name=libcudart_static.a)
    [ -f "$f" ] && echo "$f"
}

try() { # nvcc: sets `answer` and returns 0, or sets `why`
    have=
    known=$(timeout 20 "$1" --list-gpu-code 2>/dev/null)
    for a in $archs; do
        if echo "$known" | grep -qx "sm_$a"; then have="$have $a"; fi
    done
    [ -n "$have" ] || { why="$1 is broken or too old: it knows none of sm_$(echo "$archs" | sed 's/ /, sm_/g')"; return 1; }
    lib=$(library "$1")
    [ -n "$lib" ] || { why="$1 comes without libcudart_static.a"; return 1; }
    cat >"$tmp/probe.cu" <<'END'
#include <cuda_runtime.h>
struct pass { int n; };
__global__ void probe(const __grid_constant__ pass a, int *x) { if constexpr (true) x[threadIdx.x] = a.n; }
int main() { probe<<<1, 32>>>(pass{1}, nullptr); return cudaGetLastError() != cudaSuccess; }
END
    code=$(for a in $have; do echo "-gencode arch=compute_$a,code=sm_$a"; done)
    # shellcheck disable=SC2086
    if timeout 60 "$1" $flags $code -c -o "$tmp/probe.o" "$tmp/probe.cu" >"$tmp/log" 2>&1 &&
        "$cc" -o "$tmp/probe" "$tmp/probe.o" "$lib" -ldl -lrt -lpthread >>"$tmp/log" 2>&1; then
        answer="$1 $lib $(version "$1")$have"
        return 0
    fi
    why="$1 does not build a small program: $(grep -i -m 1 -E 'undefined|error|fatal|unsupported|not found' "$tmp/log" | cut -c 1-160)"
    return 1
}

find_compiler() {
    folder=$1 archs=$2 flags=$3 cc=$4
    shift 4
    key="$archs|$flags|$cc|$(for n in "$@"; do stat -L -c '%n %Y' "$n" 2>/dev/null; done | tr '\n' ' ')"
    state=$folder/cuda.state
    if [ "$(sed -n 2p "$state" 2>/dev/null)" = "$key" ]; then
        sed -n 1p "$state"
        return
    fi
    why='no nvcc found' answer=
    [ "$archs" ] || why='switched off'
    tmp=$(mktemp -d) || exit 6
    for n in "$@"; do
        [ -x "$n" ] && try "$n" && break
    done
    rm -rf "$tmp"
    [ -n "$answer" ] || answer="none $why" key="$key (to be tried again)"
    mkdir -p "$folder"
    printf '%s\n%s\n' "$answer" "$key" >"$state.new"
    if [ "$(sed -n 1p "$state" 2>/dev/null)" = "$answer" ]; then touch -r "$state" "$state.new"; fi
    mv -f "$state.new" "$state"
    echo "$answer"
}

fetch() {
    folder=$1
    shift
    command -v python3 >/dev/null || { echo "nvcc: python3 is needed: apt-get install python3-pip" >&2; return 1; }
    python3 -m pip --version >/dev/null 2>&1 || { echo "nvcc: pip is needed: apt-get install python3-pip" >&2; return 1; }
    rm -rf "$folder.new"
    # into a folder of its own: nothing of the system's Python changes
    if ! python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
        --only-binary=:all: --target "$folder.new" "$@"; then
        rm -rf "$folder.new"
        echo "nvcc: pip could not fetch $*" >&2
        return 1
    fi
    rm -rf "$folder" && mv "$folder.new" "$folder"
    echo "nvcc: $(version "$folder/nvidia/cu13/bin/nvcc") in $folder"
}

what=$1
shift
case $what in
find) find_compiler "$@" ;;
fetch) fetch "$@" ;;
esac
