# What is made from the tables of options: help, manual pages, completion, the words that are proposed for others.
# help.sh BUILD.  Prints the counts in the form of the test programs.
set -u
thor=$(realpath "$1")/thor || exit 1
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) || exit 6
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0
tally() { # status what
    if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $2" && tail -n 20 "$tmp/out"; fi
}
skip() { skipped=$((skipped + 1)); echo "[  SKIPPED ] $*"; }

# ---- pages: all options of --help, no warnings
for shell in bash zsh fish; do "$thor" --help=$shell >"$tmp/thor.$shell" || exit 1; done
"$thor" --help=pages >"$tmp/pages"
grep -q '^remote login$' "$tmp/pages" && grep -q '^serve token$' "$tmp/pages"
tally $? 'pages of actions'
[ "$("$thor" --help | grep -c '^Exit codes')" = 1 ]
tally $? 'exit codes of thor --help'

check_page() { # FILE: what formatters say of it
    : >"$tmp/out"
    ! command -v groff >/dev/null || groff -ww -man -z -Tutf8 "$1" >"$tmp/out" 2>&1
    ! command -v man >/dev/null || LC_ALL=C.UTF-8 man --warnings -l "$1" 2>>"$tmp/out" >/dev/null
    ! command -v mandoc >/dev/null || mandoc -Tlint -Wwarning "$1" >>"$tmp/out"
    [ ! -s "$tmp/out" ]
}
roff() { echo "$1" | sed 's/-/\\\\-/g'; } # as a pattern: each - with its backslash
check_options() { # all of $name's help are in its page and in what each shell completes by
    grep -q "^$(roff "$page") \\\\- ..." "$tmp/$page.1" || return 1
    for o in $(sed -n 's/^  --\([a-z-]*\).*/\1/p' "$tmp/help"); do
        grep -q "^.fB$(roff "--$o").fR" "$tmp/$page.1" || return 1
        case "$name $o" in *" help") continue ;; esac
        grep -q -e "--$o\b" "$tmp/thor.bash" && grep -q -e "--$o\b" "$tmp/thor.zsh" &&
            grep -q -e "-n '__thor_is $name'.* -l $o " "$tmp/thor.fish" || return 1
    done
}
"$thor" --help=man >"$tmp/thor.1"
check_page "$tmp/thor.1"
tally $? 'thor(1)'
while read -r name; do
    page=thor-$(echo "$name" | tr ' ' -)
    # shellcheck disable=SC2086 # words of a name
    "$thor" $name --help >"$tmp/help" && "$thor" $name --help=man >"$tmp/$page.1" && check_page "$tmp/$page.1"
    tally $? "$page(1)"
    # shellcheck disable=SC2086 # -h, and the word alone
    [ "$(grep -c '^Exit codes' "$tmp/help")" = 1 ] && "$thor" $name -h | cmp -s - "$tmp/help"
    tally $? "exit codes of $name"
    check_options
    tally $? "options of $name"
    grep -q "^\.BR $(roff "$page") (1)" "$tmp"/thor.1 "$tmp/thor-${name%% *}.1"
    tally $? "thor(1) names $page(1)"
done <"$tmp/pages"

grep -q "^.TH THOR 1 $(sed -n "s/^## $(cat VERSION), //p" CHANGELOG.md) \"thor $(cat VERSION)\"" "$tmp/thor.1"
tally $? 'date and version of CHANGELOG.md and VERSION'

# ---- completion
cat >"$tmp/drive" <<'END'
. "$1"
shift
compopt() { :; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_thor "$1"
printf '%s\n' "${COMPREPLY[@]}"
END
completes() { # WANT.. -- WORDS..: the last of the words is completed to all of WANT; "!x": not to x
    wants=
    while [ "$1" != -- ]; do wants="$wants $1" && shift; done
    shift
    bash "$tmp/drive" "$tmp/thor.bash" "$@" >"$tmp/out" 2>&1
    for want in $wants; do
        case $want in
        !*) ! grep -qxe "${want#!}" "$tmp/out" ;;
        *) grep -qxe "$want" "$tmp/out" ;;
        esac
        tally $? "bash: $want after $*"
    done
}
if command -v bash >/dev/null; then
    bash -n "$tmp/thor.bash"
    tally $? 'bash takes the script'
    completes forward '!batch' -- thor fo
    completes forward remote serve --version '!login' '!--model' -- thor ''
    completes login upload -- thor remote ''
    completes --token-file '!--keys' -- thor remote login --
    completes token --store -- thor serve ''
    completes --operator '!--store' -- thor serve token --
    completes ntt all --seconds -- thor bench ''
    completes mean cls '!--pool' -- thor embed --pool ''
    completes cls '!mean' -- thor embed --pool = c
    completes cpu cuda '!cuda:N' -- thor forward --device ''
    completes Makefile -- thor info Makef
    completes data -- thor forward --json --model dat
    completes '' '!--json' -- thor forward --text ''
    completes '' -- thor frobnicate --
    completes serve --in '!forward' -- thor-eval ''
    completes --tls-cert '!--in' -- thor-eval serve --
else
    skip 'completion in bash (not installed)'
fi
if command -v zsh >/dev/null; then
    zsh -fn "$tmp/thor.zsh" >"$tmp/out" 2>&1
    tally $? 'zsh takes the script'
else
    skip 'completion in zsh (not installed)'
fi
fishes() { # WANT LINE
    HOME=$tmp fish -c "source $tmp/thor.fish; complete -C '$2'" >"$tmp/out" 2>&1
    grep -q -e "^$1" "$tmp/out"
    tally $? "fish: $1 after $2"
}
if command -v fish >/dev/null; then
    fishes forward 'thor fo'
    fishes login 'thor remote l'
    fishes --token-file 'thor remote login --t'
    fishes --operator 'thor serve token --o'
    fishes mean 'thor embed --pool m'
    fishes --json 'thor-eval --js'
    fishes data/ 'thor forward --model dat'
else
    skip 'completion in fish (not installed)'
fi

# ---- words that are near others
proposes() { # LINE args..: exit code 2 and this line
    line=$1
    shift
    "$thor" "$@" >"$tmp/out" 2>&1
    [ $? = 2 ] && grep -qxF -e "$line" "$tmp/out"
    tally $? "$line"
}
proposes 'thor: frwrd: unknown command; did you mean thor forward?' frwrd
proposes 'thor: decyrpt: unknown command; did you mean thor decrypt?' decyrpt
proposes 'thor: frobnicate: unknown command; see thor --help' frobnicate
proposes 'thor encode: --calibarte: unknown option; did you mean --calibrate?' encode --calibarte x
proposes 'thor encode: --calibarte=x: unknown option; did you mean --calibrate?' encode --calibarte=x
proposes 'thor forward: --json=1: unknown option or unwanted value; see thor forward --help' forward --json=1
proposes 'thor forward: --help=x: there are man (a manual page), bash, zsh and fish (what completes words there)' forward --help=x
long=$(printf 'x%.0s' $(seq 300))
proposes "thor: $(echo "$long" | cut -c 1-60): unknown command; see thor --help" "$long"
proposes "thor info: --$(echo "$long" | cut -c 1-58): unknown option or unwanted value; see thor info --help" info "--$long"

echo "[  PASSED  ] $passed test(s)."
[ $skipped = 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above"
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
