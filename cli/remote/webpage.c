#include "cli/remote/webpage.h"

#include <string.h>

/* The assembler puts the file's bytes between the two names; it reads from the project's folder. */
#define EMBED(name, file)                                                                          \
    extern const char name[], name##_end[];                                                        \
    __asm__(".section .rodata\n" #name ": .incbin \"cli/remote/page/" file "\"\n" #name            \
            "_end: .byte 0\n.previous\n")

EMBED(webpage_html, "web.html");
EMBED(webpage_css, "web.css");
EMBED(webpage_js, "web.js");
EMBED(webpage_tune, "tune.js");
EMBED(webpage_icon, "icon.svg");

static const struct webpage files[] = {
    {"", "text/html; charset=utf-8", webpage_html, webpage_html_end},
    {"web.css", "text/css; charset=utf-8", webpage_css, webpage_css_end},
    {"web.js", "text/javascript; charset=utf-8", webpage_js, webpage_js_end},
    {"tune.js", "text/javascript; charset=utf-8", webpage_tune, webpage_tune_end},
    {"icon.svg", "image/svg+xml", webpage_icon, webpage_icon_end},
};

const struct webpage *webpage_find(const char *name) {
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(files[i].name, name) == 0) return &files[i];
    return NULL;
}
