# Checks of the CUDA back end beyond `make check`: `make cuda-check` compiles every kernel with nvcc
# for all supported architectures and refuses spills; `make emu-race` runs the emulated kernels with
# every access watched.
NVCC     ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
CUDAARCH ?= 80 90 100 120
CHECKARCH := $(foreach a,$(CUDAARCH),-gencode arch=compute_$(a),code=sm_$(a))

cuda-check:
	@sh tests/emu/nvcc.sh '$(NVCC)' '-std=c++17 -O3 -I. -Xcompiler -Wall,-Wextra $(CHECKARCH)' \
	    build/nvcc $(sort $(wildcard kernels/cuda/*.cu))

emu-race:
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=build/race RACE=1 emu-run

emu-run: $(EMUTEST)
	@set -e; for t in $(EMUTEST); do $$t; done

ifeq ($(RACE),1)
EMUFLAGS += -DEMU_RACE
RACEOBJ  := $(patsubst kernels/cuda/%.cu,$(BUILD)/emu/%.o,$(wildcard kernels/cuda/*.cu))
$(RACEOBJ): EMUFLAGS += -fsanitize=thread
endif

.PHONY: cuda-check emu-race emu-run
