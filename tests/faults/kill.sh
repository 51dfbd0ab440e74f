# kill -9 at KILLS (3; 1 with THOR_FULL=0) random moments of the program itself: kill.sh PROGRAM.  Toy keys, toy model.
#   keygen   a folder that then holds secret.key is a whole key set; every file in it is whole
#   encode   the container is the older one or the new one, whole
#   batch    every result there is whole and stays as it is; the same command once more finishes the rest
# Prints the counts in the form of the other test programs.
set -u
thor=$(realpath "$1") || exit 1
rounds=${KILLS:-$([ "${THOR_FULL:-1}" = 0 ] && echo 1 || echo 3)}
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
export OMP_WAIT_POLICY=passive
passed=0 failed=0
good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }
toy="--insecure-test-params toy13 --threads 1"

cat >"$tmp/config.json" <<'END'
{"hidden_size":32,"num_hidden_layers":1,"num_attention_heads":1,"intermediate_size":32,"vocab_size":60,
 "type_vocab_size":2,"max_position_embeddings":64}
END
"$thor" synth --config "$tmp/config.json" --out "$tmp/m" --texts 40 >/dev/null &&
    "$thor" encode --model "$tmp/m" --calibrate "$tmp/m/texts.tsv" --tokens 32 >/dev/null || { bad "no toy model"; rounds=0; }

moment() { # MILLISECONDS: a random part of them, in seconds
    awk -v m="$1" -v s="$(od -An -N4 -tu4 /dev/urandom)" 'BEGIN { srand(s); printf "%.3f", rand() * m / 1000 }'
}
span() { # COMMAND..: its milliseconds
    a=$(date +%s%N)
    "$@" >/dev/null 2>&1
    echo $((($(date +%s%N) - a) / 1000000 + 1))
}
killed() { # SECONDS COMMAND..: started and killed after so long
    s=$1
    shift
    "$@" >"$tmp/out" 2>/dev/null &
    pid=$!
    sleep "$s"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
}

[ "$rounds" = 0 ] || t=$(span "$thor" keygen --model "$tmp/m" $toy --out "$tmp/keys")
i=0
while [ $i -lt "$rounds" ]; do
    i=$((i + 1))
    rm -rf "$tmp/k"
    killed "$(moment "$t")" "$thor" keygen --model "$tmp/m" $toy --out "$tmp/k"
    ok=1
    for f in secret public eval; do
        [ ! -e "$tmp/k/$f.key" ] || "$thor" info "$tmp/k/$f.key" >/dev/null 2>&1 || ok=0
    done
    [ ! -e "$tmp/k/secret.key" ] || { [ -e "$tmp/k/public.key" ] && [ -e "$tmp/k/eval.key" ]; } || ok=0
    if [ $ok = 1 ]; then good; else bad "keygen, round $i: a torn file"; fi
done
for f in secret public eval; do
    [ "$rounds" = 0 ] || "$thor" info "$tmp/keys/$f.key" >/dev/null 2>&1 || bad "the older keys were lost"
done

[ "$rounds" = 0 ] || t=$(span "$thor" encode --model "$tmp/m")
i=0
while [ $i -lt "$rounds" ]; do
    i=$((i + 1))
    killed "$(moment "$t")" "$thor" encode --model "$tmp/m"
    if "$thor" info "$tmp/m/weights.thor" >/dev/null 2>&1; then good; else bad "encode, round $i: a torn container"; fi
done

# Rows in doubles: the files and the resuming are those of encrypted rows.
rows=300
{ printf 'label\ttext\n'; yes "$(printf '1\tgood bad good')" | head -n $rows; } >"$tmp/rows.tsv"
batch() { "$thor" batch --model "$tmp/m" --data "$tmp/rows.tsv" --approx --threads 1 --output-dir "$1"; }
results() { find "$tmp/r" -name result.json -exec cksum {} + | sort; }
[ "$rounds" = 0 ] || t=$(span batch "$tmp/all")
i=0 early=0
while [ $i -lt "$rounds" ]; do
    i=$((i + 1)) ok=1
    rm -rf "$tmp/r"
    killed "$(moment "$t")" "$thor" batch --model "$tmp/m" --data "$tmp/rows.tsv" --approx --threads 1 --output-dir "$tmp/r"
    mkdir -p "$tmp/r"
    for f in $(find "$tmp/r" -name result.json); do
        { grep -q '"pred"' "$f" && [ "$(tail -n 1 "$f")" = "}" ]; } || ok=0
    done
    results >"$tmp/before"
    batch "$tmp/r" >/dev/null 2>&1 || ok=0
    results >"$tmp/after"
    [ -z "$(comm -23 "$tmp/before" "$tmp/after")" ] && [ "$(wc -l <"$tmp/after")" = $rows ] || ok=0
    [ "$(wc -l <"$tmp/before")" -lt $rows ] && early=$((early + 1))
    if [ $ok = 1 ]; then good; else bad "batch, round $i: a torn or a lost result"; fi
done
echo "batch: $early of $rounds runs killed before their end"

echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
