# Run fuzz targets side by side, as many as there are cores: run.sh FOLDER SECONDS NAME..
# Each starts from the seeds and from what it found before.  Prints "fuzz: N passed, N failed".
set -u
bin=$1 seconds=$2
shift 2
jobs=$(nproc 2>/dev/null || echo 1)
rm -rf "$bin/start"
"$bin/seeds" "$bin/start" || { echo "fuzz: 0 passed, 1 failed"; exit 1; }
export FUZZ_SECONDS="$seconds" OMP_WAIT_POLICY=passive ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1

cat >"$bin/one.sh" <<'END'
bin=$1 name=$2
mkdir -p "$bin/found/$name"
"$bin/fuzz_$name" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512 -use_value_profile=1 \
    -print_final_stats=0 -artifact_prefix="$bin/crash-$name-" "$bin/found/$name" "$bin/start/$name" >"$bin/$name.log" 2>&1
status=$?
runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$bin/$name.log" | tail -n 1)
if [ $status = 0 ]; then
    echo "  ok $name: $runs inputs"
else
    echo "  FAILED $name (status $status; input in $bin/crash-$name-..)"
    grep -av '^#' "$bin/$name.log" | cut -c 1-200 | tail -n 30 | sed 's/^/      /'
fi
END
for n in "$@"; do echo "$n"; done | xargs -P "$jobs" -I{} sh "$bin/one.sh" "$bin" {} | tee "$bin/summary"
passed=$(grep -c '^  ok' "$bin/summary") failed=$(($# - passed))
echo "fuzz: $passed passed, $failed failed"
[ $failed = 0 ]
