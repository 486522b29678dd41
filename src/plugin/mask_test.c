/* What is kept of a trap holds no secret, in whatever form it came. */
#include "plugin/mask.h"
#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT

static const char *masked(const char *config, const char *fields, const char *text)
{
    ERR;
    static buf out;
    mask *m;
    CHECK_OK(mask_new(&m, bytes_of(config), bytes_of(fields), &err));
    buf_fini(&out);
    buf_init(&out, 1 << 20);
    mask_text(m, bytes_of(text), &out);
    buf_add_char(&out, '\0');
    mask_free(m);
    return out.at;
}

TEST(mask, hides_what_stands_beside_a_name_that_says_secret)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{\"api_key\":\"K1\",\"n\":5}", "{\"api_key\":\"***\",\"n\":5}"},
        {"{\"apiSecret\" : \"a\\\"b\", \"x\":\"y\"}", "{\"apiSecret\" : \"***\", \"x\":\"y\"}"},
        {"{\"params\":{\"pin\":1234,\"password\":null}}", "{\"params\":{\"pin\":***,\"password\":***}}"},
        {"{\"message\":\"{\\\"signature\\\":\\\"ab12\\\",\\\"op\\\":\\\"auth\\\"}\"}", "{\"message\":\"{\\\"signature\\\":\\\"***\\\",\\\"op\\\":\\\"auth\\\"}\"}"},
        {"https://x/y?symbol=BTC&signature=abc&t=1", "https://x/y?symbol=BTC&signature=***&t=1"},
        {"X-API-KEY: abc def\nHost: x", "X-API-KEY: ***\nHost: x"},
        {"\"Authorization\":\"Bearer abc.def\"", "\"Authorization\":\"***\""},
        {"{\"authorizations\":{\"user\":\"u\"}}", "{\"authorizations\":{\"user\":\"u\"}}"},
        {"{\"symbol\":\"TOKEN_USDT\",\"key\":{\"type\":\"raw\"}}", "{\"symbol\":\"TOKEN_USDT\",\"key\":{\"type\":\"raw\"}}"},
        {"the token", "the token"},
        {"{\"secret\":\"", "{\"secret\":\""},
        {"{\"secret\":\"abc", "{\"secret\":\"***"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_TEXT(masked("", "", rows[i].text), rows[i].want);
}

TEST(mask, hides_the_values_of_the_configuration_wherever_they_turn_up)
{
    const char *config = "{\"api_key\":\"AK-77\",\"secret\":\"q\\\"uote\",\"account\":\"4711-0815\",\"depth\":\"20\",\"pin\":\"12\",\"token\":123456}";
    const char *fields = "[{\"name\":\"account\",\"type\":\"password\"},{\"name\":\"depth\",\"type\":\"number\"}]";
    CHECK_TEXT(masked(config, fields, "sent AK-77 for 4711-0815, depth 20, pin 12"), "sent *** for ***, depth 20, pin 12");
}

TEST(mask, hides_a_value_as_it_is_and_as_json_writes_it)
{
    const char *config = "{\"secret\":\"q\\\"uote\",\"token\":123456}";
    CHECK_TEXT(masked(config, "", "q\"uote and q\\\"uote and 123456"), "*** and *** and ***");
    CHECK_TEXT(masked("{\"secret\":\"abcd\",\"token\":\"abcdefgh\"}", "", "abcdefgh abcd"), "*** ***");
    CHECK_TEXT(masked("no json", "nor this", "text"), "text");
}

TEST(mask, survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        ERR;
        mask *m = NULL;
        if (mask_new(&m, BYTES("{\"api_key\":\"abcdef\",\"secret\":\"ghijkl\"}"), BYTES("[]"), &err))
            CHECK_INT(err.code, WEIR_NOMEM);
        mask_free(m);
    }
}
