# One format for the whole tree, that of .clang-format: format.sh [list].  Prints the counts in the form of the test
# programs, or the files that it is about.
# Versions of the formatter differ: the one that Debian 12 has decides, and where another is installed lines are measured.
set -u
passed=0 failed=0 skipped=0
files=$(ls include/*.h include/*/*.h examples/*.[ch] kernels/*.[ch] kernels/*/*.cu* ckks/*.[ch] bert/*.[ch] bert/*/*.[ch] split/*.[ch] bench/*.[ch] cli/*.[ch] cli/*/*.[ch] tests/*.[ch] tests/*/*.[ch] 2>/dev/null)
if [ "${1:-}" = list ]; then echo "$files"; exit; fi
# shellcheck disable=SC2086
long=$(awk 'length > 100 { print FILENAME ":" FNR ": " length " columns" }' $files)
if [ -z "$long" ]; then passed=1; else failed=1; echo "FAILED: lines of more than 100 columns"; echo "$long"; fi
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    # shellcheck disable=SC2086
    if clang-format --dry-run --Werror $files; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: make format mends it"
    fi
else
    echo "[  SKIPPED ] format: clang-format 14 is not installed"
    skipped=1
fi
echo "[  PASSED  ] $passed test(s)."
[ $skipped = 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above:"
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
