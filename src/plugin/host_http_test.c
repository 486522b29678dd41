/* http_request, ours and Extism's, over a fake network. */
#include "plugin/testing.h"

static const http_header reply_headers[] = {
    {BYTES("Content-Type"), BYTES("application/json")},
    {BYTES("Set-Cookie"), BYTES("a=1")},
    {BYTES("X-\"Odd"), BYTES("v")},
    {BYTES("Set-Cookie"), BYTES("b=2")},
};

TEST(http_request, answers_both_spellings_of_the_status_and_headers_as_lists)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "http_request", "{\"url\":\"https://venue.example/x\",\"method\":\"POST\",\"headers\":{\"A\":\"1\"},\"body\":\"aGVsbG8=\"}", 0);
    CHECK(!f.over);
    CHECK_TEXT(f.url, "POST https://venue.example/x");
    CHECK_TEXT(f.headers, "A=1;");
    CHECK_TEXT(f.http_body, "hello");
    CHECK_UINT(f.request.timeout_ms, 30000);
    CHECK_UINT(f.request.max_body, 50u << 20);
    CHECK(f.request.allows == NULL);
    fake_respond(&f, &(world_http_reply){.status = 418, .headers = reply_headers, .header_count = 4, .body = BYTES("no\ntea")});
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), "{\"status\":418,\"statusCode\":418,\"headers\":{\"Content-Type\":[\"application/json\"],"
                                   "\"Set-Cookie\":[\"a=1\",\"b=2\"],\"X-\\\"Odd\":[\"v\"]},\"body\":\"bm8KdGVh\"}");
    fake_end(&f);
}

TEST(http_request, needs_no_method_no_headers_and_no_body)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "http_request", "{\"url\":\"https://venue.example/\",\"headers\":null,\"body\":null}", 0);
    CHECK_TEXT(f.url, "GET https://venue.example/");
    CHECK_TEXT(f.http_body, "");
    fake_respond(&f, &(world_http_reply){.status = 204});
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), "{\"status\":204,\"statusCode\":204,\"headers\":{},\"body\":\"\"}");
    fake_end(&f);
}

TEST(http_request, reads_a_body_with_escapes_in_its_base64)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "http_request", "{\"url\":\"https:\\/\\/venue.example\\/\",\"method\":\"PUT\",\"body\":\"Pz8\\/\"}", 0);
    CHECK_TEXT(f.url, "PUT https://venue.example/");
    CHECK_TEXT(f.http_body, "???");
    fake_respond(&f, &(world_http_reply){.status = 200});
    fake_turn(&f);
    CHECK_HAS(text_of(&f.output), "{\"status\":200");
    fake_end(&f);
}

TEST(http_request, says_why_there_is_no_reply)
{
    static const char *const bad[][2] = {
        {"{", "no JSON"},
        {"{}", "\\\"url\\\" is missing or no string"},
        {"{\"url\":[]}", "\\\"url\\\" is missing or no string"},
        {"{\"url\":\"https://x\",\"body\":7}", "neither base64 text nor null"},
        {"{\"url\":\"https://x\",\"body\":\"%%%\"}", "\\\"body\\\""},
        {"{\"url\":\"https://x\",\"headers\":{\"a\":null}}", "is no string"},
    };
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *answer = fake_ask(&f, "http_request", bad[i][0]);
        CHECK_HAS(answer, "{\"status\":0,\"statusCode\":0,\"headers\":null,\"body\":null,\"error\":\"");
        CHECK_HAS(answer, i ? bad[i][1] : "error");
    }
    f.http_code = WEIR_REFUSED;
    CHECK_HAS(fake_ask(&f, "http_request", "{\"url\":\"https://x\"}"), "\"error\":\"the fake world asks nobody\"");
    f.http_code = WEIR_OK;
    fake_call(&f, "http_request", "{\"url\":\"https://x\"}", 0);
    fake_respond(&f, &(world_http_reply){.error = {WEIR_NETWORK, "no such host"}});
    fake_turn(&f);
    CHECK_HAS(text_of(&f.output), "\"error\":\"no such host\"");
    fake_end(&f);
}

TEST(http_request, is_bounded_in_a_second)
{
    fake f;
    policy_limits limits = policy_defaults;
    limits.requests_per_s = 1;
    fake_begin(&f, "ask.wasm", &limits);
    f.http_code = WEIR_REFUSED;
    for (int i = 0; i < 2; i++)
        CHECK_HAS(fake_ask(&f, "http_request", "{\"url\":\"https://x\"}"), "asks nobody");
    CHECK_HAS(fake_ask(&f, "http_request", "{\"url\":\"https://x\"}"), "more than 1 HTTP requests in a second");
    fake_later(&f, 1000);
    CHECK_HAS(fake_ask(&f, "http_request", "{\"url\":\"https://x\"}"), "asks nobody");
    fake_end(&f);
}

TEST(http_request, is_cancelled_with_its_call)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "http_request", "{\"url\":\"https://x\"}", 500);
    fake_later(&f, 500);
    CHECK_INT(f.cancels, 1);
    CHECK_INT(f.code, WEIR_TIMEOUT);
    CHECK_HAS(text_of(&f.why), "it was waiting in http_request");
    fake_end(&f);

    fake_begin(&f, "ask.wasm", NULL); /* the answer is there, and then the call is cancelled */
    fake_call(&f, "http_request", "{\"url\":\"https://x\"}", 0);
    fake_respond(&f, &(world_http_reply){.status = 200});
    task_cancel(f.task, WEIR_CANCELLED, "enough");
    fake_turn(&f);
    CHECK_INT(f.cancels, 0);
    CHECK_INT(f.code, WEIR_CANCELLED);
    fake_end(&f);
}

/* ---- Extism's own ---- */

#define EXTISM_HTTP                                                                                      \
    "(module (import \"extism:host/env\" \"http_request\" (func $h (param i64 i64) (result i64)))"       \
    "(import \"extism:host/env\" \"http_headers\" (func $hh (result i64)))"                              \
    "(import \"extism:host/env\" \"input_offset\" (func $in (result i64)))"                              \
    "(import \"extism:host/env\" \"length\" (func $len (param i64) (result i64)))"                       \
    "(import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"                            \
    "(func $say (param $o i64) (call $out (local.get $o) (call $len (local.get $o))))"                   \
    "(func (export \"body\") (result i32) (call $say (call $h (call $in) (i64.const 0))) (i32.const 0))" \
    "(func (export \"headers\") (result i32) (drop (call $h (call $in) (i64.const 0))) (call $say (call $hh)) (i32.const 0)))"

TEST(extism_http, gives_the_body_and_asks_allowed_hosts_at_every_hop)
{
    ERR;
    fake f;
    fake_begin(&f, EXTISM_HTTP, NULL);
    fake_call(&f, "body", "{\"url\":\"https://api.example/x\",\"method\":\"GET\",\"headers\":{\"A\":\"1\"}}", 0);
    CHECK(!f.over);
    CHECK_TEXT(f.url, "GET https://api.example/x");
    CHECK(f.request.allows != NULL);
    static const struct {
        const char *url;
        bool ok;
    } hops[] = {
        {"https://other.example/", true},
        {"https://user@other.example:8443/x?y#z", true},
        {"https://evil.test/", false},
        {"https://evil.test/?https://other.example/", false},
        {"https://other.example@evil.test/", false},
        {"https://other.example:x@evil.test:1/", false},
        {"https://[::1]/.example", false},
        {"https://evil.test#@other.example", false},
        {"no url", false},
    };
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++)
        if ((f.request.allows(f.request.allows_arg, bytes_of(hops[i].url), &err) == WEIR_OK) != hops[i].ok)
            test_fail(__FILE__, __LINE__, "%s", hops[i].url);
    fake_respond(&f, &(world_http_reply){.status = 200, .body = BYTES("the body")});
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), "the body");
    fake_end(&f);
}

TEST(extism_http, gives_headers_in_lower_case)
{
    fake f;
    fake_begin(&f, EXTISM_HTTP, NULL);
    fake_call(&f, "headers", "{\"url\":\"https://api.example/x\"}", 0);
    fake_respond(&f, &(world_http_reply){.status = 200, .headers = reply_headers, .header_count = 1});
    fake_turn(&f);
    if (f.output.len) /* only where the manifest switches them on */
        CHECK_TEXT(text_of(&f.output), "{\"content-type\":\"application/json\"}");
    fake_end(&f);
}
