# Compile every kernel for every architecture and refuse those that spill registers to memory.
# Usage: nvcc.sh NVCC FLAGS BUILD SOURCE..
# Prints registers per kernel (the most of all architectures), seconds per file, and a summary.
set -u
nvcc=$1 flags=$2 build=$3
shift 3
[ -n "$nvcc" ] || { echo "cuda: no nvcc here: set NVCC=/path/to/nvcc"; exit 2; }
mkdir -p "$build"
status=0
for f in "$@"; do
    log=$build/$(basename "$f").log
    began=$(date +%s)
    # shellcheck disable=SC2086
    if ! "$nvcc" $flags -Xptxas -v -c -o "$build/$(basename "$f" .cu).o" "$f" >"$log" 2>&1; then
        grep -v '^ptxas info' "$log"
        status=1
    fi
    grep -i 'warning' "$log" && status=1
    awk -v file="$(basename "$f")" -v seconds=$(($(date +%s) - began)) '
        /Compiling entry function/ { split($0, part, "\047"); name = part[2]; arch = part[4] }
        /bytes stack frame/ && $1 + $5 + $9 > 0 {
            spilled++
            print "spills: " name " " arch ": " $0
        }
        /Used [0-9]+ registers/ {
            match($0, /Used [0-9]+/)
            n = substr($0, RSTART + 5, RLENGTH - 5) + 0
            kernels[name]
            if (n > most[name]) most[name] = n
        }
        END {
            for (k in kernels) printf "  %3d registers  %s\n", most[k], k | "sort"
            close("sort")
            printf "%s: %d s, %d kernels that spill\n", file, seconds, spilled
            exit spilled > 0
        }' "$log" || status=1
done
[ $status = 0 ] && echo "cuda: no kernel spills"
exit $status
