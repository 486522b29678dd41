/* Libraries opened late: with them HTTP is there, and without them it says so. */
#include <dlfcn.h>

#include "libextism/testing.h"

static const char *missing; /* what dlopen does not find */
static int opened;

void *__real_dlopen(const char *name, int how);
void *__wrap_dlopen(const char *name, int how);

void *__wrap_dlopen(const char *name, int how)
{
    opened++;
    return __real_dlopen(missing && strcmp(name, missing) == 0 ? "libweir-there-is-none.so" : name, how);
}

/* Why a module from a port where nobody listens is not there. */
static const char *fetched(void)
{
    return refusal_of("{\"wasm\":[{\"url\":\"http://127.0.0.1:1/a.wasm\"}]}", false);
}

TEST(late, a_library_that_is_missing_is_named_and_looked_for_again)
{
    static const char *const names[] = {"libuv.so.1", "libcurl.so.4"};
    CHECK_INT(opened, 0);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        missing = names[k];
        CHECK_HAS(fetched(), "HTTP needs a library that cannot be opened: libweir-there-is-none.so");
    }
    missing = NULL;
    CHECK_HAS(fetched(), "127.0.0.1:1");
    int before = opened;
    CHECK_HAS(fetched(), "127.0.0.1:1");
    CHECK_INT(opened, before);
}

TEST(late, a_plugin_without_http_opens_nothing)
{
    int before = opened;
    ExtismPlugin *p = plugin_of("(module (func (export \"f\") (result i32) (i32.const 0)))");
    CHECK_INT(call_of(p, "f", ""), 0);
    extism_plugin_free(p);
    CHECK_INT(opened, before);
}
