# thor tune from outside: tune.sh PROGRAM.  Each case prints nothing when it holds; the end prints the counts in
# the form of the other test programs.
set -u
thor=$(realpath "$1") || exit 1
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$tmp/out" "$tmp/err" | tail -n 20; }

# refused CODE PATTERN args..: exit code CODE, nothing on stdout, PATTERN in the last line on stderr
refused() {
    code=$1 pattern=$2
    shift 2
    "$thor" tune "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ ! -s "$tmp/out" ] && tail -n 1 "$tmp/err" | grep -q "^thor.*$pattern"; then
        good
    else
        bad "exit $got, not $code ($pattern): thor tune $*"
    fi
}

# works PATTERN args..: exit code 0 and PATTERN on stdout
works() {
    pattern=$1
    shift
    "$thor" tune "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -q -e "$pattern" "$tmp/out"; then good; else bad "exit $got or no '$pattern': thor tune $*"; fi
}

# holds WHAT COMMAND..
holds() {
    what=$1
    shift
    if "$@" >"$tmp/out" 2>"$tmp/err"; then good; else bad "$what"; fi
}

# ---- help, unknown words
works 'Exit codes' --help
refused 2 'no action'
refused 2 'unknown action' frobnicate
for a in redact train federate merge cipher eval classify generate experiments; do
    works '^Examples' $a --help
    works 'Exit codes' $a --help
    refused 2 'unknown option' $a --nonsense
done

# ---- personal data
printf 'label\ttext\ttext2\n1\tAna came on 2024-01-31 , 5 mg\tcall 030 1234567\npositive\tnothing here\tat all\n' >"$tmp/t.tsv"
printf 'Ana\n' >"$tmp/names"
printf '# nobody\n' >"$tmp/nobody"
works '2 rows, 1 changed: 1 name, 1 date, 1 phone, 1 number' redact --data "$tmp/t.tsv" --names "$tmp/names" \
    --out "$tmp/o.jsonl" --report "$tmp/r.json"
printf '%s\n' '{"text":"[NAME] came on [DATE] , [NUMBER] mg","text2":"call [PHONE]","label":1}' \
    '{"text":"nothing here","text2":"at all","label":"positive"}' >"$tmp/want"
holds 'rows without personal data' cmp "$tmp/want" "$tmp/o.jsonl"
holds 'a report by row' grep -q '"line": 2' "$tmp/r.json"
holds 'no value in the report' sh -c "! grep -qE 'Ana|2024|1234567' '$tmp/r.json' '$tmp/o.jsonl'"
works '0 changed' redact --data "$tmp/o.jsonl" --names "$tmp/names" --out "$tmp/again.jsonl"
holds 'twice is once' cmp "$tmp/o.jsonl" "$tmp/again.jsonl"
works '1 changed: 1 name, 1 phone' redact --data "$tmp/t.tsv" --names "$tmp/names" --keep date,number --out "$tmp/k.jsonl"
works '1 changed' redact --data "$tmp/t.tsv" --out "$tmp/v.jsonl" --report "$tmp/v.json" --values
holds 'values for their owner alone' sh -c "grep -q 1234567 '$tmp/v.json' && [ \$(stat -c %a '$tmp/v.json') = 600 ]"
"$thor" tune redact --data "$tmp/t.tsv" --out "$tmp/v.jsonl" 2>&1 >/dev/null | grep -q 'give a list with --names' &&
    good || bad 'nothing is said of names that nobody looked for'
refused 2 'data is missing' redact --out "$tmp/x"
refused 2 'out is missing' redact --data "$tmp/t.tsv"
refused 2 'no such kind' redact --data "$tmp/t.tsv" --out "$tmp/x" --keep date,ages
refused 2 'goes with --report' redact --data "$tmp/t.tsv" --out "$tmp/x" --values
refused 3 'none.txt' redact --data "$tmp/t.tsv" --out "$tmp/x" --names "$tmp/none.txt"
refused 3 'has no names' redact --data "$tmp/t.tsv" --out "$tmp/x" --names "$tmp/nobody"
refused 3 'none.tsv' redact --data "$tmp/none.tsv" --out "$tmp/x"
refused 6 'nowhere' redact --data "$tmp/t.tsv" --out "$tmp/nowhere/x"
holds 'no file of what was refused' [ ! -e "$tmp/x" ]

# ---- evaluation: numbers of data/README.md, in doubles and on ciphertexts
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
works '"accuracy": 0.95,\|"accuracy": 0.95}' eval --model data/sst2-tiny --data data/examples.tsv --plain --json
head -n 5 data/examples.tsv >"$tmp/few.tsv"
works '^local .*before' eval --model data/sst2-tiny --data "$tmp/few.tsv"
grep -q ' rounds, 0.[1-9]' "$tmp/out" && good || bad 'no ciphertexts go up'
head -n 3 data/medical-questions.jsonl >"$tmp/questions"
works '"asked": 3,' eval --model data/gpt2-tiny --questions "$tmp/questions" --plain --json
refused 2 'nothing to evaluate' eval --model data/sst2-tiny
refused 2 'model is missing' eval --data data/examples.tsv
refused 4 'no language model' eval --model data/sst2-tiny --questions "$tmp/questions" --plain
refused 3 'none.jsonl' eval --model data/gpt2-tiny --questions "$tmp/none.jsonl" --plain
refused 4 'none' eval --model data/sst2-tiny --data data/examples.tsv --adapter "$tmp/none" --plain
sed '1d' "$tmp/few.tsv" | cut -f 2 >"$tmp/texts"
works '^text 3  is [a-z]*, score [01][.]' classify --model data/sst2-tiny --data "$tmp/texts" --plain
refused 2 'data is missing' classify --model data/sst2-tiny --plain
refused 4 'no classifier' classify --model data/gpt2-tiny --data "$tmp/texts" --plain

# ---- experiments: the encrypted one follows the plain one
head -n 61 data/reviews.tsv >"$tmp/reviews.tsv"
works '^encrypted and lora: losses of a step differ' experiments --data "$tmp/reviews.tsv" --out "$tmp/e" --steps 3 \
    --batch 12 --no-plots
python3 - "$tmp/e/experiments.json" >"$tmp/out" 2>"$tmp/err" <<'END' && good || bad 'experiments.json'
import json, sys
o = json.load(open(sys.argv[1]))
by = {e["name"]: e for e in o["experiments"]}
assert list(by) == ["head", "lora", "ffa", "dp", "dp2", "federated", "encrypted"], list(by)
assert o["train_rows"] == 48 and o["test_rows"] == 12
for e in by.values():
    assert abs(e["before"]["loss"] - 0.693147) < 1e-6 and e["before"]["accuracy"] == 0.5
    assert len(e["losses"]) == 3
for name in ("head", "lora", "ffa", "federated", "encrypted"):
    assert by[name]["after"]["loss"] < 0.6, name  # from log 2
    assert by[name]["privacy"] is None
assert 7.9 < by["dp"]["privacy"]["epsilon"] <= 8 and 1.9 < by["dp2"]["privacy"]["epsilon"] <= 2
assert by["dp2"]["privacy"]["sigma"] > by["dp"]["privacy"]["sigma"] > 0
assert by["lora"]["encrypted"] is None
sealed = by["encrypted"]["encrypted"]
assert 0 < sealed["loss_apart"] < 0.01 and sealed["up"] > 0 and sealed["down"] > 0 and sealed["rounds"] > 0
END
works 'run ' experiments --data "$tmp/reviews.tsv" --out "$tmp/e" --steps 2 --skip encrypted,federated,dp,dp2,ffa --no-plots
works '"experiments"' experiments --data "$tmp/reviews.tsv" --test "$tmp/few.tsv" --out "$tmp/e" --steps 3 --batch 12 \
    --skip head,ffa,dp,dp2,federated,encrypted --no-plots --json
cp "$tmp/out" "$tmp/trained"
works '"after"' eval --model data/sst2-tiny --adapter "$tmp/e/lora" --data "$tmp/few.tsv" --plain --json
python3 - "$tmp/trained" "$tmp/out" >"$tmp/err" 2>&1 <<'END' && good || bad 'an adapter is worth what it was when it was trained'
import json, sys
trained, judged = (json.load(open(f)) for f in sys.argv[1:])
after = trained["experiments"][0]["after"]
assert abs(after["loss"] - judged["after"]["loss"]) < 1e-5 and after["accuracy"] == judged["after"]["accuracy"]
assert abs(judged["after"]["loss"] - judged["before"]["loss"]) > 1e-3
END
works '^text 0  before [a-z]*, score .*  after [a-z]*, score ' classify --model data/sst2-tiny --adapter "$tmp/e/lora" \
    --data "$tmp/texts" --plain
refused 2 'larger one comes first' experiments --data "$tmp/reviews.tsv" --out "$tmp/e" --epsilons 2,8
refused 2 'no such experiment' experiments --data "$tmp/reviews.tsv" --out "$tmp/e" --skip luck
refused 2 'out is missing' experiments --data "$tmp/reviews.tsv"
refused 3 'is left to judge by' experiments --data "$tmp/few.tsv" --out "$tmp/e"
holds 'reviews.py makes reviews.tsv' sh -c 'python3 data/reviews.py | cmp - data/reviews.tsv'

# ---- training: whole, killed, stopped; the same adapter, byte for byte
rows=data/reviews.tsv
steps=$([ "${THOR_FULL:-1}" = 0 ] && echo 15 || echo 40) # fewer under the sanitizers
export OMP_WAIT_POLICY=passive
train() { "$thor" tune train --model data/sst2-tiny --data $rows --seed s "$@" >"$tmp/out" 2>"$tmp/err"; }
started() { # NAME STEPS: in the background, until its first step is there; its number is $!
    "$thor" tune train --model data/sst2-tiny --data $rows --seed s --plain --steps "$2" --every 5 --out "$tmp/$1" \
        >"$tmp/out" 2>"$tmp/err" </dev/null &
    while [ ! -s "$tmp/$1/log.jsonl" ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
}
same() { cmp "$tmp/$1/adapter_model.safetensors" "$tmp/$2/adapter_model.safetensors"; }
loss() { sed -n 's/.*"loss": \([0-9.]*\),.*/\1/p' "$tmp/$1/log.jsonl"; }
holds 'a training' train --plain --steps "$steps" --every 5 --out "$tmp/whole"
started killed "$steps"
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
holds 'it goes on after kill -9' train --plain --steps "$steps" --every 5 --out "$tmp/killed"
holds 'to the same adapter' same whole killed
holds 'each step once in the log' sh -c "[ \$(grep -c step '$tmp/killed/log.jsonl') = $steps ]"
holds 'its files are for their owner alone' sh -c "[ \"\$(stat -c %a '$tmp/whole/log.jsonl' '$tmp/whole' | tr '\n' ' ')\" = '600 700 ' ]"
started stopped 400000
kill -TERM $! 2>/dev/null
wait $!
got=$?
[ $got = 9 ] && [ -s "$tmp/stopped/adapter_config.json" ] && good || bad "exit $got, not 9, or no adapter, when stopped"
holds 'encrypted' train --local --steps 6 --out "$tmp/local"
holds 'plain' train --plain --steps 6 --out "$tmp/plain"
loss local >"$tmp/a"
loss plain >"$tmp/b"
holds 'losses within 1 %' sh -c "paste '$tmp/a' '$tmp/b' | awk '{ d = \$1 - \$2; if (d * d > 1e-4 * \$2 * \$2) bad = 1 } END { exit bad || NR != 6 }'"
works 'epsilon [78][.0-9]* of 8 at delta 0.0001' train --plain --model data/sst2-tiny --data $rows --steps "$steps" --batch 64 --ffa \
    --epsilon 8 --delta 1e-4 --out "$tmp/private"
refused 2 'other options' train --plain --model data/sst2-tiny --data $rows --seed s --steps "$steps" --every 5 --lr 1e-2 \
    --out "$tmp/whole"
refused 2 'data is missing' train --model data/sst2-tiny --out "$tmp/x"
refused 2 'not a number' train --model data/sst2-tiny --data $rows --out "$tmp/x" --lr fast
refused 2 'no map gate' train --plain --model data/sst2-tiny --data $rows --out "$tmp/x" --maps q,gate
refused 2 'below 1 / 600' train --plain --model data/sst2-tiny --data $rows --out "$tmp/x" --epsilon 8 --delta 0.01
refused 3 'no such file\|cannot' train --plain --model data/sst2-tiny --data "$tmp/none" --out "$tmp/x"
refused 4 '' train --plain --model "$tmp/none" --data $rows --out "$tmp/x"

# ---- other weights than those that it was trained on: one value of the embeddings is another
cp -r data/sst2-tiny "$tmp/other"
printf '\001' | dd of="$tmp/other/model.safetensors" bs=1 seek=$(($(stat -c %s "$tmp/other/model.safetensors") - 4000)) conv=notrunc 2>/dev/null
cmp -s "$tmp/other/model.safetensors" data/sst2-tiny/model.safetensors && bad 'weights that are others'
refused 2 'on other weights than those of --model; give the same model' train --plain --model "$tmp/other" --data $rows --seed s \
    --steps "$steps" --every 5 --out "$tmp/whole"
refused 2 'trained on other weights' merge --model "$tmp/other" --adapter "$tmp/whole" --out "$tmp/x"
holds 'nothing is made of it' [ ! -e "$tmp/x" ]

# ---- the classifier of a decoder: gpt2-tiny with a head of zeros
mkdir "$tmp/score" && cp data/gpt2-tiny/vocab.json data/gpt2-tiny/merges.txt "$tmp/score"
python3 - "$tmp/score" >"$tmp/err" 2>&1 <<'END' && good || bad 'a folder of a GPT2ForSequenceClassification'
import json, struct, sys
config = json.load(open("data/gpt2-tiny/config.json"))
config.update(architectures=["GPT2ForSequenceClassification"], id2label={"0": "negative", "1": "positive"})
json.dump(config, open(sys.argv[1] + "/config.json", "w"))
raw = open("data/gpt2-tiny/model.safetensors", "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
header, end = json.loads(raw[8 : 8 + n]), len(raw) - 8 - n
header["score.weight"] = {"dtype": "F32", "shape": [2, config["n_embd"]], "data_offsets": [end, end + 8 * config["n_embd"]]}
text = json.dumps(header).encode()
open(sys.argv[1] + "/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + raw[8 + n :] + bytes(8 * config["n_embd"]))
END
holds 'a decoder trains as a classifier' "$thor" tune train --plain --model "$tmp/score" --data "$tmp/reviews.tsv" --seed s \
    --steps 30 --lr 3e-3 --out "$tmp/scored"
works '"accuracy"' eval --plain --model "$tmp/score" --adapter "$tmp/scored" --data "$tmp/reviews.tsv" --json
python3 - "$tmp/out" "$tmp/scored" >"$tmp/err" 2>&1 <<'END' && good || bad 'it learns, and its head has weights alone'
import json, struct, sys
o = json.load(open(sys.argv[1]))
assert abs(o["before"]["loss"] - 0.693147) < 1e-6 and o["after"]["loss"] < 0.6, o
raw = open(sys.argv[2] + "/adapter_model.safetensors", "rb").read()
names = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
assert "base_model.model.score.weight" in names and "base_model.model.score.bias" not in names
config = json.load(open(sys.argv[2] + "/adapter_config.json"))
assert config["task_type"] == "SEQ_CLS" and config["modules_to_save"] == ["score"]
END
cp "$tmp/out" "$tmp/trained"
works 'rank 8 merged' merge --model "$tmp/score" --adapter "$tmp/scored" --out "$tmp/score-merged"
works '"accuracy"' eval --plain --model "$tmp/score-merged" --data "$tmp/reviews.tsv" --json
cp "$tmp/out" "$tmp/again"
holds 'merged it is worth the same' python3 -c "import json, sys; a, b = (json.load(open(f)) for f in sys.argv[1:])
assert abs(a['after']['loss'] - b['before']['loss']) < 1e-5" "$tmp/trained" "$tmp/again"
refused 4 'no language model' eval --model "$tmp/score" --questions "$tmp/questions" --plain

# ---- a text before and after an adapter: a classifier's scores, how GPT-2 and a Llama go on
works '^positive  *0.5000  *0.[5-9]' generate --plain --model "$tmp/score" --adapter "$tmp/scored" --compare --prompt 'a fine film'
works '"label": "' generate --model "$tmp/score" --adapter "$tmp/scored" --prompt 'a fine film' --plain --json
"$thor" generate --model data/gpt2-tiny --prompt 'And the LORD said' --plain --tokens 6 2>/dev/null >"$tmp/want"
works 'And the LORD said' generate --model data/gpt2-tiny --prompt 'And the LORD said' --service plain --tokens 6
cmp -s "$tmp/want" "$tmp/out" && good || bad 'other tokens than those of thor generate'
works '"where": "local"' generate --model data/gpt2-tiny --prompt 'And the LORD said' --service encrypted --tokens 3 --json
grep -q '"text": " unto Moses,", .*"up": [1-9]' "$tmp/out" && good || bad 'on ciphertexts it says the same'
holds 'an adapter of a language model' "$thor" tune train --plain --model data/gpt2-tiny --data "$tmp/reviews.tsv" --seed s --steps 20 \
    --lr 3e-3 --maps all --out "$tmp/speech"
sampled() {
    works '^before  And the LORD' generate --plain --model data/gpt2-tiny --adapter "$tmp/speech" --compare --prompt 'And the LORD' \
        --temperature 0.8 --top-k 40 --tokens 12 --seed "$1"
}
sampled 3
grep -q '^after   And the LORD' "$tmp/out" && good || bad 'no text after'
cp "$tmp/out" "$tmp/want"
holds 'the adapter changes it' sh -c "[ \"\$(sed -n 's/^before  //p' '$tmp/want')\" != \"\$(sed -n 's/^after   //p' '$tmp/want')\" ]"
sampled 3
cmp -s "$tmp/want" "$tmp/out" && good || bad 'the same seed, another text'
sampled 4
cmp -s "$tmp/want" "$tmp/out" && bad 'another seed, the same text' || good
"$thor" synth --config llama-tiny --out "$tmp/llama" >/dev/null 2>&1
holds 'an adapter of a Llama' "$thor" tune train --plain --model "$tmp/llama" --data "$tmp/llama/texts.tsv" --steps 3 --maps q,gate \
    --out "$tmp/llama-tuned"
works '"same_tokens": [0-5],' generate --plain --model "$tmp/llama" --adapter "$tmp/llama-tuned" --compare --prompt 'bada ke' --tokens 5 --json
refused 2 'wants --adapter' generate --model data/gpt2-tiny --prompt x --compare
refused 2 'is plain or encrypted' generate --model data/gpt2-tiny --prompt x --service cloud
refused 2 'exclude each other' generate --model data/gpt2-tiny --prompt x --service plain --local
refused 2 'prompt is missing' generate --model data/gpt2-tiny
refused 2 'not a number' generate --model data/gpt2-tiny --prompt x --temperature hot
refused 3 'this model takes' generate --plain --model data/gpt2-tiny --prompt x --tokens 1000

# ---- clients, merging
works 'average of 2 adapters over 1200 rows' federate --model data/sst2-tiny --adapter "$tmp/whole" --adapter "$tmp/local" \
    --out "$tmp/both"
holds 'the average of one with itself' "$thor" tune federate --model data/sst2-tiny --adapter "$tmp/whole" --adapter "$tmp/killed" \
    --rows 1 --rows 3 --out "$tmp/self"
holds 'is itself' same whole self
refused 2 'at least twice' federate --model data/sst2-tiny --adapter "$tmp/whole" --out "$tmp/x"
refused 2 'A frozen' federate --model data/sst2-tiny --adapter "$tmp/whole" --adapter "$tmp/private" --out "$tmp/x" --rows 1 --rows 1
works 'rank 8 merged' merge --model data/sst2-tiny --adapter "$tmp/whole" --out "$tmp/merged"
holds 'a model of its own' "$thor" tune eval --plain --model "$tmp/merged" --data data/examples.tsv
refused 2 'not overwritten' merge --model data/sst2-tiny --adapter "$tmp/whole" --out "$tmp/merged"
refused 4 '' merge --model data/sst2-tiny --adapter tests/data/peft/bert/adapter --out "$tmp/x"

# ---- the token cipher
works 'cipher of 30522 words' cipher --make --key "$tmp/cipher" --model data/sst2-tiny
holds 'a cipher for its owner alone' sh -c "[ \$(stat -c %a '$tmp/cipher') = 600 ]"
works '40 rows' cipher --key "$tmp/cipher" --model data/sst2-tiny --data data/examples.tsv --out "$tmp/ids"
holds 'a row of numbers' sh -c "head -n 1 '$tmp/ids' | grep -q '^{\"ids\":\[[0-9,]*\],\"label\":1}$'"
"$thor" tune cipher --help | grep -q 'does not protect' && good || bad 'its help does not say what it is worth'
refused 6 'never replaced' cipher --make --key "$tmp/cipher" --model data/sst2-tiny
refused 5 'the model has 1024' cipher --key "$tmp/cipher" --model data/gpt2-tiny --data data/examples.tsv --out "$tmp/x"
refused 2 'go together' cipher --key "$tmp/cipher" --model data/sst2-tiny --data data/examples.tsv
refused 2 'nothing to do' cipher --key "$tmp/cipher" --model data/sst2-tiny

echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
