# The command line from outside: cli.sh PROGRAM.  Each case prints nothing when it holds; the end prints the
# counts in the form of the other test programs.  THOR_FULL=0 leaves out the full-size sentence.
set -u
thor=$(realpath "$1") || exit 1
cd "$(dirname "$0")/.." || exit 1
model=data/sst2-tiny
tmp=$(mktemp -d) || exit 6
trap 'chmod -R u+w "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0

good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$tmp/out" "$tmp/err" | tail -n 20; }
skip() { skipped=$((skipped + 1)); echo "[  SKIPPED ] $*"; }

# refused CODE PATTERN args..: exit code CODE, nothing on stdout, one line "thor ..: .." with PATTERN on stderr
refused() {
    code=$1 pattern=$2
    shift 2
    "$thor" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    grep -v '^\*\*' "$tmp/err" >"$tmp/lines"
    if [ $got = "$code" ] && [ ! -s "$tmp/out" ] && [ "$(grep -c '^thor' "$tmp/lines")" = 1 ] &&
        tail -n 1 "$tmp/lines" | grep -q "^thor.*$pattern"; then good; else bad "exit $got, not $code ($pattern): thor $*"; fi
}

# works PATTERN args..: exit code 0 and PATTERN on stdout
works() {
    pattern=$1
    shift
    "$thor" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -q -e "$pattern" "$tmp/out"; then good; else bad "exit $got or no '$pattern': thor $*"; fi
}

# ---- help, version, unknown words
works '^thor [0-9]' --version
works 'Exit codes' --help
for c in forward generate batch embed keygen encode encrypt eval decrypt bench info synth; do
    works '^Examples' $c --help
    works 'Exit codes' $c --help
    refused 2 'unknown option' $c --nonsense
done
refused 2 'no command'
refused 2 'unknown command' frobnicate
refused 2 'a value is missing' forward --text
refused 2 'not a whole number' bench --threads two
refused 2 'no such measurement' bench everything
refused 2 'ends before it begins' forward --data x.tsv --index 5..2
refused 2 'nothing to' info
refused 2 'unexpected argument' info a b

# ---- parameters
works '"security_bits": 128' info --params --json
works '"log_n": 16' info --params --json
works '"log_n": 15' info --params n15 --json
works '117 keys, of split mode' info --params n12
refused 5 'insecure' info --params toy10
works '"security_bits": 0' info --insecure-test-params toy10 --json
grep -q WARNING "$tmp/err" && good || bad "no warning for a toy set"
refused 2 'not a toy set' info --insecure-test-params n16
refused 2 'unknown parameter set' info --params n99

# ---- output that cannot be written
if [ -w /dev/full ]; then
    "$thor" --help >/dev/full 2>"$tmp/err"
    [ $? = 6 ] && grep -q '^thor: standard output' "$tmp/err" && good || bad "full standard output"
else
    skip "a full standard output (no /dev/full)"
fi

# ---- devices
refused 2 'no such device' forward --text hello --device abacus
refused 2 'no such device' forward --text hello --device cuda:x
refused 2 'no such device' bench ntt --device cuda:-1
works '^cpu .*' info --devices
works 'tiers ref' info --devices
works '"cuda": \[' info --devices --json
if [ -e /dev/nvidia0 ]; then
    works '^cuda:0 ' info --devices
    refused 2 'cuda:99\|device 99' forward --text hello --device cuda:99
else
    works '^cuda  *none: ' info --devices
    refused 2 'CUDA' forward --text hello --device cuda
    refused 2 'CUDA' forward --text hello --device cuda:1
    refused 2 'CUDA' bench ntt --device cuda:0
fi
# the program with the CUDA back end over its emulation, where that was built beside it
real=$thor thor=$(dirname "$thor")/emu/thor
if [ -x "$thor" ]; then
    works '^cuda:0  *emulated device' info --devices
    works '"compute_capability": 9' info --devices --json
    refused 2 'no CUDA device 1' bench ntt --device cuda:1
    works '"name":"hmult","device":"cuda:0".*"limbs":48.*"launches":[1-9]' bench ops --insecure-test-params toy10 \
        --device cuda:0 --seconds 0 --json
    works '"name":"linear 768 x 768","device":"cuda:0".*"products":[1-9]' bench linear --insecure-test-params toy10 \
        --device cuda:0 --seconds 0 --json
    EMU_MEMORY_MIB=32 "$thor" bench bootstrap --insecure-test-params toy10 --device cuda >"$tmp/out" 2>"$tmp/err"
    [ $? = 7 ] && grep -q 'need [0-9]* MiB, device cuda:0 (emulated device) has [0-9]* MiB free.*--compact' "$tmp/err" &&
        good || bad "a plan larger than the device's memory"
else
    skip "the command line with a device ($thor is not built)"
fi
thor=$real
works 'evaluation keys [0-9]* MiB' info --plan "$model"

# ---- the search for nvcc: what is not there or does not work is passed over with a reason
search() { # PATTERN ARCHS NVCC..
    pattern=$1 archs=$2
    shift 2
    sh tests/toolkit.sh find "$tmp/toolkit" "$archs" '-std=c++17 -Xcompiler -fno-threadsafe-statics' cc "$@" >"$tmp/out" 2>"$tmp/err"
    grep -q "^$pattern" "$tmp/out" && [ "$(wc -l <"$tmp/out")" = 1 ] && [ ! -s "$tmp/err" ] && good || bad "nvcc: no '$pattern'"
}
mkdir -p "$tmp/fake/bin" "$tmp/fake/lib64"
: >"$tmp/fake/lib64/libcudart_static.a"
cat >"$tmp/fake/bin/nvcc" <<'END'
#!/bin/sh
[ "$1" = --list-gpu-code ] && echo sm_80 && exit
echo 'host_config.h: error: unsupported GNU version'
exit 1
END
chmod +x "$tmp/fake/bin/nvcc"
search 'none switched off' ''
search 'none no nvcc found' '80 90' "$tmp/no/nvcc"
search 'none /bin/true is broken or too old: it knows none of sm_80, sm_90' '80 90' /bin/true
search "none $tmp/fake/bin/nvcc does not build a small program: .*unsupported GNU version" '80 90' "$tmp/fake/bin/nvcc"
if [ -x /usr/local/cuda/bin/nvcc ]; then
    search '/usr/local/cuda/bin/nvcc .*/libcudart_static.a [0-9.]* .*90' '80 90' "$tmp/fake/bin/nvcc" /usr/local/cuda/bin/nvcc
else
    skip "a working nvcc after a broken one (none in /usr/local/cuda)"
fi

# ---- split mode: bytes by the formulas of split/wireformat.h at N = 2^12, C columns, 4096 / C tokens in a ciphertext
sent() { # MODEL TOKENS, and ciphertexts up and down forward, up and down backward
    "$thor" split bench --model "$1" --tokens "$2" --seconds 0 --json >"$tmp/out" 2>"$tmp/err" &&
        python3 - "$@" "$tmp/out" <<'END' && good || bad "split bench --model $1 --tokens $2"
import json, sys
pieces, r = [int(a) for a in sys.argv[3:7]], json.load(open(sys.argv[7]))
trips = 1 if 'x' in sys.argv[1] else 4
up, down = 4096 * 42 // 8, 4096 * (22 + 27) // 8
for way, (a, b) in (('forward', pieces[:2]), ('backward', pieces[2:])):
    assert r[way]['up'] == 64 * trips + a * up and r[way]['down'] == 64 * trips + b * down, way
    for maps in ('encoded', 'kept'):
        assert r[way][maps]['runs'] == 1 and r[way][maps]['median_ms'] > 0, way
    assert r[way]['kept_bytes'] > 0
assert abs(r['mb_a_token'] - 1e-6 * r['layers'] * (r['forward']['up'] + r['forward']['down']) / r['tokens']) < 1e-7
assert r['both_core_s'] > r['forward_core_s'] > 0 and r['kept_both_core_s'] > r['kept_forward_core_s'] > 0
assert 0.9999 <= r['correlation'] <= 1, r
END
}
sent 40x300 1 1 1 1 1      # C = 512
sent 1100x300 3 1 2 2 1    # C = 1024: 1100 columns are two ciphertexts
sent 40x300 129 20 4 4 20  # C = 32: two sets of 128 tokens
sent bert-tiny 1 4 4 4 4     # C = 512 but in O (128)
sent bert-tiny 16 5 6 6 5    # C = 256 but in O (128): 1 + 1 + 1 + 2 inputs, 2 + 1 + 2 + 1 outputs
works '^48x40 *3 ' split bench --insecure-test-params toy10 --model 48x40 --tokens 3,5 --seconds 0
[ "$(grep -c '^48x40' "$tmp/out")" = 2 ] && good || bad "not two lines for two numbers of tokens"
refused 2 'no shape of thor synth' split bench --model gpt9
refused 2 'no map as 768x768' split bench --model 768x
for n in 0 5000 1, 1,x ''; do refused 2 'numbers in 1..4096' split bench --model gpt2 --tokens "$n"; done
refused 2 'with --model' split bench --tokens 1
refused 2 'unknown action' split frobnicate

# ---- text
refused 2 'text' forward
refused 3 'empty' forward --text '' --approx
refused 3 'empty' forward --text '   ' --approx
refused 3 'UTF-8' forward --text "$(printf 'a\377b')" --approx
refused 3 'tokens' forward --text "$(yes word | head -n 300 | tr '\n' ' ')" --approx

# ---- tables
refused 3 'row' forward --data data/examples.tsv --index 99999 --approx
refused 3 'no-such' forward --data no-such.tsv --index 0 --approx
refused 2 'index' forward --data data/examples.tsv --approx
refused 2 'data' forward --index 0 --approx
printf 'a\tb\n1\t2\n' >"$tmp/odd.tsv"
refused 3 'no known header' forward --data "$tmp/odd.tsv" --index 0 --approx
works '"dataset_type": "mrpc"' forward --data "$tmp/odd.tsv" --index 1 --columns text=1,pair=2 --approx --json
refused 3 'no column' forward --data "$tmp/odd.tsv" --index 0 --columns text=c --approx
refused 2 'columns' forward --data "$tmp/odd.tsv" --index 0 --columns words=1 --approx
printf 'sentence\tlabel\na good film\tPositive\na bad one\tentailment\n' >"$tmp/named.tsv"
works '"label": 1' forward --data "$tmp/named.tsv" --index 0 --approx --json
refused 3 "none of the model's" forward --data "$tmp/named.tsv" --index 1 --approx
printf 'one line\nanother\n' >"$tmp/lines.txt"
works '"dataset_type": "text"' forward --data "$tmp/lines.txt" --index 1 --approx --json

# ---- many rows
refused 2 'output-dir is missing' batch --data data/examples.tsv
refused 2 'data is missing' batch --output-dir "$tmp/batch"
refused 3 'no row' batch --data data/examples.tsv --end-idx 40 --output-dir "$tmp/batch" --approx
works '40 done, 0 failed' batch --data data/examples.tsv --output-dir "$tmp/batch" --approx
works '"agreement": 1.0' batch --data data/examples.tsv --output-dir "$tmp/batch" --approx --json

# ---- what is refused leaves nothing: no folder, no file in it
left="$tmp/left"
mkdir "$left"
empty() { # CODE PATTERN args..
    refused "$@"
    [ -z "$(ls -A "$left")" ] && good || { bad "$(cd "$left" && find .) is left by: thor $*"; rm -rf "$left"; mkdir "$left"; }
}
empty 3 'empty' forward --text '' --output-dir "$left/f"
empty 5 'eval.key' forward --text 'a film' --keys "$tmp/none" --output-dir "$left/f"
empty 4 'none' batch --model "$tmp/none" --data data/examples.tsv --output-dir "$left/b"
empty 2 'compact' batch --compact --data data/examples.tsv --output-dir "$left/b"
empty 2 'cuda:x' batch --devices cpu,cuda:x --data data/examples.tsv --output-dir "$left/b"
empty 2 'CUDA' batch --devices cuda:99 --data data/examples.tsv --output-dir "$left/b"
empty 5 'public.key' encrypt --text a --text b --keys "$tmp/none" --out "$left/e"
empty 4 'none' keygen --model "$tmp/none" --out "$left/k"
empty 6 'none' keygen --out "$left/k" --server-out "$tmp/none/s"
empty 3 '1024 tokens' keygen --tokens 1024 --out "$left/k" --server-out "$left/s"

# ---- options that nothing would come of
for c in 'forward --text film' 'batch --data data/examples.tsv --output-dir none' "generate --prompt In" \
    "embed --model $model --text film"; do
    # shellcheck disable=SC2086 # words
    refused 2 '[-]-keys is not for --approx' $c --approx --keys keys
    # shellcheck disable=SC2086
    refused 2 '[-]-compact is not for --approx' $c --approx --compact
done
refused 2 '[-]-device is not for --plain' generate --prompt In --plain --device cuda

# ---- random models
works '2 layers of 128' synth --config bert-tiny --out "$tmp/synth" --texts 24
refused 2 'not overwritten' synth --config bert-tiny --out "$tmp/synth"
refused 2 'neither a file' synth --config bert-huge --out "$tmp/huge"
works 'llama, 2 layers of 128' synth --config llama-tiny --out "$tmp/llama" --texts 24
refused 2 'not overwritten' synth --config llama-tiny --out "$tmp/llama"
refused 2 'arch: not with' synth --config llama-tiny --arch bert --out "$tmp/llama"
works 'bootstraps:' encode --model "$tmp/synth/model.safetensors" --calibrate "$tmp/synth/texts.tsv" --tokens 64
works '"device": "approx"' forward --model "$tmp/synth/model.safetensors" --data "$tmp/synth/texts.tsv" --index 0 --approx --json

# ---- models
damage() { # what: a fresh copy of the model, to be damaged
    rm -rf "$tmp/m"
    mkdir "$tmp/m"
    cp "$model"/* "$tmp/m/"
    chmod u+w "$tmp"/m/*
}
refused 4 'no-such' forward --model no-such --text hello --approx
for f in config.json model.safetensors vocab.txt; do
    damage
    rm "$tmp/m/$f"
    refused 4 "$f" forward --model "$tmp/m" --text hello --approx
    damage
    size=$(stat -c %s "$model/$f")
    head -c $((size / 2)) "$model/$f" >"$tmp/m/$f"
    # a vocabulary may have fewer words than the embedding
    [ "$f" = vocab.txt ] || refused 4 "$f" forward --model "$tmp/m" --text hello --approx
    : >"$tmp/m/$f"
    refused 4 "$f" forward --model "$tmp/m" --text hello --approx
done
damage
sed -i 's/"hidden_size": 128/"hidden_size": 192/' "$tmp/m/config.json"
refused 4 '' forward --model "$tmp/m" --text hello --approx
damage
size=$(stat -c %s "$model/model.safetensors")
printf '\377\177' | dd of="$tmp/m/model.safetensors" bs=1 seek=$((size - 2)) conv=notrunc 2>/dev/null # a NaN in F16
refused 4 'model.safetensors' forward --model "$tmp/m" --text hello --approx

# ---- the polynomial pipeline in doubles, end to end
works '"device": "approx"' forward --text 'a charming and often affecting journey' --approx --json
works '"dataset_type": "text"' forward --text 'a charming and often affecting journey' --approx --json
works '"target_idx": 1' forward --data data/examples.tsv --index 1 --approx --json
works '"pred": 1' forward --text 'a charming and often affecting journey' --approx --json
works '' forward --data data/examples.tsv --index 0..2 --approx --output-dir "$tmp/results"
[ -s "$tmp/results/2/result.json" ] && good || bad "no result.json for row 2"
works '' forward --text 'good' --approx --output-dir "$tmp/one"
[ -s "$tmp/one/result.json" ] && good || bad "no result.json"
refused 6 '' forward --text 'good' --approx --output-dir /proc/thor

# ---- GPT-2
gpt=data/gpt2-tiny
works ', I will give' generate --prompt 'And the LORD said unto Moses' --tokens 5 --plain
works '"top1": 5,' generate --prompt 'And the LORD said unto Moses' --tokens 5 --approx --json
works '"top1": 8,' generate --data $gpt/held-back.txt --index 0..7 --layers 1..1 --approx --json
works '"perplexity": 21.96' generate --data $gpt/held-back.txt --plain --json
"$thor" generate --prompt 'In the' --tokens 9 --plain --temperature 1 --seed 5 >"$tmp/a" 2>/dev/null
works '' generate --prompt 'In the' --tokens 9 --plain --temperature 1 --seed 5
cmp -s "$tmp/a" "$tmp/out" && good || bad "another text from the same seed"
refused 2 'layers 2..3' generate --prompt 'In the' --approx --layers 2..3
refused 2 'temperature' generate --prompt 'In the' --plain --temperature hot
refused 3 '' generate --prompt "$(yes the | head -n 200 | tr '\n' ' ')" --approx
refused 4 'no GPT-2' generate --model $model --prompt 'In the' --approx
works '2. .*" me"' forward --model $gpt --text 'And the LORD said unto' --layers 0..1 --approx
works '"rank": 0, .*"label": " Moses", "score": 0.39' forward --model $gpt --text 'And the LORD said unto' --approx --json --top 1
next="--model $gpt --data $gpt/held-back.txt --end-idx 7 --approx --output-dir $tmp/next"
# shellcheck disable=SC2086
{
    works '"top5": 1.0,' batch $next --metric topk --layers 1..1 --json
    works '^8 of 8 rows have a result already' batch $next --layers 1..1
    grep -q '^top-1 .* 8 of 8 rows (100.00 %)' "$tmp/out" && good || bad "no table of next tokens"
    refused 3 'other layers' batch $next
}
refused 2 'there is topk' batch --metric f1 --data data/examples.tsv --output-dir "$tmp/none" --approx
refused 4 'no GPT-2' batch --metric topk --data data/examples.tsv --output-dir "$tmp/none" --approx
refused 2 'no GPT-2' batch --layers 0..1 --data data/examples.tsv --output-dir "$tmp/none" --approx
refused 2 'no GPT-2' forward --layers 0..1 --text 'a film' --approx
refused 2 'layers 1..3: give one span' forward --model $gpt --layers 1..3 --text 'In the' --approx

# ---- one sentence under 128-bit keys, every stage against the plain model
if [ "${THOR_FULL:-1}" = 0 ]; then
    skip "full-size sentence (THOR_FULL=0)"
else
    works '"security_bits": 128' forward --data data/examples.tsv --index 0 --compare --json
    cp "$tmp/out" "$tmp/full.json"
    field() { sed -n "s/.*\"$1\": \([-0-9.e+]*\)[,}].*/\1/p" "$tmp/full.json"; }
    [ "$(field pred)" = "$(field plain_pred)" ] && [ -n "$(field pred)" ] && good || bad "another prediction than the plain model's"
    awk -v e="$(field max_abs_error)" 'BEGIN { exit !(e != "" && e + 0 < 0.05) }' && good ||
        bad "logit error $(field max_abs_error), not below 0.05"
    grep -q '^  tensor .* bound$' "$tmp/err" && good || bad "no stage is compared"
    grep -q WRONG "$tmp/err" && bad "a stage is outside its bound" || good
    echo "full-size sentence: $(cat "$tmp/full.json")"
fi

echo "[  PASSED  ] $passed test(s)."
[ $skipped = 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above"
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
