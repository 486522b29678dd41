/* Two connections bring the same; the new one is read on where the old one ended. */
#include "stream/overlap.h"

#include <stdio.h>

#include "tests/lib/test.h"

static overlap o;

/* "+a" the old one brings a, "-a" the new one does. */
static void happen(const char *story)
{
    for (; *story; story += 2 + (story[2] == ' '))
        (*story == '+' ? overlap_old : overlap_new)(&o, bytes_make(story + 1, 1));
}

/* Which of the new one's messages are left over. */
static const char *left_of(const char *all)
{
    static char out[100];
    size_t n = 0;
    for (; *all; all++)
        if (!overlap_double(&o, bytes_make(all, 1)))
            out[n++] = *all;
    out[n] = '\0';
    return out;
}

TEST(overlap, whichever_is_ahead_nothing_is_lost_and_nothing_doubled)
{
    static const struct {
        const char *story, *all, *left;
        bool joined, done;
    } all[] = {
        {"+a +b -b +c -c", "bcd", "d", true, true},
        {"+a +b +c -b", "bcde", "de", true, true},        /* the old one is ahead */
        {"+a -b -c -d +b", "bcde", "cde", true, true},    /* the new one is */
        {"+a -A -S -c +b +c", "AScde", "de", true, true}, /* acknowledgement and snapshot only open it */
        {"+a +x +b +x -x", "xb", "", false, false},       /* which x? not known */
        {"+a -b -c", "bc", "bc", false, false},           /* nothing in common: all of it is new */
        {"+a +b +c -b -B +d", "bBcd", "B", true, true},   /* another channel's, which the old one did not bring */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(overlap_init(&o));
        happen(all[i].story);
        CHECK_INT(o.joined, all[i].joined);
        CHECK(!overlap_done(&o));
        CHECK_TEXT(left_of(all[i].all), all[i].left);
        CHECK_INT(overlap_done(&o), all[i].done);
        overlap_fini(&o);
    }
}

TEST(overlap, the_same_text_again_behind_the_join_is_no_double)
{
    CHECK(overlap_init(&o));
    happen("+a +x -x");
    CHECK_TEXT(left_of("xxx"), "xx");
    overlap_fini(&o);
}

TEST(overlap, keeps_the_last_of_the_old_and_the_first_of_the_new)
{
    char text[20];
    CHECK(overlap_init(&o));
    for (int i = 0; i < 3 * OVERLAP_MAX; i++) {
        snprintf(text, sizeof text, "old %d", i);
        overlap_old(&o, bytes_of(text));
    }
    for (int i = 0; i < OVERLAP_MAX + 10; i++) {
        snprintf(text, sizeof text, "new %d", i);
        overlap_new(&o, bytes_of(text));
    }
    CHECK(!o.joined);
    overlap_new(&o, BYTES("old 24575")); /* no room for it */
    CHECK(!o.joined);
    overlap_fini(&o);
    CHECK(overlap_init(&o));
    for (int i = 0; i < 3 * OVERLAP_MAX + 5; i++) {
        snprintf(text, sizeof text, "old %d", i);
        overlap_old(&o, bytes_of(text));
    }
    overlap_new(&o, BYTES("old 100")); /* forgotten */
    CHECK(!o.joined);
    overlap_new(&o, BYTES("old 24579"));
    CHECK(o.joined);
    CHECK_UINT(o.old_first, 24579);
    CHECK(overlap_double(&o, BYTES("old 100")));
    CHECK(overlap_double(&o, BYTES("old 24579")));
    CHECK(!overlap_done(&o));
    CHECK(overlap_double(&o, BYTES("old 24580")));
    CHECK(overlap_done(&o));
    overlap_fini(&o);
}

TEST(overlap, beginning_survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        if (overlap_init(&o))
            overlap_fini(&o);
    }
}
