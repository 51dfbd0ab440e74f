# Fuzzing of every parser.  `make fuzz` builds the targets with clang's libFuzzer, or with gcc and the driver
# mutate.c where clang is absent, both under the address and undefined-behaviour sanitizers, and runs each for
# FUZZ_SECONDS.  `make check` runs the same for THOR_FUZZ seconds a target (10).  HAVECLANG= forces gcc.
FUZZ_SECONDS ?= 3600
FUZZBUILD ?= $(if $(HAVECLANG),build/fuzz,build/san)
FUZZNAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZAUX   := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(addprefix tests/,fuzz/fuzz.c fuzz/splitwire.c \
             fuzz/splitfiles.c keyfiles.c scratch.c tinyfiles.c))
FUZZLINK  ?= $(BUILD)/tests/fuzz/mutate.o
FUZZBIN   := $(FUZZNAMES:%=$(BUILD)/fuzz/fuzz_%)
OMPDIR     = $(shell $(CC) -print-file-name=include)
HAVECLANG ?= $(shell echo 'int LLVMFuzzerTestOneInput(void){return 0;}' | \
             clang -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null && echo yes)

fuzz:
	@$(MAKE) --no-print-directory -s fuzz-programs
	@sh tests/fuzz/run.sh $(FUZZBUILD)/fuzz '$(FUZZ_SECONDS)' $(FUZZNAMES)

WITHCLANG  = OPT=-O1 CC=clang FUZZLINK=-fsanitize=fuzzer \
             SAN='$(SANFLAGS) -fsanitize=fuzzer-no-link -fno-openmp -idirafter $(OMPDIR)'
WITHGCC    = OPT=-O1 KERNELOPT=-O3 SAN='$(SANFLAGS)'

fuzz-programs:
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=$(FUZZBUILD) $(if $(HAVECLANG),$(WITHCLANG),$(WITHGCC)) fuzz-link

fuzz-link: $(FUZZBIN) $(BUILD)/fuzz/seeds

$(FUZZBIN): $(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZAUX) $(BUILD)/libthor.a $(filter %.o,$(FUZZLINK))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(filter -%,$(FUZZLINK)) -o $@ $^ $(LDLIBS) -lcmocka -lgomp

$(BUILD)/fuzz/seeds: $(BUILD)/tests/fuzz/seeds.o $(FUZZAUX) $(BUILD)/libthor.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka -lgomp

.PHONY: fuzz fuzz-programs fuzz-link
