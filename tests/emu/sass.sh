# Instructions of every kernel: sass.sh NVCC NVDISASM ARCH BUILD SOURCE..
# A table of what ptxas and the disassembler say: registers, bytes of shared memory, machine instructions in all (no
# padding), of these wide or high products (IMAD.WIDE, IMAD.HI), other products, moves, loads and stores of device and
# of shared memory.  Transforms are straight code: what stands there is what a thread runs.  Their last columns: the
# words that a thread holds, the butterflies that it computes, instructions a butterfly, everything included.
set -u
nvcc=$1 disasm=$2 arch=$3 build=$4
shift 4
[ -n "$nvcc" ] || { echo "cuda: no nvcc here: set NVCC=/path/to/nvcc"; exit 2; }
if [ -z "$disasm" ]; then
    echo "cuda: no nvdisasm here; it is in the wheel nvidia-cuda-nvdisasm: set NVDISASM=/path/to/nvdisasm"
    exit 2
fi
mkdir -p "$build"
echo "| kernel (sm_$arch) | registers | shared | instructions | wide or high | products | moves | global | shared | words | butterflies | each |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|"
for f in "$@"; do
    base=$build/$(basename "$f" .cu)
    "$nvcc" -std=c++17 -O3 -I. -arch="sm_$arch" -cubin -Xptxas -v -o "$base.cubin" "$f" 2>"$base.ptxas" || exit 1
    "$disasm" -c "$base.cubin" >"$base.sass" || exit 1
    awk '
        FNR == NR {
            if (/Compiling entry function/) { split($0, part, "\047"); name = part[2] }
            if (match($0, /Used [0-9]+ registers/)) regs[name] = substr($0, RSTART + 5, RLENGTH - 15)
            if (match($0, /[0-9]+ bytes smem/)) smem[name] = substr($0, RSTART, RLENGTH - 11)
            next
        }
        /^\.text\./ { name = $1; sub(/^\.text\./, "", name); sub(/:$/, "", name) }
        /^ +\/\*[0-9a-f]+\*\// {
            sub(/^ *\/\*[0-9a-f]+\*\/ */, "")
            op = $1 ~ /^@/ ? $2 : $1
            if (op ~ /^NOP/) next
            all[name]++
            if (op ~ /^IMAD\.(HI|WIDE)/) wide[name]++
            else if (op ~ /^IMAD(\.U32)?$/) mul[name]++
            else if (op ~ /^(MOV|IMAD\.MOV|HFMA2|CS2R|UMOV)/) mov[name]++
            else if (op ~ /^(LDG|STG)/) glob[name]++
            else if (op ~ /^(LDS|STS)/) sh[name]++
        }
        END {
            for (k in all) {
                words = flies = each = ""
                if (match(k, /(forward|inverse)ILi[0-9]+/)) {
                    s = substr(k, RSTART + 10, RLENGTH - 10) + 0
                    words = 2 ^ int((s + 1) / 2)
                    flies = s * words / 2
                    each = sprintf("%.1f", all[k] / flies)
                }
                printf "%s | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s |\n", k, regs[k], smem[k], all[k],
                    wide[k], mul[k], mov[k], glob[k], sh[k], words, flies, each
            }
        }' "$base.ptxas" "$base.sass" | sort | while read -r name rest; do
        echo "| $(c++filt "$name" | sed 's/(.*//; s/^void //') $rest"
    done
done
