#include "plugin/fields.h"

#include "tests/lib/test.h"

static buf out;
static weir_error err;

static const char *applied(const char *fields, const char *config)
{
    json doc = {0};
    buf_fini(&out);
    buf_init(&out, SIZE_MAX);
    err = (weir_error)WEIR_ERROR_INIT;
    if (*config)
        CHECK_OK(json_read(&doc, bytes_of(config), &err));
    if (fields_apply(&out, bytes_of(fields), doc, &err))
        return err.text;
    buf_add_char(&out, '\0');
    return out.at;
}

TEST(fields, give_each_value_its_type)
{
    CHECK_TEXT(applied("[{\"name\":\"n\",\"type\":\"number\"},{\"name\":\"b\",\"type\":\"boolean\"},{\"name\":\"t\"},{\"name\":\"o\",\"type\":\"odd\"}]",
                       "{\"n\":\"5\",\"b\":\"yes\",\"t\":5,\"o\":\"x\",\"other\":true}"),
               "{\"n\":5,\"b\":true,\"t\":\"5\",\"o\":\"x\",\"other\":true}");
    CHECK_TEXT(applied("null", "{\"a\":\"b\"}"), "{\"a\":\"b\"}");
    CHECK_TEXT(applied("[]", ""), "{}");
}

TEST(fields, have_defaults_and_may_be_left_out_unless_required)
{
    static const char list[] = "[{\"name\":\"n\",\"type\":\"number\",\"default\":7},{\"name\":\"k\",\"label\":\"Key\",\"required\":true},{\"name\":\"x\"}]";
    CHECK_TEXT(applied(list, "{\"k\":\"s\"}"), "{\"n\":7,\"k\":\"s\"}");
    CHECK_TEXT(applied(list, "{}"), "configuration: 'k' (Key) is required; --config k=VALUE");
    CHECK_TEXT(applied(list, "{\"k\":\"\"}"), "configuration: 'k' (Key) is required; --config k=VALUE");
    CHECK_UINT(err.code, WEIR_NOT_FOUND);
}

TEST(fields, that_are_missing_are_named_all_at_once_behind_what_is_wrong)
{
    static const char list[] = "[{\"name\":\"k\",\"label\":\"Key\",\"required\":true},{\"name\":\"n\",\"type\":\"number\"},{\"name\":\"s\",\"label\":\"s\",\"required\":true}]";
    CHECK_TEXT(applied(list, "{\"n\":1}"), "configuration: 'k' (Key), 's' are required; --config k=VALUE --config s=VALUE");
    CHECK_UINT(err.code, WEIR_NOT_FOUND);
    CHECK_HAS(applied(list, "{\"n\":\"x\"}"), "'n' is a number");
    CHECK_UINT(err.code, WEIR_INVALID);
}

TEST(fields, may_be_given_under_their_twins_name)
{
    static const char list[] = "[{\"name\":\"api_key\",\"required\":true},{\"name\":\"max_n\",\"type\":\"number\",\"default\":1}]";
    CHECK_TEXT(applied(list, "{\"apiKey\":\"s\",\"maxN\":\"5\"}"), "{\"api_key\":\"s\",\"max_n\":5,\"apiKey\":\"s\",\"maxN\":\"5\"}");
    CHECK_TEXT(applied(list, "{\"api_key\":\"a\",\"apiKey\":\"b\"}"), "{\"api_key\":\"a\",\"max_n\":1,\"apiKey\":\"b\"}");
}

TEST(fields, refuse_what_is_not_of_their_type_without_showing_it)
{
    static const char list[] = "[{\"name\":\"n\",\"type\":\"number\",\"options\":{\"min\":1,\"max\":10}},{\"name\":\"b\",\"type\":\"boolean\"},"
                               "{\"name\":\"c\",\"options\":[\"one\",{\"value\":\"two\"}]}]";
    CHECK_HAS(applied(list, "{\"n\":\"secret\"}"), "'n' is a number, and the value given is none");
    CHECK(strstr(err.text, "secret") == NULL);
    CHECK_HAS(applied(list, "{\"n\":0.5}"), "too small");
    CHECK_HAS(applied(list, "{\"n\":\"11\"}"), "too large");
    CHECK_HAS(applied(list, "{\"b\":\"maybe\"}"), "'b' is true or false");
    CHECK_HAS(applied(list, "{\"c\":\"three\"}"), "'c' is none of the choices");
    CHECK_TEXT(applied(list, "{\"c\":\"two\"}"), "{\"c\":\"two\"}");
    CHECK_HAS(applied("{}", ""), "are no list");
    CHECK_HAS(applied("what", ""), "the plugin's configuration fields");
    CHECK_TEXT(applied("[5,{\"name\":7},null]", ""), "{}");
}
