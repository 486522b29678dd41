/* spec.h: what a sink's spec says of a server: "redis://user:password@host:6379/0?stream=weir&maxlen=100000".
 *
 * Texts are decoded (%41). An option that the sink does not know is refused with the list of those that it knows. No
 * error text quotes what may hold a secret. The option password_file, of those that have it, names a file whose first line is the
 * password: `ps` shows everybody's arguments. */
#ifndef SINK_SPEC_H
#define SINK_SPEC_H

#include "base/buf.h"

#define SPEC_MAX 2048
#define SPEC_OPTIONS 24

typedef struct spec_rules {
    const char *scheme;
    uint16_t port;              /* when it says none; 0: it must say one */
    const char *const *options; /* their names, NULL at the end */
    bool any_option;            /* others are the sink's matter (a library's settings) */
    bool path;                  /* something may stand behind the host */
} spec_rules;

typedef struct spec {
    char text[SPEC_MAX];                       /* what the others point into */
    const char *user, *password, *host, *path; /* "" where there is none; path without its first slash */
    uint16_t port;
    size_t options;
    const char *name[SPEC_OPTIONS], *value[SPEC_OPTIONS];
    char secret[512]; /* out of password_file */
    char shown[256];  /* for texts: "redis://:***@host:6379/0" */
} spec;

/* `rest` is what follows "scheme:". WEIR_INVALID. */
weir_code spec_read(spec *out, const spec_rules *rules, const char *rest, weir_error *err);
/* "unix:/path?window=10": what stands ahead of the '?' is `path`, as it is. */
weir_code spec_read_path(spec *out, const spec_rules *rules, const char *rest, weir_error *err);
const char *spec_option(const spec *s, const char *name); /* NULL: not said */
/* A whole number from `min` to `max`, also "64k", "10M", "2G"; *out keeps its value if the option is not there. */
weir_code spec_number(const spec *s, const char *name, uint64_t min, uint64_t max, uint64_t *out, weir_error *err);

/* "a=1&b=2", decoded in place, into name and value. False: too many, or one without '='. */
bool spec_take_options(spec *s, char *query);

/* Any spec with its secrets as ***: the user information behind its colon (all of it without one and of nats, a token), and
 * options whose name has password, secret, token or the like in it. Cut at `size`. */
void spec_mask(char *out, size_t size, const char *text);

#endif
