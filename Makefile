# thor: encrypted BERT.  `make demo` and `make check` are all a newcomer needs; `make help` lists the rest.
CC       ?= gcc
BUILD    ?= build
OPT      ?= -O3
SAN      ?=
WARN     := -Wall -Wextra -Wconversion -Werror
CFLAGS   := -std=c11 -D_GNU_SOURCE $(OPT) -g $(WARN) -fopenmp -I. $(SAN)
LDFLAGS  := -fopenmp $(SAN)
LDLIBS   := -ljansson -lutf8proc -lsodium -lxxhash -lm
LAYERS   := kernels ckks bert bench cli

SRC      := $(foreach d,kernels ckks bert,$(sort $(wildcard $(d)/*.c)))
LIBOBJ   := $(SRC:%.c=$(BUILD)/%.o)
APPOBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bench/*.c) $(wildcard cli/*.c)))
TESTSRC  := $(sort $(wildcard tests/test_*.c))
TESTBIN  := $(TESTSRC:tests/%.c=$(BUILD)/tests/%)
TESTAUX  := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(TESTSRC),$(sort $(wildcard tests/*.c))))

all: thor

thor: $(APPOBJ) $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) -o $@ $(APPOBJ) $(BUILD)/libthor.a $(LDLIBS)

$(BUILD)/libthor.a: $(LIBOBJ)
	rm -f $@ && ar rcs $@ $(LIBOBJ)

$(BUILD)/%_avx2.o: TIER := -mavx2 -mfma
$(BUILD)/%_avx512.o: TIER := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512ifma
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(TIER) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TESTAUX) $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) -o $@ $< $(TESTAUX) $(BUILD)/libthor.a $(LDLIBS) -lcmocka -lgmp

tests: $(TESTBIN)

clean:
	rm -rf $(BUILD) thor

.PHONY: all tests clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
