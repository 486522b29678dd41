/* Specs: what they say, what is refused, and that no text ever shows a secret. */
#include "sink/sink.h"
#include "sink/spec.h"
#include "tests/lib/test.h"

#include <unistd.h>

static const char *const names[] = {"stream", "maxlen", NULL};
static const spec_rules redis = {.scheme = "redis", .port = 6379, .options = names, .path = true};

TEST(spec, says_user_host_port_path_and_options)
{
    weir_error err = WEIR_ERROR_INIT;
    spec s;
    CHECK_OK(spec_read(&s, &redis, "//weir:p%40ss%2Fword@redis.example:7000/3?stream=a%26b&maxlen=64k", &err));
    CHECK_TEXT(s.user, "weir");
    CHECK_TEXT(s.password, "p@ss/word");
    CHECK_TEXT(s.host, "redis.example");
    CHECK_UINT(s.port, 7000);
    CHECK_TEXT(s.path, "3");
    CHECK_TEXT(spec_option(&s, "stream"), "a&b");
    uint64_t n = 7;
    CHECK_OK(spec_number(&s, "maxlen", 1, 1 << 20, &n, &err));
    CHECK_UINT(n, 65536);
    CHECK_TEXT(s.shown, "redis://weir:***@redis.example:7000/3?stream=a%26b&maxlen=64k");
}

TEST(spec, leaves_out_what_is_usual)
{
    weir_error err = WEIR_ERROR_INIT;
    spec s;
    uint64_t n = 7;
    CHECK_OK(spec_read(&s, &redis, "//[::1]", &err));
    CHECK_TEXT(s.host, "::1");
    CHECK_UINT(s.port, 6379);
    CHECK_TEXT(s.path, "");
    CHECK_TEXT(s.password, "");
    CHECK_OK(spec_number(&s, "maxlen", 1, 10, &n, &err));
    CHECK_UINT(n, 7);
    CHECK(spec_option(&s, "stream") == NULL);
    CHECK_OK(spec_read(&s, &redis, "//[::1]:80/?", &err));
    CHECK_UINT(s.port, 80);
}

TEST(spec, refuses_nonsense_with_a_text_and_without_the_secret)
{
    static const struct {
        const char *rest, *text;
    } cases[] = {
        {"", "expected redis://HOST:PORT"},
        {"host", "expected redis://HOST:PORT"},
        {"//", "no host and port"},
        {"//:hunter2@", "no host and port"},
        {"//h:", "no host and port"},
        {"//h:0", "no host and port"},
        {"//h:65536", "no host and port"},
        {"//h:12x", "no host and port"},
        {"//h:-1", "no host and port"},
        {"//[::1", "no host and port"},
        {"//[::1]x", "no host and port"},
        {"//:hunter2/3@h", "as %2F"},
        {"//:hunter2?3@h", "as %2F"},
        {"//:hunter2#3@h", "as %2F"},
        {"//:hunter2%zz@h", "no host and port"},
        {"//h/%1", "nothing sensible"},
        {"//h/%0a", "nothing sensible"},
        {"//h?stream", "options are NAME=VALUE"},
        {"//h?=x", "options are NAME=VALUE"},
        {"//h?stream=%", "options are NAME=VALUE"},
        {"//h?password=hunter2", "there is no option 'password'; there are stream, maxlen"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        spec s;
        CHECK_INT(spec_read(&s, &redis, cases[i].rest, &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i].text);
        CHECK(!strstr(err.text, "hunter2"));
    }
}

TEST(spec, numbers_have_a_range)
{
    static const char *const bad[] = {"", "x", "-1", "1x", "0", "11", "1kk", "99999999999999999999", "16777216G"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weir_error err = WEIR_ERROR_INIT;
        char rest[64];
        spec s;
        uint64_t n = 7;
        snprintf(rest, sizeof rest, "//h?maxlen=%s", bad[i]);
        CHECK_OK(spec_read(&s, &redis, rest, &err));
        CHECK_INT(spec_number(&s, "maxlen", 1, 10, &n, &err), WEIR_INVALID);
        CHECK_HAS(err.text, "expected a number from 1 to 10");
        CHECK_UINT(n, 7);
    }
}

TEST(spec, password_may_stand_in_a_file)
{
    static const char *const with[] = {"password_file", NULL};
    static const spec_rules rules = {.scheme = "redis", .port = 6379, .options = with};
    weir_error err = WEIR_ERROR_INIT;
    char path[] = "/tmp/weir-spec-XXXXXX", rest[100];
    spec s;
    int fd = mkstemp(path);
    snprintf(rest, sizeof rest, "//u@h?password_file=%s", path);
    CHECK_INT(spec_read(&s, &rules, rest, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "the first line of password_file '/tmp/weir-spec-");
    CHECK(write(fd, "hunter2 \r\nmore\n", 15) == 15);
    CHECK_OK(spec_read(&s, &rules, rest, &err));
    CHECK_TEXT(s.password, "hunter2 ");
    CHECK_TEXT(s.user, "u");
    CHECK_HAS(s.shown, "password_file=/tmp/weir-spec-");
    close(fd);
    unlink(path);
    CHECK_INT(spec_read(&s, &rules, rest, &err), WEIR_SYSTEM);
    CHECK_HAS(err.text, "cannot be read: No such file");
}

TEST(spec, overlong_is_refused)
{
    weir_error err = WEIR_ERROR_INIT;
    char rest[SPEC_MAX + 10];
    spec s;
    memset(rest, 'x', sizeof rest);
    memcpy(rest, "//", 2);
    rest[sizeof rest - 1] = '\0';
    CHECK_INT(spec_read(&s, &redis, rest, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "more than 2047 characters");
}

TEST(spec, mask_hides_every_secret)
{
    static const struct {
        const char *spec, *shown;
    } cases[] = {
        {"ndjson:out.jsonl", "ndjson:out.jsonl"},
        {"redis://h", "redis://h"},
        {"redis://:p@h", "redis://:***@h"},
        {"redis://u:p:q@h/1", "redis://u:***@h/1"},
        {"redis://u:p/q?x@h/1", "redis://u:***@h/1"},
        {"redis://u:p@ss@h/1", "redis://u:***@h/1"},
        {"redis://u@h", "redis://u@h"},
        {"nats://token@h", "nats://***@h"},
        {"kafka://h/t?sasl.password=x&acks=all", "kafka://h/t?sasl.password=***&acks=all"},
        {"kafka://h/t?a=b&SSL.Key.Password=x", "kafka://h/t?a=b&SSL.Key.Password=***"},
        {"nats://h?token=x", "nats://h?token=***"},
        {"kafka://h/t?ssl.key.pem=x&a=b", "kafka://h/t?ssl.key.pem=***&a=b"},
        {"redis://h?password_file=/x", "redis://h?password_file=/x"},
        {"x\n\x1b", "x??"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char shown[100], cut[9];
        sink_mask(shown, sizeof shown, cases[i].spec);
        CHECK_TEXT(shown, cases[i].shown);
        sink_mask(cut, sizeof cut, cases[i].spec);
        CHECK(strncmp(cut, cases[i].shown, 8) == 0 && strlen(cut) <= 8);
    }
}
