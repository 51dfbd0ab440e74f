#!/bin/sh
# Everything that wants a GPU, in one command and within eight minutes: build, tests, measurements, facts of the card.
# Usage: sh bench/gpu.sh [REPORT]     (default: build/gpu-report.txt; its path is printed last)
# Steps stand in the order of their worth, each with a limit; one that fails or runs out of time leaves the others to go
# on.  What a step says is in the report as it says it.  A second call of the same commit and card goes on where the
# first ended: steps that passed are not done again (build/gpu-state; remove it to begin anew).
# Where the libraries to build with are missing, bring build/gpu-pack of `make gpu-pack`, made on another machine.
# THOR_GPU_SECONDS: for all of it (465).  THOR_DEVICE: which card (cuda:0).  THOR_MODELS: folders minilm and bert-base.
set -u
cd "${THOR_GPU_ROOT:-$(dirname "$0")/..}" || exit 6
report=${1:-build/gpu-report.txt}
build=build/gpu state=build/gpu-state
device=${THOR_DEVICE:-cuda:0}
status=0 failed=0 end=$(($(date +%s) + ${THOR_GPU_SECONDS:-465}))
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
mkdir -p "$(dirname "$report")" "$state" || exit 6
card=$(timeout 20 nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
if [ "$(cat "$state/of" 2>/dev/null)" != "$commit $card" ]; then
    rm -f "$state"/*.passed "$report"
    echo "$commit $card" >"$state/of"
fi
touch "$report" || exit 6

say() { echo "$*" | tee -a "$report"; }

step() { # name limit command..: within the limit and what is left of the whole; not again when it has passed
    name=$1 limit=$2
    shift 2
    key=$state/$(echo "$name" | tr ' ' -).passed
    if [ -e "$key" ]; then
        status=0
        return
    fi
    left=$((end - $(date +%s)))
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -le 3 ]; then
        say "== $name: no time left"
        status=124 failed=1
        return
    fi
    say "== $name: $*"
    began=$(date +%s)
    export THOR_TIMEOUT=$(((limit - 4) / 2)) # of a program that a step starts, two at most: ends before the step
    rm -f "$report.status"
    { timeout -k 3 "$limit" "$@" >"$report.step" 2>&1 </dev/null; echo "$?" >"$report.status"; } &
    # not `wait`: what hangs in a driver cannot be killed, and is left behind
    while [ ! -s "$report.status" ] && [ $(($(date +%s) - began)) -le $((limit + 5)) ]; do sleep 0.2; done
    tee -a "$report" <"$report.step"
    status=$(cat "$report.status" 2>/dev/null || echo 124)
    if [ "$status" = 0 ]; then : >"$key"; else failed=1; fi
    [ "$status" = 124 ] && status="124, stopped after $limit s"
    say "-- $name: status $status, $(($(date +%s) - began)) s"
}

build_step() { # name limit target..: asked again each time, since make knows what is there
    name=$1 limit=$2
    shift 2
    rm -f "$state/$(echo "$name" | tr ' ' -).passed"
    step "$name" "$limit" make --no-print-directory -s "-j$(nproc)" CUDA=1 "CUDAARCH=$arch" BUILD=$build "$@"
}

bench() { # group limit
    step "bench $1" "$2" $build/thor bench "$1" --device "$device" --seconds 1 --json
}

model() { # name limit: a model's folder, where there is one
    [ -d "${THOR_MODELS:-data}/$1" ] || { say "== $1: no folder ${THOR_MODELS:-data}/$1"; return; }
    step "$1" "$2" $build/thor bench forward --model "${THOR_MODELS:-data}/$1" --device "$device" --json
}

say "thor on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), commit $commit"
step card 20 nvidia-smi --query-gpu=index,name,compute_cap,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv
step processor 5 sh -c 'grep -m 1 "model name" /proc/cpuinfo; nproc; uname -r'
arch=$(echo "$card" | sed -n 's/.*, *\([0-9]*\)\.\([0-9]*\)$/\1\2/p')
case $arch in 80 | 90 | 100 | 120) ;; *) arch='80 90 100 120' ;; esac
build_step build 100 which $build/thor
if [ "$status" != 0 ] && [ -x build/gpu-pack/thor ]; then
    build=build/gpu-pack
    say "== build: taking $build, which was built elsewhere"
    export LD_LIBRARY_PATH="$PWD/$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
timeout 20 $build/thor info --devices >"$report.step" 2>&1 </dev/null
tee -a "$report" <"$report.step"
if ! grep -q '^cuda:' "$report.step"; then
    rm -f "$report.status" "$report.step"
    say "no GPU here, or no program: nothing to test or to time; report: $report"
    exit 2
fi
step "one kernel" 20 $build/thor bench ntt --device "$device" --seconds 0.1
if [ $build = build/gpu ]; then
    build_step "build tests" 60 gpu-programs # wants cmocka and GMP
    [ "$status" = 0 ] || [ ! -d build/gpu-pack/tests/gpu ] || cp -r build/gpu-pack/tests build/gpu-pack/lib $build/
fi
step entries 90 sh tests/gpu.sh $build entries
step engine 60 sh tests/gpu.sh $build engine
bench bootstrap 60
step forward 60 sh tests/gpu.sh $build forward
step layers 45 sh tests/gpu.sh $build layers
step memcheck 45 sh tests/gpu.sh $build memcheck
for kind in narrow turned wide; do
    step "ntt $kind" 15 env THOR_COLUMNS=$kind $build/thor bench ntt --device "$device" --seconds 0.3 --json
done
bench ntt 20
bench ops 30
bench forward 40
model minilm 60
model bert-base 90
for tool in racecheck synccheck; do
    step $tool 60 sh tests/gpu.sh $build $tool
done
step "card after work" 10 nvidia-smi --query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw,memory.used --format=csv
rm -f "$report.status" "$report.step"
echo "report: $report"
[ $failed = 0 ]
