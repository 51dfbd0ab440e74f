# For blind.py: thor that keeps in clear what it sends encrypted, and a search for it.
BLIND := $(if $(filter 1,$(REMOTE)),$(BUILD)/tests/serve/recorder $(BUILD)/tests/serve/findruns)
$(BUILD)/tests/serve/recorder: $(BUILD)/tests/serve/recorder.o $(APPOBJ) $(CUOBJ) $(BUILD)/libthor.a
	$(CC) $(LDFLAGS) -Wl,--wrap=split_remote_open -o $@ $< $(APPOBJ) $(CUOBJ) $(BUILD)/libthor.a $(LDLIBS) $(CULIBS)
$(BUILD)/tests/serve/findruns: $(BUILD)/tests/serve/findruns.o
	$(CC) $(LDFLAGS) -o $@ $<
suite: $(BLIND)

# The long doses of the server's tests; `make check` does a few seconds of each.
serve-load: $(BUILD)/thor $(BUILD)/thor-eval
	LOAD_SECONDS=600 LOAD_CLIENTS=200 LOAD_WARM=20 LOAD_BUSY=0.95 python3 tests/serve/load.py $(BUILD)

serve-hostile:
	@$(MAKE) --no-print-directory -s $(JOBS) BUILD=build/san CUDA=0 OPT=-O1 KERNELOPT=-O3 SAN='$(SANFLAGS)' build/san/thor build/san/thor-eval
	HOSTILE=10000 LORIS=500 python3 tests/serve/hostile.py build/san

serve-kill: $(BUILD)/thor $(BUILD)/thor-eval
	SERVE_KILLS=100 python3 tests/serve/kill.py $(BUILD)

# keys at full size, GB/s and CPU seconds a GB, into a folder (STORE) that is the bottleneck or not
serve-upload: $(BUILD)/thor $(BUILD)/thor-eval
	python3 tests/serve/upload.py $(BUILD) $(or $(STORE),/dev/shm)

.PHONY: serve-load serve-hostile serve-kill serve-upload
