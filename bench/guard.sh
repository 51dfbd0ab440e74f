# Two commits against each other: guard.sh BASE TIP WHAT ROUNDS LIMIT FOLDER.
# Both are built in worktrees of their own and measured in turns, so that the weather of the machine falls on both;
# prints TIP/BASE of the fast end (10 %) of each line of `thor bench WHAT`, and fails when the median over the
# rounds is above LIMIT for one.
set -eu
base=$1 tip=$2 what=$3 rounds=$4 limit=$5 folder=$6
[ -n "$base" ] || { echo "bench-guard: name a commit: make bench-guard BASE=COMMIT"; exit 2; }
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
trap 'for side in base tip; do git worktree remove --force "$folder/$side" 2>/dev/null; done' EXIT
for side in base tip; do
    commit=$base
    [ $side = base ] || commit=$tip
    git worktree remove --force "$folder/$side" 2>/dev/null || true
    git worktree add -q --detach "$folder/$side" "$commit" || exit 2
    echo "bench-guard: building $side, $(git -C "$folder/$side" log -1 --format='%h %s')"
    make -C "$folder/$side" --no-print-directory -s "-j$(nproc)" BUILD=build CUDA=0 build/thor
    : >"$folder/$side.json"
done
round=1
while [ "$round" -le "$rounds" ]; do
    for side in base tip; do # every second round the other way round
        [ $((round % 2)) = 1 ] || { if [ $side = base ]; then side=tip; else side=base; fi; }
        # shellcheck disable=SC2086
        "$folder/$side/build/thor" bench $what --seconds 1 --json | sed "s/^{/{\"round\":$round,/" >>"$folder/$side.json"
    done
    round=$((round + 1))
done
table() {
    sed -n 's/^{"round":\([0-9]*\),.*"name":"\([^"]*\)".*"limbs":\([0-9]*\),.*"p10_ms":\([0-9.e+-]*\),.*/\1|\2, \3 limbs|\4/p' "$1"
}
table "$folder/base.json" >"$folder/base.txt"
table "$folder/tip.json" >"$folder/tip.txt"
awk -F '|' -v limit="$limit" '
    function sorted(name, n, v,    i, j, t) { # v[1..n] ascending
        for (i = 1; i <= n; i++) v[i] = ratio[name, i]
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    }
    NR == FNR { base[$1, $2] = $3; seen[$2]; next }
    ($1, $2) in base {
        if (!count[$2]++) order[++lines] = $2
        ratio[$2, count[$2]] = $3 / base[$1, $2]
        if (!($2 in ms)) ms[$2] = $3
    }
    !($2 in seen) && !fresh[$2]++ { print "only in the tip: " $2 }
    END {
        printf "%-34s %12s %8s %8s %8s\n", "what", "tip p10, ms", "median", "lowest", "highest"
        for (i = 1; i <= lines; i++) {
            n = count[order[i]]
            sorted(order[i], n, v)
            m = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
            slow = m > limit
            bad += slow
            printf "%-34s %12.4f %8.3f %8.3f %8.3f%s\n", order[i], ms[order[i]], m, v[1], v[n], slow ? "  SLOWER" : ""
        }
        if (!lines) { print "bench-guard: the two have no line in common"; exit 1 }
        printf "bench-guard: %d of %d lines above %.2f\n", bad, lines, limit
        exit bad > 0
    }' "$folder/base.txt" "$folder/tip.txt"
