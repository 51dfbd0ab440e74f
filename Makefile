# thor: encrypted BERT.  `make demo` and `make check` are all a newcomer needs; `make help` lists the rest.
CC       ?= gcc
CXX      ?= g++
BUILD    ?= build
OPT      ?= -O3
SAN      ?=
PACK     ?= # of who makes packages: flags of the linker
WARN     := -Wall -Wextra -Wconversion -Werror
CFLAGS   := -std=c11 -ffp-contract=off -D_GNU_SOURCE $(OPT) -g $(WARN) -fopenmp -I. $(SAN)
LDFLAGS  := -fopenmp $(SAN) $(PACK)
LDLIBS   := -ljansson -lutf8proc -lsodium -lxxhash -lm
LAYERS   := kernels ckks bert/input bert/synth bert split bench cli cli/serve cli/remote
PACKAGES := gcc g++ make libc6-dev libgmp-dev libxxhash-dev libcmocka-dev libjansson-dev libutf8proc-dev \
            libsodium-dev libmicrohttpd-dev libcurl4-openssl-dev gnuplot-nox

SRC      := $(foreach d,kernels ckks bert/input bert/synth bert split,$(sort $(wildcard $(d)/*.c)))
LIBOBJ   := $(SRC:%.c=$(BUILD)/%.o)
# `thor serve` with libmicrohttpd; HTTP=0 leaves it out
HTTP     ?= $(shell echo '\#include <microhttpd.h>' | $(CC) -E -xc - >/dev/null 2>&1 && echo 1 || echo 0)
HTTPSRC  := $(if $(filter 1,$(HTTP)),$(filter-out cli/serve/left_out.c,$(sort $(wildcard cli/serve/*.c))),cli/serve/left_out.c)
APPOBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/*.c) $(filter-out cli/eval_main.c,$(wildcard cli/*.c))) $(HTTPSRC))
# thor-eval, for servers: the library less what makes, reads or uses a secret key, and what `thor eval` and `thor serve` need of cli/
SECRET   := ckks/locked.c ckks/keygen.c ckks/sampler.c ckks/serial_secret.c ckks/seal_secret.c ckks/encrypt.c \
            bert/client.c bert/compare.c split/caller.c split/local.c
SRVOBJ   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(SECRET),$(SRC)))
EVALOBJ  := $(patsubst %,$(BUILD)/cli/%.o,eval_main cmd_eval server folder files insecure interrupt json options option_rows help manpage completion subcommand nearest progress report) \
            $(BUILD)/bench/measure.o $(BUILD)/bench/device.o $(HTTPSRC:%.c=$(BUILD)/%.o)
TESTSRC  := $(sort $(wildcard tests/test_*.c))
TESTBIN  := $(TESTSRC:tests/%.c=$(BUILD)/tests/%)
TESTAUX  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(TESTSRC),$(sort $(wildcard tests/*.c))))

all: which thor thor-eval

help:
	@echo 'make demo     install what is missing, build, classify three sentences under encryption'
	@echo 'make check    install what is missing, build, run every test; the last line counts them'
	@echo 'make          build ./thor            make tests   build the tests only'
	@echo 'make bench    measure the transforms, the operations, the bootstrap and a sentence'
	@echo 'make bench-guard BASE=COMMIT   two commits in turns; fails when the newer one is slower (WHAT, LIMIT)'
	@echo 'make check-gpu   the tests that want a GPU; bench/gpu.sh: those, all timings and one report'
	@echo 'make gpu-pack    the programs and libraries for a GPU machine that cannot build'
	@echo 'make san      the tests at toy size under the address and undefined-behaviour sanitizers'
	@echo 'make fuzz     hostile files against every parser, FUZZ_SECONDS for each (an hour)'
	@echo 'make faults   every allocation and file operation failing, kill -9 at 200 moments'
	@echo 'make serve-load serve-hostile serve-kill serve-upload   the long doses of the server'"'"'s tests'
	@echo 'make medqa MEDQA=FILE [MODEL=DIR] [ADAPTER=DIR]   a language model answers MedQA, whose files are not here'
	@echo 'make mutants  small mistakes in kernels/ and ckks/: does a test notice?'
	@echo 'make check-constants   makes primes, known answers, golden logits and ranges again, and compares (a minute)'
	@echo 'make layers   includes go one way, every header compiles alone, programs link with the installed library'
	@echo 'make check-seal SEAL=PREFIX   files in both directions between this and Microsoft SEAL 4, installed there'
	@echo 'make docs     the reference of libckks, build/docs/html (doxygen)'
	@echo 'make install  libckks, its headers and the programs under PREFIX (/usr/local), DESTDIR before it; make uninstall'
	@echo 'make format   lay out the sources as .clang-format says (version 14)'
	@echo 'make deb      Debian packages of the programs and the library; make deb-twice: two builds, compared'
	@echo 'make deps     install the Debian packages that are missing'
	@echo 'make CUDA=0   build without the CUDA back end, though nvcc is there; CUDA=1: refuse to build without it'
	@echo 'make nvcc     bring a CUDA compiler into .cuda, from its Python wheels'
	@echo 'make MPI=1    thor batch --mpi with Open MPI; found by itself where mpicc is, MPI=0 leaves it out'
	@echo 'make clean    remove what was built'

# ---- `thor batch --mpi`: with Open MPI where mpicc is; MPI=0 leaves it out
MPICC    ?= $(shell command -v mpicc 2>/dev/null)
MPI      ?= $(if $(MPICC),1,0)
ifeq ($(MPI),1)
$(if $(MPICC),,$(error MPI=1: mpicc is not there; install libopenmpi-dev))
$(BUILD)/cli/ranks.o: TIER := -DTHOR_MPI $(shell $(MPICC) --showme:compile)
$(BUILD)/thor $(BUILD)/emu/thor $(BUILD)/tests/serve/recorder: LDLIBS += $(shell $(MPICC) --showme:link)
endif

ifeq ($(HTTP),1)
$(BUILD)/thor $(BUILD)/thor-eval $(BUILD)/emu/thor $(BUILD)/tests/serve/recorder: LDLIBS += -lmicrohttpd
$(BUILD)/cli/serve/on_status.o: $(wildcard cli/serve/page/*)
else
$(info thor serve: left out, for libmicrohttpd-dev is not there)
endif

# `thor remote`, the client, with libcurl too; REMOTE=0 leaves it out
REMOTE   ?= $(if $(filter 1,$(HTTP)),$(shell echo '\#include <curl/curl.h>' | $(CC) -E -xc - >/dev/null 2>&1 && echo 1 || echo 0),0)
ifeq ($(REMOTE),1)
APPOBJ   += $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard cli/remote/*.c)))
$(BUILD)/cli/main.o $(BUILD)/cli/tunejob.o: TIER := -DTHOR_REMOTE
$(BUILD)/thor $(BUILD)/emu/thor $(BUILD)/tests/serve/recorder: LDLIBS += -lcurl
$(BUILD)/cli/remote/webpage.o: $(wildcard cli/remote/page/*)
else
$(info thor remote: left out, for libcurl4-openssl-dev or libmicrohttpd-dev is not there)
endif

include install.mk
include packaging/packaging.mk
include cuda.mk # behind all that adds to APPOBJ

# ---- build
thor: $(BUILD)/thor
	cp -f $< $@.new && mv -f $@.new $@

$(BUILD)/thor: $(APPOBJ) $(CUOBJ) $(BUILD)/libthor.a $(BUILD)/cuda.state
	$(CC) $(LDFLAGS) -o $@ $(APPOBJ) $(CUOBJ) $(BUILD)/libthor.a $(LDLIBS) $(CULIBS)

thor-eval: $(BUILD)/thor-eval
	cp -f $< $@.new && mv -f $@.new $@

$(BUILD)/thor-eval: $(EVALOBJ) $(CUOBJ) $(BUILD)/libthor-server.a $(BUILD)/cuda.state
	$(CC) $(LDFLAGS) -o $@ $(EVALOBJ) $(CUOBJ) $(BUILD)/libthor-server.a $(LDLIBS) $(CULIBS)

$(BUILD)/libthor-server.a: $(SRVOBJ)
	rm -f $@ && ar rcs $@ $(SRVOBJ)

$(BUILD)/libthor.a: $(LIBOBJ)
	rm -f $@ && ar rcs $@ $(LIBOBJ)

$(BUILD)/kernels/%.o: HOT := $(KERNELOPT)
$(BUILD)/split/plainmaps.o $(patsubst %,$(BUILD)/bert/%.o,approx calibrate polyfit reference): HOT := $(KERNELOPT)
$(BUILD)/kernels/checked.o: TIER := -O3 -fno-sanitize=all
$(BUILD)/%_avx2.o: TIER := -mavx2 -mfma
$(BUILD)/%_avx512.o: TIER := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512ifma
$(BUILD)/headers.ok: ; @sh tests/headers.sh '$(CC)' $@

$(BUILD)/%.o: %.c | $(BUILD)/headers.ok
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SHARED) $(HOT) $(TIER) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TESTAUX) $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) -o $@ $< $(TESTAUX) $(TESTCLI) $(BUILD)/libthor.a $(LDLIBS) -lcmocka -lgmp

$(BUILD)/tests/test_nexttoken: TESTCLI := $(patsubst %,$(BUILD)/cli/%.o,nexttoken result published tagged json files interrupt)
$(BUILD)/tests/test_nexttoken: $(patsubst %,$(BUILD)/cli/%.o,nexttoken result published tagged json files interrupt)

tests: $(TESTBIN) $(EMUTEST) $(RACETEST)

# ---- what a newcomer calls; each step is its own make, so that one installs before the next compiles
JOBS     := -j$(shell nproc 2>/dev/null || echo 1)

deps:
	@sh tests/deps.sh $(PACKAGES)

demo:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s $(JOBS) all
	./thor forward --data data/examples.tsv --index 0..2 --compare

check:
	@$(MAKE) --no-print-directory deps PACKAGES='$(PACKAGES) python3 python3-numpy python3-pip pkg-config'
	@sh tests/check.sh '$(MAKE)' '$(JOBS)'

format:
	@clang-format -i $$(sh tests/format.sh list)

# ---- the parts of `check`
layers:
	@sh tests/layers.sh '$(CC)' '$(CXX)' $(LAYERS)

# the library too, that no two of the tests link it at once; those of SAN do without it
suite: $(BUILD)/thor $(BUILD)/thor-eval $(BUILD)/emu/thor tests $(if $(SAN),,$(BUILD)/libckks.so.$(VERSION))
	@sh tests/suite.sh $(BUILD) $(TESTBIN) $(EMUTEST) $(RACETEST)

# -w: the sanitizers keep loops from being unrolled, and gcc warns of it; the plain build has all warnings.
# Kernels and the plain models are where the time goes, and loops that are unrolled there have fewer checks: -O3 for
# them alone.
# -g1: functions and lines, which is what reports name, and no more for the compiler to write.
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DTHOR_CHECKED -w -g1
san:
	@THOR_FULL=0 $(MAKE) --no-print-directory -s $(JOBS) BUILD=build/san CUDA=0 OPT=-O1 KERNELOPT=-O3 SAN='$(SANFLAGS)' suite

# constants of the tree, made again and compared; `make check` does the same for fewer sentences and without ../shared
check-constants: thor
	@THOR_FULL=1 python3 tests/constants.py ./thor

bench: thor
	./thor bench all

# BASE against TIP in one run: which lines got slower
TIP      ?= HEAD
WHAT     ?= ops
ROUNDS   ?= 5
LIMIT    ?= 1.05
bench-guard:
	@sh bench/guard.sh '$(BASE)' '$(TIP)' '$(WHAT)' '$(ROUNDS)' '$(LIMIT)' build/guard

# MEDQAFLAGS= for ciphertexts
MEDQAFLAGS ?= --plain
medqa: thor
	@test -n '$(MEDQA)' || { echo 'make medqa: MEDQA= is missing; name a file of MedQA as JSON lines (see README.md)' >&2; exit 2; }
	./thor tune eval --model '$(or $(MODEL),data/gpt2-tiny)' $(if $(ADAPTER),--adapter '$(ADAPTER)') --questions '$(MEDQA)' $(MEDQAFLAGS)

clean:
	rm -rf $(BUILD) thor thor-eval

.PHONY: all which help tests deps demo check format layers suite san check-constants bench bench-guard medqa clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
-include tests/serve/serve.mk
-include tests/fuzz/fuzz.mk
-include tests/faults/faults.mk
-include tests/mutants/mutants.mk
-include tests/seal/seal.mk
