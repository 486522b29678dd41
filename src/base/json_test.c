/* JSON: what is taken, what is refused and where, what getters answer, what is
 * written. */
#include "base/json.h"
#include "base/rand.h"
#include "tests/lib/test.h"

#include <locale.h>
#include <math.h>

static weir_error err;

static json read_text(const char *text)
{
    json doc;
    CHECK_OK(json_read(&doc, bytes_of(text), &err));
    return doc;
}

TEST(json, takes_every_kind_of_value)
{
    static const struct {
        const char *text;
        json_type type;
    } good[] = {
        {"null", JSON_NULL},
        {" true ", JSON_TRUE},
        {"\r\n\tfalse", JSON_FALSE},
        {"0", JSON_NUMBER},
        {"-0", JSON_NUMBER},
        {"-12.50e+07", JSON_NUMBER},
        {"1E5", JSON_NUMBER},
        {"0.000000123456", JSON_NUMBER},
        {"1e99999", JSON_NUMBER},
        {"\"\"", JSON_STRING},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00\"", JSON_STRING},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", JSON_STRING},
        {"\"\\ud800\"", JSON_STRING},
        {"[]", JSON_ARRAY},
        {"[ ]", JSON_ARRAY},
        {"[1,[2,{}],{\"a\":[]} ]", JSON_ARRAY},
        {"{}", JSON_OBJECT},
        {"{ \"a\" : 1 , \"a\" : { \"b\" : [ null ] } }", JSON_OBJECT},
        {"{\"\":\"\"}", JSON_OBJECT},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_INT(read_text(good[i].text).type, good[i].type);
    CHECK_BYTES(read_text(" [1, 2 ]\n").raw, BYTES("[1, 2 ]"));
}

TEST(json, refuses_what_is_none)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "nul",
                                      "nulL",
                                      "truefalse",
                                      "tru",
                                      "+1",
                                      "01",
                                      "-01",
                                      "-",
                                      "1.",
                                      ".5",
                                      "1.e5",
                                      "1e",
                                      "1e+",
                                      "0x10",
                                      "NaN",
                                      "Infinity",
                                      "1 2",
                                      "1,",
                                      "\"",
                                      "\"a",
                                      "\"\\",
                                      "\"\\x\"",
                                      "\"\\u12g4\"",
                                      "\"\\u123\"",
                                      "\"\\u",
                                      "\"\n\"",
                                      "\"\t\"",
                                      "'a'",
                                      "[",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1}",
                                      "]",
                                      "{",
                                      "{\"a\"",
                                      "{\"a\":",
                                      "{\"a\":1",
                                      "{\"a\":1,",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{a:1}",
                                      "{1:1}",
                                      "{\"a\" 1}",
                                      "{\"a\":}",
                                      "{\"a\":1]",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\",1}",
                                      "[]]",
                                      "{}{}",
                                      "/**/1",
                                      "1//",
                                      "\xef\xbb\xbf\x31",
                                      "\"\x80\"",
                                      "\"\xc0\xaf\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xf4\x90\x80\x80\"",
                                      "\"\xe2\x82\"",
                                      "\"\xff\"",
                                      "\v1",
                                      "1\f",
                                      "[\"a\",\n4\n,1,",
                                      "{\"a\":\"\xc3\"}",
                                      "--1",
                                      "1-2",
                                      "1e5.5"};
    char piece[64];
    json doc, a;
    const json_field want[] = {{"a", &a}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bytes text = bytes_make(memcpy(piece, bad[i], strlen(bad[i])),
                                strlen(bad[i])); /* no NUL behind */
        if (json_read(&doc, text, &err) != WEIR_INVALID)
            test_fail(__FILE__, __LINE__, "'%s' is taken", bad[i]);
        CHECK_HAS(err.text, "JSON: ");
        CHECK_INT(doc.type, JSON_NONE);
        CHECK_UINT(json_read_fields(text, want, 1, &err), WEIR_INVALID);
        CHECK_INT(a.type, JSON_NONE);
    }
    CHECK_UINT(json_read(&doc, BYTES("1\0"), &err), WEIR_INVALID);
    CHECK_UINT(json_read(&doc, BYTES("\"\0\""), &err), WEIR_INVALID);
    CHECK_UINT(json_read(&doc, BYTES("\"\\\0\""), &err), WEIR_INVALID);
    CHECK_UINT(json_read(&doc, (bytes){0}, &err), WEIR_INVALID);
    CHECK_UINT(json_read_fields((bytes){0}, want, 1, &err), WEIR_INVALID);
}

TEST(json, says_where_and_why)
{
    static const char *const cases[][2] = {
        {"{\"a\":1,\"name\" 5}",
         "JSON: octet 15: expected ':' after a member's name"},
        {"[1,2", "JSON: octet 5: the text ends inside an array"},
        {"{\"a\":\"\xff\"}", "JSON: octet 7: octets that are no UTF-8"},
        {"[1 2]", "JSON: octet 4: expected ',' or ']' after an item"},
        {"x", "JSON: octet 1: expected a value"},
        {"1 x", "JSON: octet 3: expected nothing more after the value"},
    };
    json doc;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_UINT(json_read(&doc, bytes_of(cases[i][0]), &err), WEIR_INVALID);
        CHECK_TEXT(err.text, cases[i][1]);
    }
    CHECK_UINT(json_read_fields(BYTES("[1]"), NULL, 0, &err), WEIR_INVALID);
    CHECK_TEXT(err.text, "JSON: octet 1: expected an object, '{'");
}

TEST(json, nests_to_its_depth_and_no_deeper)
{
    char text[2 * 100000 + 8];
    json doc, inner;
    const json_field want[] = {{"a", &inner}};
    for (int object = 0; object < 2; object++) {
        const char *open = object ? "{\"a\":" : "[";
        size_t step = strlen(open);
        for (size_t depth = JSON_DEPTH - 1; depth <= JSON_DEPTH + 1; depth++) {
            for (size_t i = 0; i < depth; i++)
                memcpy(text + i * step, open, step);
            text[depth * step] = '1';
            memset(text + depth * step + 1, object ? '}' : ']', depth);
            bytes all = bytes_make(text, depth * (step + 1) + 1);
            CHECK_UINT(json_read(&doc, all, &err),
                       depth > JSON_DEPTH ? WEIR_INVALID : WEIR_OK);
            if (object)
                CHECK_UINT(json_read_fields(all, want, 1, &err),
                           depth > JSON_DEPTH ? WEIR_INVALID : WEIR_OK);
        }
        CHECK_HAS(err.text, "nested deeper than 128 levels");
    }
    memset(text, '[', sizeof text);
    CHECK_UINT(json_read(&doc, bytes_make(text, sizeof text), &err),
               WEIR_INVALID);
}

TEST(json, refuses_every_text_cut_short)
{
    static const char whole[] =
        "{\"topic\":\"SPOT_BTC_USDT@trade\",\"ts\":1618820361552,\"data\":{"
        "\"price\":56749.15,\"s\":\"\\u00e9\xc3\xa9\",\"a\":[true,false,null,-1e-"
        "5]}}";
    json doc;
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        char *exact = malloc(
            len ? len
                : 1); /* on the heap, so that a sanitizer sees an octet too many */
        CHECK(exact != NULL);
        memcpy(exact, whole, len);
        CHECK_UINT(json_read(&doc, bytes_make(exact, len), &err), WEIR_INVALID);
        free(exact);
    }
    CHECK_OK(json_read(&doc, bytes_of(whole), &err));
}

TEST(json, finds_an_octet_out_of_place_anywhere_in_a_string)
{
    char text[100];
    json doc;
    for (size_t len = 2; len < sizeof text; len++)
        for (size_t at = 1; at < len - 1; at++) {
            memset(text, 'a', len);
            text[0] = text[len - 1] = '"';
            CHECK_OK(json_read(&doc, bytes_make(text, len), &err));
            for (size_t k = 0; k < 4; k++) {
                text[at] = "\x1f\x80\xff\\"[k];
                CHECK_UINT(json_read(&doc, bytes_make(text, len), &err), WEIR_INVALID);
            }
        }
}

TEST(json, picks_members_in_one_pass)
{
    json url, id, gone, deep, twice;
    const json_field want[] = {{"url", &url},
                               {"id", &id},
                               {"gone", &gone},
                               {"deep", &deep},
                               {"url", &twice}};
    CHECK_OK(json_read_fields(
        BYTES(" {\"id\" : 7, \"x\":{\"url\":0}, \"ur\":1, \"urls\":2, "
              "\"\\u0075rl\":\"w\", \"deep\":[ 1 ], \"id\":8 } "),
        want, 5, &err));
    CHECK_BYTES(url.raw, BYTES("\"w\""));
    CHECK_BYTES(id.raw, BYTES("8")); /* the last one wins */
    CHECK_INT(gone.type, JSON_NONE);
    CHECK_BYTES(deep.raw, BYTES("[ 1 ]"));
    CHECK_BYTES(twice.raw, BYTES("\"w\""));
    CHECK_OK(json_read_fields(BYTES("{}"), want, 5, &err));
    CHECK_INT(url.type, JSON_NONE);
}

TEST(json, allocates_nothing_in_reading)
{
    uint64_t before = fault_allocations();
    json a, b;
    double d;
    const json_field want[] = {{"a", &a}, {"b", &b}};
    CHECK_OK(json_read_fields(
        BYTES("{\"a\":[1,2,{\"x\":\"\\n\"}],\"b\":0.1e-300}"), want, 2, &err));
    CHECK(json_f64(b, &d) && json_member(a, "x").type == JSON_NONE);
    CHECK_UINT(fault_allocations(), before);
}

TEST(json, walks_arrays_and_objects)
{
    json key, item,
        doc = read_text("{ \"a\\\"]\" : [ 1,\"x]\\\\\" , {\"b\":[[]]} ,true ] , "
                        "\"c\":-1.5e3 , \"d\" : \"\" }");
    char seen[200] = "";
    for (json_iter it = json_each(doc); json_next(&it, &key, &item);)
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s=%.*s;",
                 (int)key.raw.len, key.raw.at, (int)item.raw.len, item.raw.at);
    CHECK_TEXT(seen, "\"a\\\"]\"=[ 1,\"x]\\\\\" , {\"b\":[[]]} ,true "
                     "];\"c\"=-1.5e3;\"d\"=\"\";");
    seen[0] = '\0';
    for (json_iter it = json_each(json_member(doc, "a\"]"));
         json_next(&it, &key, &item);) {
        CHECK_INT(key.type, JSON_NONE);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%d:%.*s;",
                 item.type, (int)item.raw.len, item.raw.at);
    }
    CHECK_TEXT(seen, "4:1;5:\"x]\\\\\";7:{\"b\":[[]]};3:true;");
    json_iter none = json_each(read_text("5"));
    CHECK(!json_next(&none, &key, &item));
    none = json_each(read_text("[ ]"));
    CHECK(!json_next(&none, &key, &item));
    CHECK_INT(json_member(read_text("[]"), "a").type, JSON_NONE);
    CHECK_UINT(json_fields(read_text("[]"), NULL, 0, &err), WEIR_INVALID);
}

TEST(json, whole_numbers_are_exact_in_any_spelling)
{
    static const struct {
        const char *text;
        bool fits_i, fits_u;
        int64_t i;
        uint64_t u;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"-0", true, true, 0, 0},
        {"5.0", true, true, 5, 5},
        {"5e0", true, true, 5, 5},
        {"50e-1", true, true, 5, 5},
        {"0.5e1", true, true, 5, 5},
        {"1.50", false, false, 0, 0},
        {"5e-1", false, false, 0, 0},
        {"-7", true, false, -7, 0},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", false, true, 0, UINT64_C(9223372036854775808)},
        {"-9223372036854775808", true, false, INT64_MIN, 0},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", false, true, 0, UINT64_MAX},
        {"18446744073709551616", false, false, 0, 0},
        {"1e18", true, true, INT64_C(1000000000000000000),
         UINT64_C(1000000000000000000)},
        {"9.223372036854775807e18", true, true, INT64_MAX, INT64_MAX},
        {"1e20", false, false, 0, 0},
        {"0e99999999999999", true, true, 0, 0},
        {"0.000e-5", true, true, 0, 0},
        {"1e99999999999999", false, false, 0, 0},
        {"1e-99999999999999", false, false, 0, 0},
        {"12300e-2", true, true, 123, 123},
        {"1.0000000000000000000000000", true, true, 1, 1},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int64_t i = 99;
        uint64_t u = 99;
        json value = read_text(cases[k].text);
        if (json_i64(value, &i) != cases[k].fits_i ||
            i != (cases[k].fits_i ? cases[k].i : 99))
            test_fail(__FILE__, __LINE__, "'%s' reads as %lld", cases[k].text,
                      (long long)i);
        if (json_u64(value, &u) != cases[k].fits_u ||
            u != (cases[k].fits_u ? cases[k].u : 99))
            test_fail(__FILE__, __LINE__, "'%s' reads as %llu", cases[k].text,
                      (unsigned long long)u);
    }
}

static void check_f64(const char *text)
{
    double got = 0, want = strtod(text, NULL);
    if (!json_f64(read_text(text), &got) || memcmp(&got, &want, sizeof got) != 0)
        test_fail(__FILE__, __LINE__, "'%s' reads as %.17g, expected %.17g", text,
                  got, want);
}

TEST(json, doubles_are_the_nearest)
{
    static const char *const texts[] = {"0",
                                        "-0",
                                        "0.1",
                                        "-12.5e3",
                                        "3.14159265358979323846264338327950288",
                                        "1e22",
                                        "1e23",
                                        "9007199254740993",
                                        "4.9e-324",
                                        "2.2250738585072011e-308",
                                        "1.7976931348623157e308",
                                        "0.000000123456",
                                        "123456789012345e-22",
                                        "1e-400",
                                        "0e400",
                                        "8.5e-323",
                                        "0.30000000000000004",
                                        "100000000000000000000000000000e-29"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_f64(texts[i]);
    char text[64];
    rand_seeded r = {5};
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "%s%llu.%0*llue%d", i & 1 ? "-" : "",
                 (unsigned long long)(rand_next(&r) >> rand_next(&r) % 64),
                 (int)(rand_next(&r) % 20) + 1,
                 (unsigned long long)(rand_next(&r) >> rand_next(&r) % 64),
                 (int)(rand_next(&r) % 600) - 300);
        double got;
        if (isfinite(strtod(text, NULL)))
            check_f64(text);
        else
            CHECK(!json_f64(read_text(text), &got));
    }
}

TEST(json, doubles_with_thousands_of_digits_are_the_nearest)
{
    static char text[4000];
    /* The smallest denormal in full. */
    int len = snprintf(text, sizeof text, "%.1075f", 0x1p-1074);
    CHECK(len > 1000);
    check_f64(text);
    memset(text, '9', 3000);
    text[3000] = '\0';
    memcpy(text + 2990, "e-2990", 7);
    check_f64(text);
    strcpy(text, "9007199254740993.");
    memset(text + strlen(text), '0', 2000);
    text[2017] = '\0';
    check_f64(text); /* a tie: to the even neighbour */
    text[2016] = '1';
    check_f64(text); /* a hair above it */
}

TEST(json, getters_refuse_other_types)
{
    int64_t i;
    uint64_t u;
    double d;
    bool b = false;
    bytes s;
    CHECK(json_bool(read_text("true"), &b) && b &&
          json_bool(read_text("false"), &b) && !b);
    CHECK(!json_bool(read_text("0"), &b) && !json_i64(read_text("\"5\""), &i) &&
          !json_u64(read_text("true"), &u) && !json_f64(read_text("null"), &d));
    static const char *const no_numbers[] = {"", "one", "5x", "-", "1e", "5.", "+5", " 5"}; /* a string's, taken for one */
    for (size_t k = 0; k < sizeof no_numbers / sizeof *no_numbers; k++)
        CHECK(!json_i64((json){JSON_NUMBER, bytes_of(no_numbers[k])}, &i) &&
              !json_u64((json){JSON_NUMBER, bytes_of(no_numbers[k])}, &u));
    CHECK(!json_f64(read_text("1e999"), &d) &&
          !json_string_slice(read_text("5"), &s) &&
          !json_is(read_text("5"), "5") &&
          json_string_dup(read_text("5")) == NULL);
    CHECK(!json_bool((json){0}, &b) && !json_f64((json){0}, &d) &&
          !json_string_slice((json){0}, &s) && !json_is((json){0}, ""));
}

TEST(json, strings_decode)
{
    static const char *const pairs[][2] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"",
         "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\\ud800\"", "\xef\xbf\xbd"},
        {"\"\\ud800\\u0041\"", "\xef\xbf\xbd\x41"},
        {"\"\\udc00\\ud800\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\ud800\\ud800\\udc00\"", "\xef\xbf\xbd\xf0\x90\x80\x80"},
        {"\"x\\ud800\\n\"", "x\xef\xbf\xbd\n"}};
    buf b;
    bytes slice;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        json value = read_text(pairs[i][0]);
        buf_clear(&b);
        CHECK(json_string_add(value, &b));
        CHECK_BYTES(buf_bytes(&b), bytes_of(pairs[i][1]));
        CHECK(json_is(value, pairs[i][1]) && !json_is(value, "other"));
        char *copy = json_string_dup(value);
        CHECK_TEXT(copy, pairs[i][1]);
        free(copy);
    }
    CHECK(json_string_slice(read_text("\"plain\""), &slice) &&
          bytes_is(slice, "plain") &&
          !json_string_slice(read_text("\"\\n\""), &slice));
    CHECK(!json_is(read_text("\"ab\""), "a") &&
          !json_is(read_text("\"a\""), "ab") &&
          !json_is(read_text("\"a\\u0000b\""), "a"));
    CHECK(json_string_dup(read_text("\"a\\u0000\"")) == NULL);
    buf_fini(&b);
    FAULT_SWEEP(alloc) {
        free(json_string_dup(read_text("\"plain\"")));
    }
}

static const char *written(buf *b)
{
    static char text[400];
    snprintf(text, sizeof text, "%.*s", (int)b->len, b->at);
    buf_clear(b);
    return text;
}

TEST(json, writes_strings_that_read_back)
{
    buf b, back;
    buf_init(&b, 4000);
    buf_init(&back, 4000);
    json_put_string(&b, BYTES("a\"\\/\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\0"));
    CHECK_TEXT(written(&b),
               "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa9\\u0000\"");
    json_put_string(&b, BYTES("\xff"
                              "a\xe2\x82"
                              "b\xc3"));
    CHECK_TEXT(written(&b), "\"\xef\xbf\xbd"
                            "a\xef\xbf\xbd\xef\xbf\xbd"
                            "b\xef\xbf\xbd\"");
    json_put_string(&b, (bytes){0});
    CHECK_TEXT(written(&b), "\"\"");
    rand_seeded r = {11};
    for (int i = 0; i < 3000; i++) {
        char text[40];
        size_t len = rand_next(&r) % sizeof text;
        for (size_t k = 0; k < len; k++)
            text[k] =
                (char)(rand_next(&r) % 3 ? rand_next(&r) % 0x80 : rand_next(&r));
        json_put_string(&b, bytes_make(text, len));
        json doc;
        CHECK_OK(json_read(&doc, buf_bytes(&b), &err));
        json_string_add(doc, &back);
        if (bytes_utf8(bytes_make(text, len)))
            CHECK_MEM(back.at, back.len, text, len);
        buf_clear(&b);
        buf_clear(&back);
    }
    buf_fini(&b);
    buf_fini(&back);
}

TEST(json, writes_members_with_commas_between)
{
    buf b;
    buf_init(&b, 400);
    buf_add_char(&b, '{');
    json_put_member(&b, "a{", BYTES("x{"));
    json_put_key(&b, "b");
    buf_add_char(&b, '{');
    json_put_key(&b, "c");
    json_put_f64(&b, 1);
    buf_add_text(&b, "}");
    json_put_key(&b, "d");
    json_put_text(&b, "{");
    json_put_key(&b, "e");
    json_put_text(&b, "y");
    buf_add_char(&b, '}');
    CHECK_TEXT(written(&b),
               "{\"a{\":\"x{\",\"b\":{\"c\":1},\"d\":\"{\",\"e\":\"y\"}");
    buf_fini(&b);
}

TEST(json, writes_doubles_shortly_and_exactly)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-5, "-5"},
                 {0.1, "0.1"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e15, "1000000000000000"},
                 {9007199254740992.0, "9007199254740992"},
                 {1e21, "1e+21"},
                 {1.5e-7, "1.5e-07"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {3.14159, "3.14159"},
                 {NAN, "null"},
                 {INFINITY, "null"},
                 {-INFINITY, "null"}};
    buf b;
    buf_init(&b, 400);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_put_f64(&b, cases[i].value);
        CHECK_TEXT(written(&b), cases[i].text);
    }
    rand_seeded r = {13};
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rand_next(&r);
        double value, back = 0;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        json_put_f64(&b, value);
        CHECK(json_f64(read_text(written(&b)), &back) &&
              memcmp(&back, &value, sizeof back) == 0);
    }
    buf_fini(&b);
}

TEST(json, numbers_do_not_depend_on_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE",
                                        "fr_FR"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]);
    if (!found)
        test_skip("no locale with a decimal comma is installed");
    buf b;
    double d = 0;
    buf_init(&b, 100);
    json_put_f64(&b, 0.25);
    bool read = json_f64(read_text("12345678901234567890.25e-3"), &d);
    setlocale(LC_NUMERIC, "C");
    CHECK_TEXT(written(&b), "0.25");
    CHECK(read && d == 12345678901234567.89025);
    buf_fini(&b);
}

TEST(json, compacts_what_lies_between_tokens_and_nothing_else)
{
    buf b;
    buf_init(&b, 400);
    json_put_compact(&b, read_text(" { \"a b\" : [ 1 , \"x \\\" y\\\\\" ,\n{ } , "
                                   "-1.50e3 ] ,\t\"c\":null } "));
    CHECK_TEXT(written(&b),
               "{\"a b\":[1,\"x \\\" y\\\\\",{},-1.50e3],\"c\":null}");
    json_put_compact(&b, read_text("{\"a\":1}"));
    CHECK_TEXT(written(&b), "{\"a\":1}");
    buf_fini(&b);
}

/* The members behind a comma are read as they are in the whole object, and nothing else is taken. */
TEST(json, reads_the_rest_of_an_object)
{
    static const char *const wrong[] = {"", " ", "}", "\"a\":1", "\"a\":1} x", "\"a\":1,}", "1}"};
    err = (weir_error)WEIR_ERROR_INIT;
    json a, b;
    const json_field want[] = {{"a", &a}, {"b", &b}};
    CHECK_OK(json_read_rest(BYTES(" \"b\" : [1, {}] , \"c\":null}\n"), want, 2, &err));
    CHECK_UINT(a.type, JSON_NONE);
    CHECK_BYTES(b.raw, BYTES("[1, {}]"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_UINT(json_read_rest(bytes_of(wrong[i]), want, 2, &err), WEIR_INVALID);
        CHECK_UINT(a.type, JSON_NONE);
    }
}

/* An object is read to its end, whatever follows, and counts the levels around it. */
TEST(json, reads_an_object_that_something_follows)
{
    static const char *const wrong[] = {"", " {}", "[]", "1", "{", "{\"a\":1", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":\"\xff\"}", "{\"a\":[}]"};
    json a;
    const json_field want[] = {{"a", &a}};
    bytes text = BYTES("{\"b\":{\"a\":1},\"\\u0061\":[2, {}]},{\"a\":3");
    const char *end = json_read_part(text, 2, want, 1);
    CHECK(end && *end == ',');
    CHECK_BYTES(a.raw, BYTES("[2, {}]"));
    CHECK(json_read_part(BYTES("{}x"), JSON_DEPTH - 1, want, 1) != NULL);
    CHECK(json_read_part(BYTES("{}x"), JSON_DEPTH, want, 1) == NULL);
    CHECK(json_read_part(BYTES("{\"a\":[]}"), JSON_DEPTH - 2, want, 1) != NULL);
    CHECK(json_read_part(BYTES("{\"a\":[]}"), JSON_DEPTH - 1, want, 1) == NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(json_read_part(bytes_of(wrong[i]), 0, want, 1) == NULL);
        CHECK_INT(a.type, JSON_NONE);
    }
}
