/* Base64 after RFC 4648, canonical texts only. */
#include "base/base64.h"
#include "base/rand.h"
#include "tests/lib/test.h"

static weir_error err;

TEST(base64, matches_the_rfc)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        buf_clear(&b);
        base64_encode(&b, bytes_of(pairs[i][0]));
        CHECK_BYTES(buf_bytes(&b), bytes_of(pairs[i][1]));
        buf_clear(&b);
        CHECK_OK(base64_decode(&b, bytes_of(pairs[i][1]), &err));
        CHECK_BYTES(buf_bytes(&b), bytes_of(pairs[i][0]));
    }
    buf_fini(&b);
}

TEST(base64, brings_back_any_octets)
{
    rand_seeded r = {1};
    unsigned char data[100];
    buf text, back;
    buf_init(&text, SIZE_MAX);
    buf_init(&back, SIZE_MAX);
    for (size_t len = 0; len <= sizeof data; len++) {
        for (size_t i = 0; i < len; i++)
            data[i] = (unsigned char)rand_next(&r);
        buf_clear(&text);
        buf_clear(&back);
        base64_encode(&text, bytes_make(data, len));
        CHECK_OK(base64_decode(&back, buf_bytes(&text), &err));
        CHECK_MEM(back.at, back.len, data, len);
    }
    buf_fini(&text);
    buf_fini(&back);
}

TEST(base64, refuses_what_is_not_canonical_and_adds_nothing)
{
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "====", "Z===", "=Zg=", "Zg==Zg==",
        "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "Zm-_", "Z\xffg=", "Zg=g"};
    buf b;
    buf_init(&b, 100);
    buf_add_text(&b, "kept");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_UINT(base64_decode(&b, bytes_of(bad[i]), &err), WEIR_INVALID);
        CHECK_BYTES(buf_bytes(&b), BYTES("kept"));
    }
    base64_decode(&b, BYTES("Zm9v*m9v"), &err);
    CHECK_HAS(err.text, "character 5");
    buf_fini(&b);
}

TEST(base64, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        buf b;
        buf_init(&b, SIZE_MAX);
        base64_encode(&b, BYTES("foobar"));
        CHECK(b.failed || b.len == 8);
        buf_fini(&b);
        buf_init(&b, SIZE_MAX);
        weir_code code = base64_decode(&b, BYTES("Zm9v"), &err);
        CHECK(code == WEIR_OK || code == WEIR_NOMEM);
        buf_fini(&b);
    }
}
