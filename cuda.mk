# The CUDA back end: finding nvcc, its objects, its tests.
#
# `make` builds both back ends where a working nvcc is, else the CPU's alone, and says which; CUDA=0 switches
# the search off, CUDA=1 makes a missing nvcc an error.  The C objects and the program are the same either way.
# `make nvcc` brings a compiler into .cuda; `make check-gpu` tests on a GPU; `make cuda-check` refuses kernels
# that spill registers; `make emu-race` runs the emulated kernels with every access watched; `make cuda-sass`
# counts their instructions.
CUDA     ?= auto
CUDAARCH ?= 80 90 100 120
CUDADIR  := .cuda
NVCC     ?= $(shell command -v nvcc 2>/dev/null) /usr/local/cuda/bin/nvcc $(CUDADIR)/nvidia/cu13/bin/nvcc
NVFLAGS  ?= -O3 -std=c++17 -fmad=false -Xcompiler -fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-ffp-contract=off
CUDAWHEELS := nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
CUSRC    := $(sort $(wildcard kernels/cuda/*.cu))

# Steps that build nothing here, or build by a make of their own, do not look for a compiler.
ifneq ($(filter-out help clean deps layers nvcc demo check san bench-guard check-gpu gpu-pack,$(or $(MAKECMDGOALS),all)),)
ifeq ($(CUDA),0)
CUFOUND  := $(shell sh tests/toolkit.sh find '$(BUILD)' '' '' '$(CC)')
else
CUFOUND  := $(shell sh tests/toolkit.sh find '$(BUILD)' '$(CUDAARCH)' '$(NVFLAGS)' '$(CC)' $(NVCC))
endif
ifeq ($(firstword $(CUFOUND)),none)
CUSAYS   := CUDA: $(wordlist 2,99,$(CUFOUND)), building the CPU back end only$(if $(filter-out 0,$(CUDA)),; `make nvcc` brings a compiler)
$(if $(filter 1,$(CUDA)),$(error CUDA=1: $(wordlist 2,99,$(CUFOUND)); `make nvcc` brings a compiler))
else
CUNVCC   := $(word 1,$(CUFOUND))
CUARCHS  := $(wordlist 4,99,$(CUFOUND))
CUSAYS   := CUDA: nvcc $(word 3,$(CUFOUND)) ($(CUNVCC)), architectures $(CUARCHS), building both back ends
CUOBJ    := $(CUSRC:%=$(BUILD)/%.o)
# machine code for each, and PTX of the highest up to 90, which later ones without code of their own take
CUCODE   := $(foreach a,$(CUARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
            $(foreach a,$(lastword $(filter 80 90,$(CUARCHS))),-gencode arch=compute_$(a),code=compute_$(a))
CULIBS   := $(word 2,$(CUFOUND)) -ldl -lrt -lpthread
endif
endif

which:
	@echo '$(CUSAYS)'

nvcc:
	@sh tests/toolkit.sh fetch $(CUDADIR) $(CUDAWHEELS)

$(BUILD)/cuda.state: ;

$(BUILD)/%.cu.o: %.cu $(BUILD)/cuda.state
	@mkdir -p $(@D)
	$(CUNVCC) $(NVFLAGS) $(CUCODE) -I. -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

# ---- the same files compiled as C++ over an emulation of CUDA: their tests need no GPU
EMUTEST  := $(if $(wildcard tests/emu/*.cpp),$(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/emu/test_*.c))))
EMUOBJ   := $(patsubst tests/emu/%.cpp,$(BUILD)/emu/%.o,$(wildcard tests/emu/*.cpp)) \
            $(patsubst kernels/cuda/%.cu,$(BUILD)/emu/%.o,$(wildcard kernels/cuda/*.cu))
EMUFLAGS := -std=c++17 -O2 -g -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas -Wno-unused-parameter -fopenmp -I. -Itests/emu $(SAN)

$(BUILD)/emu/%.o: tests/emu/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(EMUFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/emu/%.o: kernels/cuda/%.cu
	@mkdir -p $(@D)
	$(CXX) -x c++ $(EMUFLAGS) -MMD -MP -c -o $@ $<

ROOMOBJ  := $(BUILD)/bench/device.o $(BUILD)/bench/measure.o
$(EMUTEST): $(BUILD)/tests/emu/%: $(BUILD)/tests/emu/%.o $(EMUOBJ) $(TESTAUX) $(ROOMOBJ) $(BUILD)/libthor.a
	$(CXX) $(LDFLAGS) -o $@ $< $(EMUOBJ) $(TESTAUX) $(ROOMOBJ) $(BUILD)/libthor.a $(LDLIBS) -lcmocka -lgmp

# the same with every access of a kernel watched, for races and reads of what nobody wrote
RACETEST := $(if $(SAN),,$(addsuffix _race,$(filter-out %/test_known_emu %/test_cuda_layers,$(EMUTEST))))
RACEOBJ  := $(EMUOBJ:$(BUILD)/emu/%=$(BUILD)/race/%)
WATCHED  := $(patsubst kernels/cuda/%.cu,$(BUILD)/race/%.o,$(wildcard kernels/cuda/*.cu)) $(BUILD)/race/bugs.o
$(WATCHED): WATCH := -fsanitize=thread

$(BUILD)/race/%.o: tests/emu/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(EMUFLAGS) -DEMU_RACE $(WATCH) -MMD -MP -c -o $@ $<

$(BUILD)/race/%.o: kernels/cuda/%.cu
	@mkdir -p $(@D)
	$(CXX) -x c++ $(EMUFLAGS) -DEMU_RACE $(WATCH) -MMD -MP -c -o $@ $<

$(RACETEST): $(BUILD)/tests/emu/%_race: $(BUILD)/tests/emu/%.o $(RACEOBJ) $(TESTAUX) $(BUILD)/libthor.a
	$(CXX) $(LDFLAGS) -o $@ $< $(RACEOBJ) $(TESTAUX) $(BUILD)/libthor.a $(LDLIBS) -lcmocka -lgmp

# the program over the emulation, to see its command line with a device
$(BUILD)/emu/thor: $(APPOBJ) $(EMUOBJ) $(BUILD)/libthor.a
	$(CXX) $(LDFLAGS) -o $@ $(APPOBJ) $(EMUOBJ) $(BUILD)/libthor.a $(LDLIBS)

# ---- the same tests on a GPU, linked with what nvcc made
GPUTEST  := $(patsubst tests/emu/%.c,$(BUILD)/tests/gpu/%,$(sort $(wildcard tests/emu/test_cuda_*.c)))
$(GPUTEST): $(BUILD)/tests/gpu/%: $(BUILD)/tests/emu/%.o $(CUOBJ) $(TESTAUX) $(BUILD)/libthor.a $(BUILD)/cuda.state
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(CUOBJ) $(TESTAUX) $(BUILD)/libthor.a $(LDLIBS) $(CULIBS) -lcmocka -lgmp

gpu-programs: $(BUILD)/thor $(GPUTEST)

check-gpu:
	@$(MAKE) --no-print-directory -s $(JOBS) CUDA=1 which gpu-programs
	@sh tests/gpu.sh $(BUILD)

# programs and their libraries for a machine with a GPU that cannot build: bring build/gpu-pack there
PACK     := build/gpu-pack
gpu-pack:
	@$(MAKE) --no-print-directory -s $(JOBS) CUDA=1 MPI=0 BUILD=build/gpu which gpu-programs
	@rm -rf $(PACK) && mkdir -p $(PACK)/tests/gpu $(PACK)/lib
	@cp build/gpu/thor $(PACK)/ && cp $(GPUTEST:$(BUILD)/%=build/gpu/%) $(PACK)/tests/gpu/
	@ldd $(PACK)/thor $(PACK)/tests/gpu/* | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u | \
	    grep -v -E '/(libc|libm|libdl|librt|libpthread)\.so' | xargs -I{} cp -L {} $(PACK)/lib/
	@du -sh $(PACK)

# ---- checks beyond `make check`
cuda-check:
	@sh tests/emu/nvcc.sh '$(CUNVCC)' '-std=c++17 -O3 -I. -fmad=false -Xcompiler -Wall,-Wextra $(CUCODE)' \
	    build/nvcc $(sort $(wildcard kernels/cuda/*.cu))

# machine instructions by kernel: what can be said of speed without a GPU
NVDISASM ?= $(firstword $(shell command -v nvdisasm 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvdisasm))
cuda-sass:
	@sh tests/emu/sass.sh '$(CUNVCC)' '$(NVDISASM)' '$(or $(SASSARCH),90)' build/nvcc $(CUSRC)

emu-race: $(RACETEST)
	@set -e; for t in $(RACETEST); do $$t; done

.PHONY: which nvcc gpu-programs check-gpu gpu-pack cuda-check cuda-sass emu-race
