#include "host/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/lib/test.h"

static uint64_t now = 1700000000 * NS_PER_S;
static char folder[] = "/tmp/weir-answers-XXXXXX";

static uint64_t clock_now(void)
{
    return now;
}

static weir_error err;

static void key_of(char key[ANSWERS_KEY], const char *config, const char *params)
{
    json doc = {0};
    CHECK_OK(json_read(&doc, bytes_of(params), &err));
    answers_key(key, "digest", config, BYTES("getMarkets"), doc);
}

static const char *found(const char *key)
{
    static buf out;
    buf_fini(&out);
    buf_init(&out, SIZE_MAX);
    if (!answers_find(&out, folder, key))
        return "none";
    buf_add_char(&out, '\0');
    return out.at;
}

TEST(answers, are_named_after_the_question_and_not_its_order)
{
    char a[ANSWERS_KEY], b[ANSWERS_KEY];
    key_of(a, "{}", "{\"a\":1,\"b\":[1, 2]}");
    key_of(b, "{}", "{\"b\":[1,2],\"a\":1}");
    CHECK_TEXT(a, b);
    key_of(b, "{}", "{\"b\":[1,2],\"a\":2}");
    CHECK(strcmp(a, b) != 0);
    key_of(b, "{\"key\":1}", "{\"a\":1,\"b\":[1,2]}");
    CHECK(strcmp(a, b) != 0);
}

TEST(answers, are_found_until_they_are_too_old)
{
    char key[ANSWERS_KEY];
    CHECK(mkdtemp(folder) != NULL);
    clock_replace(clock_now, NULL);
    key_of(key, NULL, "{}");
    CHECK_TEXT(found(key), "none");
    answers_keep(folder, key, BYTES("{\"result\":true}"), 60);
    CHECK_TEXT(found(key), "{\"result\":true}");
    now += 59 * NS_PER_S;
    CHECK_TEXT(found(key), "{\"result\":true}");
    now += 2 * NS_PER_S;
    CHECK_TEXT(found(key), "none");
    clock_replace(NULL, NULL);
}

TEST(answers, in_files_that_are_damaged_are_none)
{
    char key[ANSWERS_KEY], path[300];
    key_of(key, NULL, "{\"x\":1}");
    answers_keep(folder, key, BYTES("x"), 1u << 20);
    snprintf(path, sizeof path, "%s/answers/%s", folder, key);
    CHECK_OK(file_replace(path, BYTES("what"), &err));
    CHECK_TEXT(found(key), "none");
    CHECK(access(path, F_OK) != 0);
    answers_keep("/proc/no/such", key, BYTES("x"), 5); /* said in the log */
    answers_keep("", key, BYTES("x"), 5);
    CHECK_TEXT(found(key), "none");
}
