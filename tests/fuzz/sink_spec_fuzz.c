/* Specs of sinks from anywhere: what is read is text within bounds, and a secret is in no error text. */
#include "sink/spec.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"stream", NULL};
    const spec_rules rules = {.scheme = "redis", .port = size & 1 ? 6379 : 0, .options = names, .any_option = size & 2, .path = size & 4};
    char rest[SPEC_MAX + 64], shown[300], secret[SPEC_MAX + 128];
    weir_error err = WEIR_ERROR_INIT;
    spec s;

    if (size >= sizeof rest)
        return 0;
    memcpy(rest, data, size);
    rest[size] = '\0';
    spec_mask(shown, sizeof shown, rest);
    assert(strlen(shown) < sizeof shown);
    if (spec_read(&s, &rules, rest, &err) == WEIR_OK) {
        assert(*s.host && s.port && strlen(s.path) < SPEC_MAX && s.options <= SPEC_OPTIONS);
        uint64_t n = 5;
        if (spec_number(&s, "stream", 1, 10, &n, &err) == WEIR_OK)
            assert(n >= 1 && n <= 10);
    }
    /* whatever stands around it */
    if (strchr(rest, '@') || strstr(rest, "QzXw"))
        return 0;
    snprintf(secret, sizeof secret, "//u:QzXw%s@h", rest);
    spec_read(&s, &rules, secret, &err);
    assert(!strstr(s.shown, "QzXw") && !strstr(err.text, "QzXw"));
    return 0;
}
