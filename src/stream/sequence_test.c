/* Holes in the venue's numbers. */
#include "stream/sequence.h"

#include "tests/lib/test.h"

static sequence q;
static uint64_t from, to;

static sequence_step take(uint64_t number)
{
    return sequence_take(&q, &(venue_number){.known = true, .number = number}, false, &from, &to);
}

static sequence_step take_behind(uint64_t number, uint64_t previous)
{
    return sequence_take(&q, &(venue_number){true, true, number, previous}, false, &from, &to);
}

TEST(sequence, a_hole_is_named_by_its_first_and_last_number)
{
    q = (sequence){0};
    CHECK_INT(take(7), SEQUENCE_FOLLOWS);
    CHECK_INT(take(8), SEQUENCE_FOLLOWS);
    CHECK_INT(take(12), SEQUENCE_HOLE);
    CHECK_UINT(from, 9);
    CHECK_UINT(to, 11);
    CHECK_INT(take(13), SEQUENCE_FOLLOWS);
}

TEST(sequence, numbers_that_go_back_leave_the_count_where_it_was)
{
    q = (sequence){0};
    take(7);
    take(8);
    CHECK_INT(take(8), SEQUENCE_BACK);
    CHECK_INT(take(3), SEQUENCE_BACK);
    CHECK_INT(take(9), SEQUENCE_FOLLOWS);
    CHECK_INT(take(UINT64_MAX), SEQUENCE_HOLE);
    CHECK_INT(take(0), SEQUENCE_BACK);
}

TEST(sequence, a_previous_number_allows_numbers_to_jump)
{
    q = (sequence){0};
    CHECK_INT(take_behind(100, 90), SEQUENCE_FOLLOWS);
    CHECK_INT(take_behind(130, 100), SEQUENCE_FOLLOWS);
    CHECK_INT(take_behind(150, 140), SEQUENCE_HOLE);
    CHECK_UINT(from, 131);
    CHECK_UINT(to, 140);
    CHECK_INT(take_behind(160, 120), SEQUENCE_FOLLOWS); /* overlaps what there is */
}

TEST(sequence, behind_a_lost_connection_a_venue_may_begin_anew)
{
    q = (sequence){0};
    take(1000);
    CHECK_INT(sequence_take(&q, &(venue_number){.known = true, .number = 1}, true, &from, &to), SEQUENCE_FOLLOWS);
    CHECK_INT(take(2), SEQUENCE_FOLLOWS);
}
