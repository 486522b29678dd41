/* Settings: what counts more, what is refused and how it is said, and that the sample says the defaults. */
#include "daemon/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/lib/test.h"

static weir_code read_text(settings *s, const char *text, weir_error *err)
{
    char path[] = "/tmp/weir-settings-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    weir_code code = settings_read_file(s, path, err);
    unlink(path);
    return code;
}

TEST(settings, a_flag_counts_more_than_the_environment_and_that_more_than_the_file)
{
    weir_error err = WEIR_ERROR_INIT;
    settings *s = settings_new();
    CHECK_UINT(settings_number(s, "listen.port"), 8080);
    CHECK_OK(settings_set(s, "listen.port", "1", FROM_FLAG, &err));
    setenv("WEIR_LISTEN_PORT", "2", 1);
    setenv("WEIR_LOG_LEVEL", "debug", 1);
    CHECK_OK(settings_read_environment(s, &err));
    CHECK_OK(read_text(s, "name = \"n\"\n[listen]\nport = 3\n[log]\nlevel = \"error\"\n", &err));
    unsetenv("WEIR_LISTEN_PORT");
    unsetenv("WEIR_LOG_LEVEL");
    CHECK_UINT(settings_number(s, "listen.port"), 1);
    CHECK_TEXT(settings_text(s, "log.level"), "debug");
    CHECK_TEXT(settings_text(s, "name"), "n");
    CHECK_INT(settings_source(s, "name"), FROM_FILE);
    settings_free(s);
}

TEST(settings, units_are_read)
{
    weir_error err = WEIR_ERROR_INIT;
    settings *s = settings_new();
    CHECK_OK(read_text(s, "drain = \"90s\"\n[history]\nsize = \"64MiB\"\nage = \"2d\"\n[venues]\noverrides = [\"a=b\", \"c=d\"]\n", &err));
    CHECK_UINT(settings_number(s, "drain"), 90000);
    CHECK_UINT(settings_number(s, "history.size"), 64u << 20);
    CHECK_UINT(settings_number(s, "history.age"), 2 * 86400000u);
    CHECK_TEXT(settings_list(s, "venues.overrides")[1], "c=d");
    CHECK(settings_list(s, "venues.overrides")[2] == NULL);
    CHECK_OK(settings_set(s, "venues.overrides", "e=f", FROM_FLAG, &err));
    CHECK_OK(settings_set(s, "venues.overrides", "g=h", FROM_FLAG, &err));
    CHECK_TEXT(settings_list(s, "venues.overrides")[0], "e=f");
    CHECK_TEXT(settings_list(s, "venues.overrides")[1], "g=h");
    settings_free(s);
}

TEST(settings, what_makes_no_sense_is_named_with_what_would)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"listn = 1\n", "there is no setting 'listn'"},
        {"[listen]\nprot = 1\n", "there is no setting 'listen.prot'; did you mean 'listen.port'?"},
        {"port = 1\n", "did you mean 'listen.port'?"},
        {"[listen]\nport = \"http\"\n", "'listen.port' is 'http'; a whole number is wanted, such as 8080"},
        {"[listen]\nport = 70000\n", "'listen.port' is '70000'"},
        {"[listen]\nport = -1\n", "'listen.port' is '-1'"},
        {"[listen]\nport = [1]\n", "'listen.port'"},
        {"[history]\nsize = \"much\"\n", "a size is wanted, such as 64MiB"},
        {"[history]\nsize = \"99999999999TiB\"\n", "a size is wanted"},
        {"[history]\nage = 7\n", "with its unit"},
        {"[log]\nlevel = \"loud\"\n", "one of these is wanted: trace debug info warn error off"},
        {"[api]\nmetrics_open = \"maybe\"\n", "true or false is wanted"},
        {"[venues]\noverrides = \"a=b\"\n", "is a list of texts"},
        {"[venues]\noverrides = [1]\n", "is a list of texts"},
        {"listen = 1\n", "there is no setting 'listen'"},
        {"[[listen]]\nport = 1\n", "listen"},
        {"name = \"a\\u0000b\"\n", "holds a NUL"},
        {"name = \n", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        settings *s = settings_new();
        if (!read_text(s, cases[i].text, &err) || !strstr(err.text, cases[i].says))
            test_fail(__FILE__, __LINE__, "%s: '%s', not '%s'", cases[i].text, err.text, cases[i].says);
        settings_free(s);
    }
}

/* With every '#' before a value taken away, the sample is a file that says nothing new. */
TEST(settings, the_sample_is_a_file_of_all_defaults)
{
    weir_error err = WEIR_ERROR_INIT;
    char path[] = "/tmp/weir-sample-XXXXXX", *text;
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "w+");
    buf sample;
    settings *s = settings_new();
    CHECK(out != NULL);
    settings_print_sample(out);
    fclose(out);
    buf_init(&sample, 1 << 20);
    CHECK_OK(file_read(&sample, path, &err));
    buf_add_char(&sample, '\0');
    for (text = strstr(sample.at, "\n#"); text; text = strstr(text + 1, "\n#"))
        if (text[2] != ' ')
            text[1] = ' ';
    CHECK_OK(read_text(s, sample.at, &err));
    for (const setting *t = settings_table; t->name; t++) {
        if (t->type != SETTING_LIST)
            CHECK_TEXT(settings_text(s, t->name), t->value);
        CHECK_INT(settings_source(s, t->name), FROM_FILE);
    }
    buf_fini(&sample);
    settings_free(s);
    unlink(path);
}

TEST(settings, a_reload_takes_what_can_be_taken_and_names_the_rest)
{
    weir_error err = WEIR_ERROR_INIT;
    settings *now = settings_new(), *next = settings_new();
    buf names;
    buf_init(&names, 1000);
    CHECK_OK(read_text(next, "drain = \"1s\"\n[listen]\nport = 9\n[venues]\nlifetimes = [\"a=1h\"]\n", &err));
    settings_beyond_reload(now, next, &names);
    buf_add_char(&names, '\0');
    CHECK_TEXT(names.at, "listen.port, venues.lifetimes");
    settings_take_reloaded(now, next, NULL);
    CHECK_UINT(settings_number(now, "drain"), 1000);
    CHECK_UINT(settings_number(now, "listen.port"), 8080);
    settings *later = settings_new();
    CHECK_OK(read_text(later, "drain = \"2s\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n", &err));
    settings_take_reloaded(now, later, "tls.");
    CHECK_UINT(settings_number(now, "drain"), 2000);
    CHECK_TEXT(settings_text(now, "tls.certificate"), "");
    settings_free(later);
    buf_fini(&names);
    settings_free(now);
    settings_free(next);
}

TEST(settings, memory_that_is_out_is_survived)
{
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        settings *s = settings_new();
        if (s && settings_set(s, "venues.overrides", "a=b", FROM_FLAG, &err))
            CHECK_INT(err.code, WEIR_NOMEM);
        settings_free(s);
    }
}
