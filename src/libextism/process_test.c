/* What a process has once: where compiled files go. */
#include <stdio.h>
#include <unistd.h>

#include "libextism/testing.h"

/* The folder, or the error's text. */
static const char *cache(void)
{
    static char said[600];
    buf folder;
    weir_error err = WEIR_ERROR_INIT;
    buf_init(&folder, 4096);
    weir_code code = process_cache(&folder, &err);
    snprintf(said, sizeof said, "%s", code ? err.text : folder.at);
    buf_fini(&folder);
    return said;
}

static const char *cache_by(const char *toml)
{
    char path[] = "/tmp/weir-cache-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    fputs(toml, f);
    fclose(f);
    setenv("EXTISM_CACHE_CONFIG", path, 1);
    const char *said = cache();
    remove(path);
    return said;
}

TEST(process, the_cache_is_where_its_variable_says)
{
    setenv("HOME", "/home/somebody", 1);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("EXTISM_CACHE_CONFIG");
    CHECK_TEXT(cache(), "/home/somebody/.cache/weir/extism");
    setenv("XDG_CACHE_HOME", "/cache", 1);
    CHECK_TEXT(cache(), "/cache/weir/extism");
    setenv("XDG_CACHE_HOME", "relative", 1);
    CHECK_TEXT(cache(), "/home/somebody/.cache/weir/extism");
    setenv("EXTISM_CACHE_CONFIG", "", 1);
    CHECK_TEXT(cache(), "");
    CHECK_TEXT(cache_by("[cache]\ndirectory = \"/there\"\n"), "/there/weir");
    CHECK_TEXT(cache_by("[cache]\nenabled = false\n"), "");
    CHECK_HAS(cache_by("[cache]\n"), "it has no \"directory\" in its section [cache]");
    CHECK_HAS(cache_by("nonsense"), "EXTISM_CACHE_CONFIG '/tmp/weir-cache-");
    setenv("EXTISM_CACHE_CONFIG", "/no/such/file", 1);
    CHECK_HAS(cache(), "/no/such/file");
    CHECK_HAS(refusal_of("(module)", false), "EXTISM_CACHE_CONFIG '/no/such/file'");
}
