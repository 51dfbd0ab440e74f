# Inputs that once got a wrong answer: cases.sh PROGRAM.  A case is a folder here with
#   cmd    commands, run in a copy of the folder by a shell that has $THOR (the program), $TINY (the folder of the tiny
#          model) and the function tiny DIR, which lays into DIR what it lacks of that model
#   want   one pattern (grep -E) a line that what cmd prints, both streams, must hold; after "! " one that it must not
#   skip   (may be absent) one line: a command, which succeeds where the case cannot be tried, and "# why"
# THOR_CASES names the cases to run.  Prints the counts in the form of the test programs.
set -u
THOR=$(realpath "$1") || exit 1
cd "$(dirname "$0")" || exit 1
TINY=$PWD/tiny
tmp=$(mktemp -d) || exit 6
trap 'chmod -R u+w "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0
export THOR TINY
tiny='tiny() { mkdir -p "$1" && for f in config.json model.safetensors vocab.txt; do [ -e "$1/$f" ] || cp "$TINY/$f" "$1/"; done; }'

missed() { # FILE: the lines of `want` that do not hold, none when there are no lines at all to hold
    [ -s want ] || echo "    want is empty"
    while IFS= read -r line; do
        case $line in
        '! '*) grep -qE -e "${line#! }" "$1" && echo "    is there: ${line#! }" ;;
        *) grep -qE -e "$line" "$1" || echo "    is missing: $line" ;;
        esac
    done <want
}

for name in ${THOR_CASES:-$(ls -d [0-9]* 2>/dev/null)}; do
    if [ -e "$name/skip" ] && sh "$name/skip"; then
        skipped=$((skipped + 1))
        echo "[  SKIPPED ] $name"
        continue
    fi
    cp -r "$name" "$tmp/" || exit 6
    (
        cd "$tmp/$name" && timeout 120 sh -c "$tiny
$(cat cmd)" >"$tmp/out" 2>&1 </dev/null
        [ $? != 124 ] || echo 'stopped after 120 s' >>"$tmp/out"
        missed "$tmp/out" >"$tmp/missed"
    )
    if [ -s "$tmp/missed" ]; then
        failed=$((failed + 1))
        echo "FAILED: $name"
        cat "$tmp/missed"
        tail -n 20 "$tmp/out"
    else
        passed=$((passed + 1))
    fi
done
[ $skipped = 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above"
echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
