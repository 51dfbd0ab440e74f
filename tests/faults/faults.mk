# Failing memory and disks, and processes killed at any moment.  In `make check` at a small dose;
# `make faults` tries every place, and 200 moments.
comma     := ,
FAULTTEST := $(BUILD)/tests/faults/test_faults $(BUILD)/tests/faults/test_kill
FAULTWRAP := $(if $(findstring address,$(SAN)),$(addprefix -Wl$(comma)--wrap=,malloc calloc realloc))
TESTBIN   += $(FAULTTEST)
tests: $(FAULTTEST)

$(BUILD)/tests/faults/test_faults: $(BUILD)/tests/faults/test_faults.o $(BUILD)/tests/faults/interpose.o $(TESTAUX) \
                                   $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) $(FAULTWRAP) -o $@ $^ $(LDLIBS) -lcmocka -lgmp

# The samplers wrapped, to mark what they hand out.
$(BUILD)/tests/test_consttime: LDFLAGS += $(addprefix -Wl$(comma)--wrap=ckks_rng_,ternary cbd21 sparse)

faults: $(FAULTTEST) $(BUILD)/thor
	FAULT_PLACES=0 $(BUILD)/tests/faults/test_faults
	KILLS=200 $(BUILD)/tests/faults/test_kill
	KILLS=200 sh tests/faults/kill.sh $(BUILD)/thor

.PHONY: faults
