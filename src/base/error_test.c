/* Error texts are one clean line, whatever goes in. */
#include "base/error.h"
#include "tests/lib/test.h"

static weir_error err;

TEST(error, sets_code_and_text_and_answers_the_code)
{
    CHECK_UINT(error_set(&err, WEIR_LIMIT, "plugin '%s': %d of %d", "woox", 3, 2),
               WEIR_LIMIT);
    CHECK_UINT(err.code, WEIR_LIMIT);
    CHECK_TEXT(err.text, "plugin 'woox': 3 of 2");
}

TEST(error, may_have_nowhere_to_go)
{
    CHECK_UINT(error_set(NULL, WEIR_NOMEM, "%s", "x"), WEIR_NOMEM);
    CHECK_UINT(error_wrap(NULL, "%s", "x"), WEIR_INVALID);
}

TEST(error, wraps_with_a_prefix_and_keeps_the_code)
{
    error_set(&err, WEIR_REFUSED, "no");
    CHECK_UINT(error_wrap(&err, "plugin '%s'", "woox"), WEIR_REFUSED);
    CHECK_TEXT(err.text, "plugin 'woox': no");
}

TEST(error, may_be_set_from_its_own_text)
{
    error_set(&err, WEIR_REFUSED, "inner");
    error_set(&err, WEIR_FAILED, "outer (%s)", err.text);
    CHECK_TEXT(err.text, "outer (inner)");
    error_wrap(&err, "%s again", err.text);
    CHECK_TEXT(err.text, "outer (inner) again: outer (inner)");
}

TEST(error, shows_control_characters_and_broken_utf8_as_question_marks)
{
    error_set(&err, WEIR_INVALID, "%s",
              "a\x1b[2Jb\n\x7f\xc2\x9b"
              "c\xff\xc3(\xe2\x82 \xc3\xa9\xf0\x9f\x98\x80");
    CHECK_TEXT(err.text, "a\?[2Jb\?\?\?c\?\?(\?\? \xc3\xa9\xf0\x9f\x98\x80");
}

TEST(error, is_cut_at_a_whole_character)
{
    char text[2000];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'a', lead);
        for (size_t i = lead; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x98\x80", 5);
        error_set(&err, WEIR_INVALID, "%s", text);
        size_t len = strlen(err.text);
        CHECK(len < WEIR_ERROR_TEXT && len + 4 >= WEIR_ERROR_TEXT);
        CHECK_UINT((len - lead) % 4, 0);
        CHECK(strncmp(err.text, text, len) == 0);
        error_wrap(&err, "prefix");
        CHECK(strlen(err.text) < WEIR_ERROR_TEXT && strchr(err.text, '?') == NULL);
    }
}

TEST(error, may_be_kept_and_recalled)
{
    kept_error k = {0};
    CHECK_TEXT(kept_text(&k), "");
    error_set(&err, WEIR_CLOSED, "the peer left");
    error_keep(&k, &err);
    error_set(&err, WEIR_FAILED, "another");
    CHECK_TEXT(kept_text(&k), "the peer left");
    error_recall(&k, &err);
    CHECK_INT(err.code, WEIR_CLOSED);
    CHECK_TEXT(err.text, "the peer left");
    error_keep(&k, NULL);
    CHECK_INT(k.code, WEIR_OK);
    CHECK_TEXT(kept_text(&k), "");
}
