# `make mutants`: does a small mistake in kernels/ or ckks/ fail a test?  See tests/mutants/README.md.
MUTANTS   ?= 110
MUTBUILD  ?= build/mutants
MUTSAN    ?= build/san
MUTTESTS  := $(addprefix tests/test_,kernels kernels_gmp linmap extents lazy engine contracts precision determinism boot random security \
             leakage forged file damage serial) tests/faults/test_faults
MUTSANTESTS := $(addprefix tests/test_,engine contracts precision boot security)

mutants:
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=$(MUTBUILD) OPT=-O1 $(addprefix $(MUTBUILD)/,$(MUTTESTS))
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=$(MUTSAN) OPT=-O1 SAN='$(SANFLAGS)' $(addprefix $(MUTSAN)/,$(MUTSANTESTS))
	@sh tests/mutants/run.sh '$(CC)' $(MUTBUILD) $(MUTSAN) '$(SANFLAGS)' $(MUTANTS)

.PHONY: mutants
