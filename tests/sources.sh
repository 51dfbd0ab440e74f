# What may not stand in the sources of the product: sources.sh.  Prints the counts in the form of the test programs.
set -u
passed=0 failed=0
none() { # WHAT EXAMPLE PATTERN: no line of code has it; the example does
    if ! echo "$2" | grep -qE "$3"; then
        failed=$((failed + 1))
        echo "FAILED: $1: the pattern does not see $2"
    elif grep -nE "$3" kernels/*.[ch] kernels/*/*.cu* ckks/*.[ch] bert/*.[ch] bert/*/*.[ch] split/*.[ch] bench/*.[ch] cli/*.[ch] cli/*/*.[ch] |
        grep -vE '^[^:]*:[0-9]*: *(\*|//|/\*)'; then
        failed=$((failed + 1))
        echo "FAILED: $1"
    else
        passed=$((passed + 1))
    fi
}
only() { # WHAT PATTERN FILE..: nowhere but there
    what=$1 pattern=$2
    shift 2
    where=$(grep -lE "$pattern" kernels/*.[ch] ckks/*.[ch] bert/*.[ch] bert/*/*.[ch] split/*.[ch] bench/*.[ch] cli/*.[ch] cli/*/*.[ch] | tr '\n' ' ')
    if [ "$where" = "$* " ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $what: $where"; fi
}

none 'random numbers that are none' 'x = rand();' \
    '(^|[^a-z_])(s?rand|rand_r|s?random|[dlm]rand48|arc4random|getentropy)[ ]*\(|mt19937|[Mm]ersenne|cu[Rr][Aa][Nn][Dd]|/dev/u?random'
none 'a file that is mapped: SIGBUS when it shrinks' 'mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0)' 'mmap *\(.*, *fd *,'
none 'a shell, or a file written under a name that others know' 'popen("gnuplot", "w")' \
    '(^|[^a-z_])(popen|system|tmpnam|tempnam|mktemp|creat) *\(|fopen *\(.*"[wa]'
only 'a fork copies the states of streams: sessions begin after it' '(^|[^a-z_])v?fork *\(' cli/cmd_batch.c
only 'JSON is read within bounds: bert_json_parse' 'json_load' bert/input/jsonfile.c
only 'seeds of the system' 'randombytes_buf' ckks/file.c ckks/random.c ckks/random.h

echo "[  PASSED  ] $passed test(s)."
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
