# thor: encrypted BERT.  `make demo` and `make check` are all a newcomer needs; `make help` lists the rest.
CC       ?= gcc
CXX      ?= g++
BUILD    ?= $(if $(CUDA),build/cuda,build)
OPT      ?= -O3
SAN      ?=
WARN     := -Wall -Wextra -Wconversion -Werror
CFLAGS   := -std=c11 -D_GNU_SOURCE $(OPT) -g $(WARN) -fopenmp -I. $(SAN)
LDFLAGS  := -fopenmp $(SAN)
LDLIBS   := -ljansson -lutf8proc -lsodium -lxxhash -lm
LAYERS   := kernels ckks bert bench cli
PACKAGES := gcc g++ make libc6-dev libgmp-dev libxxhash-dev libcmocka-dev libjansson-dev libutf8proc-dev \
            libsodium-dev

SRC      := $(foreach d,kernels ckks bert,$(sort $(wildcard $(d)/*.c)))
LIBOBJ   := $(SRC:%.c=$(BUILD)/%.o)
APPOBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/*.c) $(wildcard cli/*.c)))
TESTSRC  := $(sort $(wildcard tests/test_*.c))
TESTBIN  := $(TESTSRC:tests/%.c=$(BUILD)/tests/%)
TESTAUX  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(TESTSRC),$(sort $(wildcard tests/*.c))))

all: thor

help:
	@echo 'make demo     install what is missing, build, classify three sentences under encryption'
	@echo 'make check    install what is missing, build, run every test; the last line counts them'
	@echo 'make          build ./thor            make tests   build the tests only'
	@echo 'make bench    measure the transforms, the operations, the bootstrap and a sentence'
	@echo 'make san      the tests at toy size under the address and undefined-behaviour sanitizers'
	@echo 'make layers   includes go one way, every header compiles alone'
	@echo 'make deps     install the Debian packages that are missing'
	@echo 'make CUDA=1   build build/cuda/thor with the CUDA back end, where nvcc is'
	@echo 'make clean    remove what was built'

# ---- CUDA: `make CUDA=1` where nvcc is
ifeq ($(CUDA),1)
NVCC     ?= /usr/local/cuda/bin/nvcc
NVFLAGS  ?= -O3 -std=c++17 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
            -gencode arch=compute_90,code=compute_90 -Xcompiler -fno-exceptions,-fno-rtti,-fno-threadsafe-statics
CUOBJ    := $(patsubst %.cu,$(BUILD)/%.cu.o,$(sort $(wildcard kernels/cuda/*.cu)))
LDLIBS   += -L$(dir $(NVCC))../lib64 -lcudart_static -ldl -lrt -lpthread
endif

# ---- build
thor: $(BUILD)/thor
	cp -f $< $@.new && mv -f $@.new $@

$(BUILD)/thor: $(APPOBJ) $(CUOBJ) $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) -o $@ $(APPOBJ) $(CUOBJ) $(BUILD)/libthor.a $(LDLIBS)

$(BUILD)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVFLAGS) -I. -c -o $@ $<

$(BUILD)/libthor.a: $(LIBOBJ)
	rm -f $@ && ar rcs $@ $(LIBOBJ)

$(BUILD)/%_avx2.o: TIER := -mavx2 -mfma
$(BUILD)/%_avx512.o: TIER := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512ifma
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(TIER) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TESTAUX) $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) -o $@ $< $(TESTAUX) $(BUILD)/libthor.a $(LDLIBS) -lcmocka -lgmp

# The CUDA files compiled as C++ over an emulation of CUDA: their tests need no GPU.
EMUTEST  := $(if $(wildcard tests/emu/*.cpp),$(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/emu/test_*.c))))
EMUOBJ   := $(patsubst tests/emu/%.cpp,$(BUILD)/emu/%.o,$(wildcard tests/emu/*.cpp)) \
            $(patsubst kernels/cuda/%.cu,$(BUILD)/emu/%.o,$(wildcard kernels/cuda/*.cu))
EMUFLAGS := -std=c++17 -O2 -g -Wall -Wextra -Wno-unknown-pragmas -Wno-unused-parameter -fopenmp -I. -Itests/emu $(SAN)

$(BUILD)/emu/%.o: tests/emu/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(EMUFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/emu/%.o: kernels/cuda/%.cu
	@mkdir -p $(@D)
	$(CXX) -x c++ $(EMUFLAGS) -MMD -MP -c -o $@ $<

$(EMUTEST): $(BUILD)/tests/emu/%: $(BUILD)/tests/emu/%.o $(EMUOBJ) $(TESTAUX) $(BUILD)/libthor.a
	$(CXX) $(LDFLAGS) -o $@ $< $(EMUOBJ) $(TESTAUX) $(BUILD)/libthor.a $(LDLIBS) -lcmocka -lgmp

tests: $(TESTBIN) $(EMUTEST)

# ---- what a newcomer calls; each step is its own make, so that one installs before the next compiles
JOBS     := -j$(shell nproc 2>/dev/null || echo 1)

deps:
	@sh tests/deps.sh $(PACKAGES)

demo:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s $(JOBS) all
	./thor forward --data data/examples.tsv --index 0..2 --compare

check:
	@$(MAKE) --no-print-directory deps
	@sh tests/check.sh '$(MAKE)' '$(JOBS)'

# ---- the parts of `check`
layers:
	@sh tests/layers.sh '$(CC)' '$(CXX)' $(LAYERS)

suite: $(BUILD)/thor tests
	@sh tests/suite.sh $(BUILD) $(TESTBIN) $(EMUTEST)

# -w: the sanitizers keep loops from being unrolled, and gcc warns of it; the plain build has all warnings
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -w
san:
	@THOR_FULL=0 $(MAKE) --no-print-directory -s $(JOBS) BUILD=build/san OPT=-O1 SAN='$(SANFLAGS)' suite

bench: thor
	./thor bench all

clean:
	rm -rf $(BUILD) thor

.PHONY: all help tests deps demo check layers suite san bench clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
-include cuda.mk
