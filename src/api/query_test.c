#include "api/query.h"

#include "tests/lib/test.h"

static char text[QUERY_TEXT_MAX * 4];
static weir_error err;

static const char *decoded(const char *from, bool plus)
{
    buf b;
    buf_init(&b, QUERY_TEXT_MAX);
    err = (weir_error)WEIR_ERROR_INIT;
    weir_code code = query_decode(&b, bytes_of(from), plus, "id", &err);
    snprintf(text, sizeof text, "%s", code ? err.text : b.at);
    buf_fini(&b);
    return text;
}

static const char *object(const char *query, const char *known)
{
    buf b;
    buf_init(&b, QUERY_TEXT_MAX);
    err = (weir_error)WEIR_ERROR_INIT;
    weir_code code = query_json(&b, bytes_of(query), known, &err);
    snprintf(text, sizeof text, "%.*s", code ? WEIR_ERROR_TEXT : (int)b.len, code ? err.text : b.at);
    buf_fini(&b);
    return text;
}

TEST(query, decodes_what_a_path_may_hold_and_refuses_the_rest)
{
    CHECK_TEXT(decoded("woox-datasource", false), "woox-datasource");
    CHECK_TEXT(decoded("a%20b+c%2F%C3%A4", false), "a b+c/\xc3\xa4");
    CHECK_TEXT(decoded("a+b%2b", true), "a b+");
    CHECK_HAS(decoded("a%2", false), "two hexadecimal digits");
    CHECK_HAS(decoded("%", false), "two hexadecimal digits");
    CHECK_HAS(decoded("%zz", false), "two hexadecimal digits");
    CHECK_HAS(decoded("a%00b", false), "control character (octet 0)");
    CHECK_HAS(decoded("%1b[31m", false), "control character (octet 27)");
    CHECK_HAS(decoded("%C3%28", false), "no valid UTF-8");
    CHECK_HAS(decoded("%ff", false), "no valid UTF-8");
}

TEST(query, fits_paths_to_templates_segment_by_segment)
{
    bytes p[2];
    CHECK(query_path("/v1/plugins", BYTES("/v1/plugins"), p));
    CHECK(!query_path("/v1/plugins", BYTES("/v1/plugins/"), p));
    CHECK(!query_path("/v1/plugins", BYTES("/v1/plugin"), p));
    CHECK(!query_path("/v1/plugins/{id}", BYTES("/v1/plugins/"), p));
    CHECK(!query_path("/v1/plugins/{id}", BYTES("/v1/plugins"), p));
    CHECK(query_path("/v1/plugins/{id}", BYTES("/v1/plugins/a%2Fb"), p));
    CHECK_BYTES(p[0], BYTES("a%2Fb"));
    CHECK(query_path("/v1/connections/{id}/commands/{name}", BYTES("/v1/connections/7/commands/getMarkets"), p));
    CHECK_BYTES(p[0], BYTES("7"));
    CHECK_BYTES(p[1], BYTES("getMarkets"));
    CHECK(!query_path("/v1/plugins/{id}", BYTES("/v1/plugins/../audit"), p));
    CHECK(!query_path("/v1/plugins", BYTES(""), p));
    CHECK(!query_path("/v1/plugins", BYTES("*"), p));
}

TEST(query, makes_an_object_of_a_query)
{
    CHECK_TEXT(object("", "force"), "{}");
    CHECK_TEXT(object("force=1", "force"), "{\"force\":\"1\"}");
    CHECK_TEXT(object("&a=1&&b=x%20y%22&c", "a b c"), "{\"a\":\"1\",\"b\":\"x y\\\"\",\"c\":\"\"}");
    CHECK_TEXT(object("%61=1", "a"), "{\"a\":\"1\"}");
    CHECK_TEXT(object("x=1", "force limit"), "there is no query parameter 'x' here; there are: force limit");
    CHECK_TEXT(object("x=1", ""), "there is no query parameter 'x' here, nor any other");
    CHECK_HAS(object("=1", "force"), "there is no query parameter ''");
    CHECK_TEXT(object("a=1&a=2", "a"), "query parameter 'a' comes twice");
    CHECK_HAS(object("a=%ff", "a"), "a '%ff' is no valid UTF-8");
}

TEST(query, refuses_a_query_that_is_too_long)
{
    static char longest[3 * QUERY_TEXT_MAX];
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest, "a=", 2);
    CHECK_HAS(object(longest, "a"), "longer than 8192 octets");
}
