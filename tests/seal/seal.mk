# `make check-seal SEAL=PREFIX`: files in both directions against Microsoft SEAL 4 that is installed under PREFIX (seen
# with 4.4.3), for 100 cases a level; `make seal-fixtures` makes tests/data/seal again.  Nothing else needs SEAL.  To
# get it:
#   git clone https://github.com/microsoft/SEAL && cmake -S SEAL -B b -DSEAL_USE_MSGSL=OFF -DSEAL_USE_ZLIB=OFF
#   -DSEAL_USE_ZSTD=OFF -DSEAL_USE_INTEL_HEXL=OFF && cmake --build b && cmake --install b --prefix PREFIX
SEAL    ?=
SEALINC  = $(firstword $(wildcard $(SEAL)/include/SEAL-4.*))
SEALLIB  = $(firstword $(wildcard $(SEAL)/lib/libseal-4.*.a))

$(BUILD)/seal/ours: $(BUILD)/tests/seal/ours.o $(BUILD)/libthor.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/seal/driver: tests/seal/driver.cpp tests/seal/values.h
	@test -n '$(SEALLIB)' || { echo 'SEAL=PREFIX: the place where Microsoft SEAL 4 is installed' >&2; exit 2; }
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -O2 -Wall -Wextra -Werror -I. -isystem $(SEALINC) -o $@ $< $(SEALLIB) -lpthread

check-seal: $(BUILD)/seal/ours $(BUILD)/seal/driver
	@sh tests/seal/check.sh $(BUILD)/seal

seal-fixtures: $(BUILD)/seal/ours $(BUILD)/seal/driver
	@sh tests/seal/fixtures.sh $(BUILD)/seal

.PHONY: check-seal seal-fixtures
