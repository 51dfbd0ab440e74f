/* Adapters in PEFT's layout: the tensors, beside a fixed adapter_config.json. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "split/adapterfile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/splitfiles.h"

static char config[64];

static void remove_config(void) {
    unlink(config);
}

static void make_config(const char *folder) {
    snprintf(config, sizeof config, "%s/adapter_config.json", folder);
    FILE *f = fopen(config, "w");
    FUZZ_MUST(f && fputs("{\"peft_type\":\"LORA\",\"r\":1,\"lora_alpha\":2}", f) >= 0);
    FUZZ_MUST(fclose(f) == 0);
    atexit(remove_config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct split_base b;
    struct split_adapter a;
    const char *folder = fuzz_folder("adapter_model.safetensors", data, size);
    if (!config[0]) make_config(folder);
    splitfiles_base(&b);
    const int st = split_adapter_load(&a, folder, &b);
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (a.values != NULL));
    if (st == THOR_OK) FUZZ_MUST(split_base_fits(&b, &a) == THOR_OK);
    for (size_t i = 0; i < a.n; i++) FUZZ_MUST(isfinite(a.values[i]));
    split_adapter_free(&a);
    return 0;
}
