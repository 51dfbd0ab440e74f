#!/bin/sh
# Everything that wants a GPU, in one command and within nine minutes: build, tests, measurements, facts of the card.
# Usage: sh bench/gpu.sh [REPORT]     (default: build/gpu-report.txt; its path is printed last)
# Steps stand in the order of their worth; one that fails or runs out of time leaves the others to go on.
# Where the libraries to build with are missing, bring build/gpu-pack of `make gpu-pack`, made on another machine.
set -u
cd "$(dirname "$0")/.." || exit 6
report=${1:-build/gpu-report.txt}
build=build/gpu
device=${THOR_DEVICE:-cuda:0}
status=0 end=$(($(date +%s) + 525))
mkdir -p "$(dirname "$report")" || exit 6
: >"$report" || exit 6

say() { echo "$*" | tee -a "$report"; }

step() { # name limit command..: within the limit and what is left of the whole
    name=$1 limit=$2
    shift 2
    left=$((end - $(date +%s)))
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -le 3 ]; then
        say "== $name: no time left"
        return
    fi
    say "== $name: $*"
    began=$(date +%s)
    export THOR_TIMEOUT=$(((limit - 4) / 2)) # of a program that a step starts, two at most: ends before the step
    { timeout -k 3 "$limit" "$@" 2>&1 </dev/null; echo "$?" >"$report.status"; } | tee -a "$report"
    status=$(cat "$report.status")
    [ "$status" = 124 ] && status="124, stopped after $limit s"
    say "-- $name: status $status, $(($(date +%s) - began)) s"
}

bench() { # group limit
    step "bench $1" "$2" $build/thor bench "$1" --device "$device" --seconds 1 --json
}

say "thor on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
step card 20 nvidia-smi --query-gpu=index,name,compute_cap,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv
step processor 5 sh -c 'grep -m 1 "model name" /proc/cpuinfo; nproc; uname -r'
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)
case $arch in 80 | 90 | 100 | 120) ;; *) arch='80 90 100 120' ;; esac
step build 200 make --no-print-directory -s "-j$(nproc)" CUDA=1 "CUDAARCH=$arch" BUILD=$build which gpu-programs
if [ "$status" != 0 ] && [ -x build/gpu-pack/thor ]; then
    build=build/gpu-pack
    say "== build: taking $build, which was built elsewhere"
    export LD_LIBRARY_PATH="$PWD/$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
step devices 20 $build/thor info --devices
if ! grep -q '^cuda:' "$report"; then
    rm -f "$report.status"
    say "no GPU here, or no program: nothing to test or to time; report: $report"
    exit 2
fi
step entries 120 sh tests/gpu.sh $build entries
bench ntt 40
bench ops 60
step engine 90 sh tests/gpu.sh $build engine
bench bootstrap 120
step layers 60 sh tests/gpu.sh $build layers
step forward 90 sh tests/gpu.sh $build forward
bench forward 60
step "card after work" 20 nvidia-smi --query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw,memory.used --format=csv
for tool in memcheck racecheck synccheck; do
    step $tool 100 sh tests/gpu.sh $build $tool
done
rm -f "$report.status"
echo "report: $report"
! grep -q '^-- .*: status [^0]' "$report"
