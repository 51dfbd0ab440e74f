# Client and server apart, at a toy ring: client.sh BUILD.  What the server's program is made of, what crosses between
# the two, refusals, interruptions, and the seven programs of the benchmarking harness.  Each case prints nothing when
# it holds; the end prints the counts in the form of the other test programs.
set -u
build=$(realpath "$1") || exit 1
cd "$(dirname "$0")/.." || exit 1
top=$PWD
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
toy="--insecure-test-params toy12"
n=4096

good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$tmp/out" "$tmp/err" | tail -n 20; }
holds() { # what command..: the command succeeds
    what=$1
    shift
    if "$@" >"$tmp/out" 2>"$tmp/err"; then good; else bad "$what"; fi
}
fails() { what=$1; shift; if "$@" >"$tmp/out" 2>"$tmp/err"; then bad "$what"; else good; fi; }

# refused CODE PATTERN program args..: that exit code, nothing on stdout, PATTERN in the last line of stderr
refused() {
    code=$1 pattern=$2 program=$3
    shift 3
    "$build/$program" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ ! -s "$tmp/out" ] && tail -n 1 "$tmp/err" | grep -q "^thor.*$pattern"; then good
    else bad "exit $got, not $code ($pattern): $program $*"; fi
}

# works PATTERN program args..: exit code 0 and PATTERN on stdout
works() {
    pattern=$1 program=$2
    shift 2
    "$build/$program" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -q -e "$pattern" "$tmp/out"; then good; else bad "exit $got or no '$pattern': $program $*"; fi
}

size() { stat -c %s "$1"; }
sized() { [ "$(size "$1")" = "$2" ] && good || bad "$1 has $(size "$1") bytes, not $2"; }
files() { find "$1" -mindepth 1 2>/dev/null | wc -l; }

# ---- no code for secrets in the server's program, and none in the library it is linked from
secret='[tTdDbBuUrRwWvV] _*(ckks_(secret_|decrypt|encrypt_|keys_new|keys_generate|public_new|rng_(ternary|sparse|cbd21))'
secret="$secret"'|bert_encrypt_|split_(caller|call|local)_|keyset_|session_|cmd_(decrypt|encrypt|keygen|forward)|sodium_(malloc|mlock))'
nm "$build/thor" >"$tmp/thor.nm" 2>"$tmp/err" && nm "$build/thor-eval" >"$tmp/eval.nm" &&
    nm "$build/libthor-server.a" >"$tmp/lib.nm" 2>"$tmp/err" && good || bad "nm"
for word in ckks_secret_load ckks_secret_new ckks_decrypt ckks_encrypt_secret ckks_keys_generate bert_encrypt_input \
    keyset_load_secret cmd_decrypt split_caller_open; do # the pattern is alive: thor itself has them all
    grep -E "$secret" "$tmp/thor.nm" | grep -q "$word" && good || bad "$word is not seen in thor"
done
fails "thor-eval has code for secrets" grep -E "$secret" "$tmp/eval.nm"
fails "libthor-server.a has code for secrets" grep -E "$secret" "$tmp/lib.nm"
grep -q bert_server_forward "$tmp/eval.nm" && grep -q ' T cmd_serve$' "$tmp/eval.nm" && good || bad "thor-eval computes nothing"

# ---- a model, its container, keys for its plan in two halves
cat >"$tmp/tiny.json" <<'END'
{"model_type": "bert", "hidden_act": "gelu", "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 3,
 "intermediate_size": 80, "vocab_size": 500, "type_vocab_size": 2, "max_position_embeddings": 64,
 "layer_norm_eps": 1e-12}
END
m=$tmp/m w=$tmp/w keys=$tmp/keys srv=$tmp/srv
works . thor synth --config "$tmp/tiny.json" --out "$m"
works bootstraps thor encode --model "$m" --calibrate "$m/texts.tsv" --tokens 32 --out "$w"
# shellcheck disable=SC2086
works 'secret.key .*keep it' thor keygen --out "$keys" --server-out "$srv" --weights "$w" $toy
[ "$(ls "$keys" "$srv" | tr '\n' ' ')" = "$keys: public.key secret.key  $srv: eval.key public.key " ] && good ||
    bad "the halves: $(ls "$keys" "$srv")"
[ "$(stat -c %a "$keys/secret.key")" = 600 ] && good || bad "rights of secret.key"
cmp -s "$keys/public.key" "$srv/public.key" && good || bad "two public keys"
# shellcheck disable=SC2086
refused 6 'never overwritten' thor keygen --out "$keys" --server-out "$tmp/other" --weights "$w" $toy

# ---- keys are never replaced, whatever writes; folders are the user's; one keygen a folder
[ "$(stat -c %a "$keys")$(stat -c %a "$srv")" = 700700 ] && good || bad "rights of the key folders"
cp -p "$keys/secret.key" "$tmp/secret.copy"
cp -p "$keys/secret.key" "$tmp/request name.ct"
# shellcheck disable=SC2086
{
    (umask 000 && "$build/thor" keygen --out "$tmp/open" --weights "$w" $toy) >"$tmp/out" 2>"$tmp/err" && good || bad "keygen, umask 000"
    [ "$(stat -c %a "$tmp/open")" = 700 ] && good || bad "a key folder under umask 000"
    refused 6 'a secret key and is not replaced' thor encrypt --text a --keys "$keys" --model "$m" --out "$keys/secret.key" $toy
    refused 6 'a secret key and is not replaced' thor encrypt --text a --keys "$keys" --model "$m" --out "$tmp/request name.ct" $toy
    refused 6 'keys and is not replaced' thor encrypt --text a --keys "$keys" --model "$m" --out "$srv/public.key" $toy
    refused 2 'no weight container' thor encode --model "$m" --out "$srv/eval.key"
    refused 6 'a secret key and is not replaced' thor-eval --in "$tmp/none" --out "$keys/secret.key" --keys "$srv" --weights "$w" $toy
    cmp -s "$keys/secret.key" "$tmp/secret.copy" && good || bad "the secret key is another"
    # another pair's public key beside the secret
    mkdir "$tmp/mixed" && cp -p "$keys/secret.key" "$tmp/open/public.key" "$tmp/mixed/"
    refused 5 'belongs to another key set' thor encrypt --text a --keys "$tmp/mixed" --model "$m" --out "$tmp/x.ct" $toy
    # two at once: one wins, the other says so
    for i in 1 2; do
        ("$build/thor" keygen --out "$tmp/race" --weights "$w" $toy >"$tmp/race.$i" 2>&1; echo "exit $?" >>"$tmp/race.$i") &
    done
    wait
    [ "$(cat "$tmp/race.1" "$tmp/race.2" | grep -c '^exit 0')" = 1 ] &&
        [ "$(cat "$tmp/race.1" "$tmp/race.2" | grep -c '^exit 6')" = 1 ] && good || bad "two keygens: $(tail -n 1 "$tmp/race.1" "$tmp/race.2")"
    works . thor info "$tmp/race/secret.key"
    # what an interrupted keygen left is told apart
    mkdir "$tmp/rest" && cp "$srv/eval.key" "$tmp/rest/"
    refused 6 'remove it if a keygen that was interrupted left it' thor keygen --out "$tmp/rest" --weights "$w" $toy
}
# sizes by the format: header 64, 64 an entry, 8 a checksum; 2 bits or 4 bytes a coefficient
sized "$keys/secret.key" $((64 + 64 + 8 + n / 4 + 8))
sized "$keys/public.key" $((64 + 64 + 8 + 28 * n * 4 + 8))

# ---- texts of 5 and 16 tokens look alike
words=$(sed -n '6,30p' "$m/vocab.txt" | tr '\n' ' ')
long=$(echo "$words" | cut -d' ' -f1-14) short=$(echo "$words" | cut -d' ' -f2-4)
printf 'label\ttext\n1\t%s\n0\t%s\n' "$short" "$long" >"$tmp/t.tsv"
# shellcheck disable=SC2086
works '"tokens": 32, "ciphertexts": 2' thor encrypt --data "$tmp/t.tsv" --index 0..1 --keys "$keys" --model "$m" \
    --out "$tmp/up" --json $toy
[ "$(size "$tmp/up/0.ct")" = "$(size "$tmp/up/1.ct")" ] && good || bad "the size tells the length"
cmp -s -n 64 "$tmp/up/0.ct" "$tmp/up/1.ct" && good || bad "the header tells the length"
# entries: level, parts, rows, role, tokens, model; then comes the ticket, and the second entry without a note
for at in 64:48 128:64; do
    cmp -s -i "${at%:*}" -n "${at#*:}" "$tmp/up/0.ct" "$tmp/up/1.ct" && good || bad "the table tells the length"
done
fails "equal requests" cmp -s "$tmp/up/0.ct" "$tmp/up/1.ct"
# shellcheck disable=SC2086
works 'MiB: 2 ciphertexts' thor encrypt --text "$short" --with-secret --keys "$keys" --model "$m" --out "$tmp/s.ct" $toy
sized "$tmp/s.ct" "$(size "$tmp/up/0.ct")"

works 'request of up to 32 tokens' thor info "$tmp/up/1.ct"

# ---- compute and decrypt; the plain model's label
# shellcheck disable=SC2086
works '"bytes_in"' thor-eval --in "$tmp/up" --out "$tmp/down" --keys "$srv" --weights "$w" --json $toy
full=$(sed -n 's/.*"peak_rss_mib": \([0-9]*\).*/\1/p' "$tmp/out" | head -n 1)
sized "$tmp/down/0.ct" $((64 + 64 + 8 + 2 * (2 * n * 4 + 8)))
works '"plain_pred"' thor forward --data "$tmp/t.tsv" --index 0..1 --approx --model "$m" --json
plain=$(sed -n 's/.*"plain_pred": \([0-9]*\).*/\1/p' "$tmp/out")
# shellcheck disable=SC2086
works '"pred"' thor decrypt --in "$tmp/down" --keys "$keys" --model "$m" --json $toy
[ "$(sed -n 's/.*"pred": \([0-9]*\).*/\1/p' "$tmp/out")" = "$plain" ] && good || bad "another label than the plain model's"
grep -q 'logit\|private' "$tmp/out" && bad "raw values without --private" || good
[ "$(grep -cE '"score": (0|1)\.[0-9]{1,2}\}$' "$tmp/out")" = 2 ] && good || bad "a score that is not rounded"
# shellcheck disable=SC2086
works 'private_logits' thor decrypt --in "$tmp/down/0.ct" --keys "$keys" --model "$m" --private --json \
    --request "$tmp/up/0.ct" $toy
# shellcheck disable=SC2086
works 'passed over' thor-eval --in "$tmp/up" --out "$tmp/down" --keys "$srv" --weights "$w" $toy
# shellcheck disable=SC2086
works 'answer to' thor eval --in "$tmp/up/0.ct" --out "$tmp/again.ct" --keys "$srv" --model "$m" $toy
cmp -s "$tmp/again.ct" "$tmp/down/0.ct" && good || bad "thor eval and thor-eval, folder and container: other bits"

# ---- compact: the same bits out of less memory
# shellcheck disable=SC2086
works '"compact": true' thor-eval --in "$tmp/up/0.ct" --out "$tmp/compact.ct" --keys "$srv" --weights "$w" --compact --json $toy
lean=$(sed -n 's/.*"peak_rss_mib": \([0-9]*\).*/\1/p' "$tmp/out")
cmp -s "$tmp/compact.ct" "$tmp/down/0.ct" && good || bad "--compact: other bits"
if nm "$build/thor-eval" | grep -q __asan; then :; else # the sanitizer's own memory hides it
    [ "$lean" -lt $((full * 2 / 3)) ] && good || bad "--compact takes $lean MiB, $full without"
fi
# shellcheck disable=SC2086
refused 2 'with --keys' thor forward --text "$short" --model "$m" --compact $toy

# ---- refusals of the server, before keys are loaded
serve() { # code pattern request [options]: refused, and no answer
    code=$1 pattern=$2 request=$3
    shift 3
    # shellcheck disable=SC2086
    refused "$code" "$pattern" thor-eval --in "$request" --out "$tmp/no.ct" --keys "$srv" --weights "$w" $toy "$@"
    [ -e "$tmp/no.ct" ] && bad "an answer to $request" || good
    rm -f "$tmp/no.ct"
}
flip() { # FILE AT: every bit of that byte, whatever it is
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
serve 6 'No such file' "$tmp/none.ct"
serve 5 'is an answer, not a request' "$tmp/down/0.ct"
serve 5 'holds public key, not a request' "$srv/public.key"
: >"$tmp/x.ct"
serve 5 'too short' "$tmp/x.ct"
head -c 1000 "$tmp/up/0.ct" >"$tmp/x.ct"
serve 5 'too long' "$tmp/x.ct"
{ cat "$tmp/up/0.ct"; printf x; } >"$tmp/x.ct"
serve 5 'too long' "$tmp/x.ct"
for at in 20 40 90 110 130 140; do # set, key pair, level, model, check of the header
    cp "$tmp/up/0.ct" "$tmp/x.ct"
    flip "$tmp/x.ct" $at
    serve 5 'damaged' "$tmp/x.ct"
done
cp "$tmp/up/0.ct" "$tmp/x.ct"
printf '\377\377\377\377' | dd of="$tmp/x.ct" bs=1 seek=5000 conv=notrunc 2>/dev/null
serve 5 'a checksum' "$tmp/x.ct"
refused 5 'made for parameters toy12, this run uses toy13' thor-eval --in "$tmp/up/0.ct" --out "$tmp/no.ct" --keys "$srv" \
    --weights "$w" --insecure-test-params toy13
refused 5 'insecure' thor decrypt --in "$tmp/down/0.ct" --keys "$keys" --model "$m"
works . thor synth --config "$tmp/tiny.json" --out "$tmp/m2" --seed 2
works bootstraps thor encode --model "$tmp/m2" --calibrate "$tmp/m2/texts.tsv" --tokens 32 --out "$tmp/w2"
# shellcheck disable=SC2086
works 'ciphertexts' thor encrypt --text "$short" --keys "$keys" --model "$tmp/m2" --out "$tmp/m2.ct" $toy
serve 5 'made for another model' "$tmp/m2.ct"
# shellcheck disable=SC2086
refused 5 'made for another model' thor decrypt --in "$tmp/down/0.ct" --keys "$keys" --model "$tmp/m2" $toy
# shellcheck disable=SC2086
refused 5 'answers another request' thor decrypt --in "$tmp/down/0.ct" --keys "$keys" --model "$m" --request "$tmp/up/1.ct" $toy
# shellcheck disable=SC2086
refused 5 'secret.key: is not there' thor decrypt --in "$tmp/down/0.ct" --keys "$srv" --model "$m" $toy
# shellcheck disable=SC2086
refused 3 'a bucket of 32' thor encrypt --text "$words $words" --keys "$keys" --model "$m" --out "$tmp/no.ct" $toy
chmod 640 "$keys/secret.key"
# shellcheck disable=SC2086
refused 5 'chmod 600' thor decrypt --in "$tmp/down/0.ct" --keys "$keys" --model "$m" $toy
chmod 600 "$keys/secret.key"

# shellcheck disable=SC2086
refused 2 'name another' thor-eval --in "$tmp/up/0.ct" --out "$tmp/up/0.ct" --keys "$srv" --weights "$w" $toy
# one bad request in a folder: the good one is answered
mkdir "$tmp/mix"
cp "$tmp/m2.ct" "$tmp/mix/1.ct"
cp "$tmp/up/0.ct" "$tmp/mix/2.ct"
# shellcheck disable=SC2086
"$build/thor-eval" --in "$tmp/mix" --out "$tmp/mixed" --keys "$srv" --weights "$w" $toy >"$tmp/out" 2>"$tmp/err"
[ $? = 5 ] && grep -q '^refused: .*1.ct: made for another model' "$tmp/err" && cmp -s "$tmp/mixed/2.ct" "$tmp/down/0.ct" &&
    [ ! -e "$tmp/mixed/1.ct" ] && good || bad "a bad request among good ones"

# ---- answers are bound to their requests, and a folder's bad entries do not stop the good ones
run() { # program args..: its exit code into $got
    program=$1
    shift
    # shellcheck disable=SC2086
    "$build/$program" "$@" $toy >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
}
only() { # CODE LINES PATTERN what: that exit code, so many lines "refused: " with the pattern, and one on stdout
    [ $got = "$1" ] && [ "$(grep -c "^refused: .*$3" "$tmp/err")" = "$2" ] && good || bad "exit $got: $4"
}
[ "$(stat -c %a "$keys/tickets.json")" = 600 ] && good || bad "rights of tickets.json"
mkdir "$tmp/swapped"
cp "$tmp/down/0.ct" "$tmp/swapped/1.ct"
cp "$tmp/down/1.ct" "$tmp/swapped/0.ct"
run thor decrypt --in "$tmp/swapped" --keys "$keys" --model "$m" --json
only 5 2 'is the answer to .*/up/[01].ct: answers are mixed up' 'two answers swapped'
[ -s "$tmp/out" ] && bad "a label from a swapped answer" || good
run thor decrypt --in "$tmp/swapped" --request "$tmp/up" --keys "$keys" --model "$m" --json
only 5 2 'answers another request' 'two answers swapped, with --request'
run thor decrypt --in "$tmp/down" --request "$tmp/up" --keys "$keys" --model "$m" --json
[ $got = 0 ] && [ "$(grep -c '"request": ".*/up/[01].ct"' "$tmp/out")" = 2 ] && good || bad "--request with a folder"
run thor decrypt --in "$tmp/swapped/1.ct" --keys "$keys" --model "$m"
[ $got = 0 ] && grep -q "swapped/1.ct .*score .*(.*/up/0.ct)$" "$tmp/out" && good || bad "one answer names its request"
refused 5 'answers no request noted in' thor decrypt --in "$tmp/down/0.ct" --tickets "$tmp/none.json" --keys "$keys" \
    --model "$m" --insecure-test-params toy12
echo '{"format": "thor-tickets-1", "requests": {"a": 1}}' >"$tmp/bad.json"
refused 5 'no file of tickets' thor decrypt --in "$tmp/down/0.ct" --tickets "$tmp/bad.json" --keys "$keys" \
    --model "$m" --insecure-test-params toy12
# a request that is written over: its old answer is none any more
run thor encrypt --text "$short" --keys "$keys" --model "$m" --out "$tmp/over.ct" --tickets "$tmp/t.json"
run thor-eval --in "$tmp/over.ct" --out "$tmp/over.answer" --keys "$srv" --weights "$w"
run thor decrypt --in "$tmp/over.answer" --tickets "$tmp/t.json" --keys "$keys" --model "$m"
[ $got = 0 ] && good || bad "--tickets"
run thor encrypt --text "$long" --keys "$keys" --model "$m" --out "$tmp/over.ct" --tickets "$tmp/t.json"
run thor decrypt --in "$tmp/over.answer" --tickets "$tmp/t.json" --keys "$keys" --model "$m"
[ $got = 5 ] && grep -q 'answers no request noted' "$tmp/err" && good || bad "the answer to a request written over"
# a damaged answer is not passed over
rm -rf "$tmp/down3" && cp -r "$tmp/down" "$tmp/down3"
flip "$tmp/down3/1.ct" 5000
run thor-eval --in "$tmp/up" --out "$tmp/down3" --keys "$srv" --weights "$w" --json
[ $got = 0 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && cmp -s "$tmp/down3/1.ct" "$tmp/down/1.ct" && good || bad "a damaged answer stays"
# a pipe, a folder, an empty file, something in the way of an answer
rm -rf "$tmp/odd" "$tmp/odd2" && mkdir -p "$tmp/odd/1.ct" "$tmp/odd2/5.ct"
mkfifo "$tmp/odd/0.ct"
: >"$tmp/odd/2.ct"
cp "$tmp/up/0.ct" "$tmp/odd/4.ct"
cp "$tmp/up/0.ct" "$tmp/odd/5.ct"
run thor-eval --in "$tmp/odd" --out "$tmp/odd2" --keys "$srv" --weights "$w"
only 6 4 . 'a pipe, a folder, an empty file among requests'
cmp -s "$tmp/odd2/4.ct" "$tmp/down/0.ct" && good || bad "odd entries stop the good one"
grep -q '^refused: .*5.ct: .*in the way' "$tmp/err" && good || bad "a folder in the way of an answer"
tail -n 1 "$tmp/err" | grep -q '4 of 5 files got no answer' && good || bad "the count of refusals"
rm -rf "$tmp/odd"/[45].ct
cp "$tmp/down/0.ct" "$tmp/odd/3.ct"
cp "$tmp/down/1.ct" "$tmp/odd/10.ct"
run thor decrypt --in "$tmp/odd" --keys "$keys" --model "$m" --json
only 6 5 . 'odd entries among answers'
cp "$tmp/down/0.ct" "$tmp/odd/00.ct" && mv "$tmp/odd/3.ct" "$tmp/odd/x" && rm -r "$tmp/odd/0.ct" && cp "$tmp/odd/x" "$tmp/odd/0.ct"
run thor decrypt --in "$tmp/odd" --keys "$keys" --model "$m" --json
[ $got = 6 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -q '/0.ct", "request' "$tmp/out" && good || bad "odd entries stop the good answer"

# ---- a GPT-2: the next token, of which the server's container knows nothing
cat >"$tmp/gpt2.json" <<'END'
{"model_type": "gpt2", "activation_function": "gelu_new", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_inner": 64,
 "vocab_size": 500, "n_positions": 64, "layer_norm_epsilon": 1e-5, "bos_token_id": 499}
END
g=$tmp/g gw=$tmp/gw gk=$tmp/gk
works . thor synth --config "$tmp/gpt2.json" --out "$g" --texts 60
works 'weights and ranges, for the server' thor encode --model "$g" --calibrate "$g/texts.tsv" --tokens 32 --out "$gw"
works 'weights  *17152:' thor info "$gw" # 2 x (4 x 32 x 32 + 2 x 32 x 64 + 11 x 32), and 2 x 32 of 500 x 32
run thor keygen --out "$gk" --weights "$gw"
run thor encrypt --data "$g/texts.tsv" --index 1..2 --keys "$gk" --model "$g" --out "$tmp/gup"
[ $got = 0 ] && grep -q '/1.ct": "[0-9a-f]*:18"' "$gk/tickets.json" && good || bad "the last token's place is not noted"
sized "$tmp/gup/1.ct" "$(size "$tmp/gup/2.ct")"
run thor-eval --in "$tmp/gup" --out "$tmp/gdown" --keys "$gk" --weights "$gw"
works '"plain_pred"' thor forward --data "$g/texts.tsv" --index 1 --approx --model "$g" --json
next=$(sed -n 's/.*"plain_pred": \([0-9]*\).*/\1/p' "$tmp/out")
run thor decrypt --in "$tmp/gdown" --keys "$gk" --model "$g" --json --top 3
[ $got = 0 ] && [ "$(sed -n '1s/.*"request": "[^"]*", "pred": \([0-9]*\).*/\1/p' "$tmp/out")" = "$next" ] && good ||
    bad "another token than the plain model's, $next"
grep -q '"score": 0.[0-9]*[0-9][0-9][0-9]\|logits' "$tmp/out" && bad "what is not rounded" || good
[ "$(head -n 1 "$tmp/out" | grep -o '"pred"' | wc -l)" = 4 ] && good || bad "not the first and three tokens"
run thor decrypt --in "$tmp/gdown/1.ct" --request "$tmp/gup/1.ct" --keys "$gk" --model "$g"
[ $got = 5 ] && grep -q 'how many tokens its text has is not noted' "$tmp/err" && good || bad "a text of unknown length"
run thor decrypt --in "$tmp/gdown/1.ct" --keys "$gk" --model "$g" --text "$(sed -n 3p "$g/texts.tsv" | cut -f 2)"
[ $got = 0 ] && grep -q 'next token ".*", score 0.[0-9]* ' "$tmp/out" && good || bad "the text beside its answer"
run thor forward --data "$g/texts.tsv" --index 1 --model "$g" --weights "$gw" --keys "$gk" --layers 1..1 --json
[ $got = 0 ] && grep -q "\"pred\": $next, .*\"rank\": 0" "$tmp/out" && good || bad "one layer on ciphertexts"

# ---- keys of somebody else; a keygen that is stopped leaves nothing
# shellcheck disable=SC2086
"$build/thor" keygen --out "$tmp/k2" --server-out "$tmp/s2" --weights "$w" --threads 1 $toy >"$tmp/out" 2>"$tmp/err" &
pid=$!
i=0
while [ "$(files "$tmp/s2")" = 0 ] && [ $i -lt 3000 ]; do sleep 0.01; i=$((i + 1)); done # eval.key is begun
kill -TERM $pid
wait $pid
got=$?
if [ $got = 9 ] && [ "$(files "$tmp/k2")" = 0 ] && [ "$(files "$tmp/s2")" = 0 ]; then good
else bad "interrupted keygen: exit $got, $(files "$tmp/k2") and $(files "$tmp/s2") files"; fi
# shellcheck disable=SC2086
"$build/thor" keygen --out "$tmp/k3" --weights "$w" $toy >"$tmp/out" 2>"$tmp/err" & # while it plans
pid=$!
i=0
while [ ! -d "$tmp/k3" ] && [ $i -lt 3000 ]; do sleep 0.01; i=$((i + 1)); done
kill -TERM $pid
wait $pid
got=$?
if [ $got = 9 ] && [ ! -e "$tmp/k3" ]; then good; else bad "keygen interrupted as it plans: exit $got, or a folder"; fi
# shellcheck disable=SC2086
works 'secret.key' thor keygen --out "$tmp/k2" --server-out "$tmp/s2" --weights "$w" $toy
# shellcheck disable=SC2086
works 'ciphertexts' thor encrypt --text "$short" --keys "$tmp/k2" --model "$m" --out "$tmp/k2.ct" $toy
serve 5 'another key set' "$tmp/k2.ct"
# shellcheck disable=SC2086
refused 5 'another key set' thor decrypt --in "$tmp/down/0.ct" --keys "$tmp/k2" --model "$m" $toy

# ---- a server killed half way: no torn answer, and it goes on from there
rm -rf "$tmp/down2"
# shellcheck disable=SC2086
"$build/thor-eval" --in "$tmp/up" --out "$tmp/down2" --keys "$srv" --weights "$w" --json $toy >"$tmp/out" 2>"$tmp/err" &
pid=$!
i=0
while [ ! -e "$tmp/down2/0.ct" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
left=$((2 - $(find "$tmp/down2" -name '[0-9]*.ct' | wc -l)))
# shellcheck disable=SC2086
holds 'the rest after kill -9' "$build/thor-eval" --in "$tmp/up" --out "$tmp/down2" --keys "$srv" --weights "$w" --json $toy
[ "$(wc -l <"$tmp/out")" = $left ] && good || bad "a finished answer was computed again"
[ "$(find "$tmp/down2" -name '.thor-*' | wc -l)" = 0 ] || [ $left = 0 ] && good || bad "temporary files stayed"
cmp -s "$tmp/down/0.ct" "$tmp/down2/0.ct" && cmp -s "$tmp/down/1.ct" "$tmp/down2/1.ct" && good || bad "other answers after kill -9"

# ---- the harness, in order
h=$tmp/harness
mkdir -p "$h/datasets/single/intermediate"
printf '{"target_idx": 25, "sentence": "%s", "label": 1}\n\n' "$short" >"$h/datasets/single/intermediate/test_input.txt"
export THOR_BIN="$build" THOR_MODEL="$m" THOR_OPTIONS="$toy" THOR_TOKENS=32
for step in client_key_generation server_preprocess_model client_preprocess_input client_encode_encrypt_input \
    server_encrypted_compute client_decrypt_decode client_postprocess; do
    (cd "$h" && "$top/bench/harness/$step" 0 2) >"$tmp/out" 2>"$tmp/err" && good || bad "harness: $step"
done
[ "$(cat "$h/io/single/encrypted_model_predictions.txt")" = "$(echo "$plain" | head -n 1)" ] && good || bad "harness: the label"
grep -q '^{"Encrypted computation": [0-9.]*, "I/O": [0-9.]*, "Total": [0-9.]*}$' "$h/io/single/server_reported_steps.json" &&
    good || bad "server_reported_steps.json"
[ -e "$h/io/single/public_keys/secret.key" ] && bad "the secret key among the public ones" || good
(cd "$h" && "$top/bench/harness/client_postprocess" 4) >"$tmp/out" 2>"$tmp/err"
[ $? = 2 ] && good || bad "harness: size 4"

echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
