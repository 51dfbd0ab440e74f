# Fuzzing of every parser.  `make fuzz` builds the targets with clang's libFuzzer, or with gcc and the driver
# mutate.c where clang is absent, both under the address and undefined-behaviour sanitizers, and runs each for
# FUZZ_SECONDS.  `make check` runs the same with a small dose.
FUZZ_SECONDS ?= 3600
FUZZBUILD := build/fuzz
FUZZNAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZAUX   := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(addprefix tests/,fuzz/fuzz.c keyfiles.c scratch.c tinyfiles.c))
FUZZLINK  ?= $(BUILD)/tests/fuzz/mutate.o
FUZZBIN   := $(FUZZNAMES:%=$(BUILD)/fuzz/fuzz_%)
SANBASE   := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -w
OMPDIR     = $(shell $(CC) -print-file-name=include)
HAVECLANG  = $(shell echo 'int LLVMFuzzerTestOneInput(void){return 0;}' | \
             clang -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null && echo yes)

fuzz:
	@$(MAKE) --no-print-directory -s fuzz-programs
	@sh tests/fuzz/run.sh $(FUZZBUILD)/fuzz '$(FUZZ_SECONDS)' $(FUZZNAMES)

fuzz-programs:
ifneq ($(HAVECLANG),)
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=$(FUZZBUILD) CC=clang OPT=-O1 FUZZLINK=-fsanitize=fuzzer \
	    SAN='$(SANBASE) -fsanitize=fuzzer-no-link -fno-openmp -idirafter $(OMPDIR)' fuzz-link
else
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=$(FUZZBUILD) OPT=-O1 SAN='$(SANBASE)' fuzz-link
endif

fuzz-link: $(FUZZBIN) $(BUILD)/fuzz/seeds

$(FUZZBIN): $(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZAUX) $(BUILD)/libthor.a $(filter %.o,$(FUZZLINK))
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(filter -%,$(FUZZLINK)) -o $@ $^ $(LDLIBS) -lcmocka -lgomp

$(BUILD)/fuzz/seeds: $(BUILD)/tests/fuzz/seeds.o $(FUZZAUX) $(BUILD)/libthor.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka -lgomp

.PHONY: fuzz fuzz-programs fuzz-link
