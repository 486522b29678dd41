/* Pauses that origins ask for, with a clock that only the test moves. */
#include "net/ban.h"

#include "tests/lib/test.h"

#define URL BYTES("wss://venue.example/v3/public?a=b")

static weir_error err;
static bans b;
static uint64_t now = 5000 * NS_PER_S;

static uint64_t real_now(void)
{
    return 1700000000 * NS_PER_S;
}

static uint64_t left_s(bytes url)
{
    uint64_t left = bans_left(&b, url, now, &err);
    return (left + NS_PER_S - 1) / NS_PER_S;
}

static void note(uint16_t status, uint32_t retry_after_s)
{
    bans_note(&b, URL, status, retry_after_s, now);
}

static void pass(uint64_t s)
{
    now += s * NS_PER_S;
}

TEST(ban, holds_for_the_whole_origin_until_its_time_and_for_no_other)
{
    static const char *const others[] = {"wss://venue.example:444/", "ws://venue.example/", "https://venue.example/", "wss://other.example/", "nonsense"};
    clock_replace(real_now, NULL);
    bans_init(&b);
    CHECK_UINT(left_s(URL), 0);
    note(429, 7);
    CHECK_UINT(left_s(BYTES("wss://VENUE.example:443/elsewhere")), 7);
    CHECK_INT(err.code, WEIR_LIMIT);
    CHECK_TEXT(err.text, "told to wait by wss://venue.example until 2023-11-14T22:13:27Z (HTTP status 429)");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK_UINT(left_s(bytes_of(others[i])), 0);
    pass(6);
    CHECK_UINT(left_s(URL), 1);
    pass(1);
    CHECK_UINT(left_s(URL), 0);
    bans_fini(&b);
    clock_replace(NULL, NULL);
}

TEST(ban, of_429_without_a_time_grows_to_a_minute_and_any_other_answer_ends_the_count)
{
    static const uint64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
    bans_init(&b);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        note(429, 0);
        CHECK_UINT(left_s(URL), waits[i]);
        note(429, 0); /* one that was under way */
        CHECK_UINT(left_s(URL), waits[i]);
        pass(waits[i]);
    }
    note(200, 0);
    note(429, 0);
    CHECK_UINT(left_s(URL), 1);
    bans_fini(&b);
}

TEST(ban, of_418_is_longer_each_time)
{
    clock_replace(real_now, NULL);
    bans_init(&b);
    note(418, 0);
    CHECK_UINT(left_s(URL), 120);
    CHECK_TEXT(err.text, "banned by wss://venue.example until 2023-11-14T22:15:20Z (HTTP status 418)");
    note(418, 0); /* one that was under way says nothing new */
    note(418, 5);
    CHECK_UINT(left_s(URL), 120);
    note(418, 500); /* but may say more */
    CHECK_UINT(left_s(URL), 500);
    pass(500);
    note(418, 10);
    CHECK_UINT(left_s(URL), 240);
    for (int i = 0; i < 20; i++) {
        pass(left_s(URL));
        note(418, 0);
    }
    CHECK(left_s(URL) > 12 * 3600 && left_s(URL) <= 86400);
    pass(3 * 86400);
    note(418, 0);
    CHECK_UINT(left_s(URL), 120); /* long ago */
    bans_fini(&b);
    clock_replace(NULL, NULL);
}

TEST(ban, of_403_needs_a_time_and_no_venue_may_ask_for_ever)
{
    bans_init(&b);
    note(403, 0);
    note(500, 60);
    note(200, 60);
    CHECK_UINT(left_s(URL), 0);
    note(403, 9);
    CHECK_UINT(left_s(URL), 9);
    note(429, 4000000000u);
    CHECK_UINT(left_s(URL), 3600);
    note(403, 4000000000u);
    CHECK_UINT(left_s(URL), 86400);
    note(429, 1); /* a shorter one does not shorten it */
    CHECK_UINT(left_s(URL), 86400);
    bans_fini(&b);
}

TEST(ban, of_too_many_origins_forgets_the_one_that_is_free_first)
{
    char url[40];
    bans_init(&b);
    for (unsigned i = 0; i <= BANS_MAX; i++) {
        snprintf(url, sizeof url, "https://h%u.example/", i);
        bans_note(&b, bytes_of(url), 429, 10 + i, now);
    }
    CHECK_UINT(b.count, BANS_MAX);
    CHECK_UINT(left_s(BYTES("https://h0.example/")), 0);
    CHECK_UINT(left_s(BYTES("https://h1.example/")), 11);
    CHECK_UINT(left_s(bytes_of(url)), 10 + BANS_MAX);
    bans_fini(&b);
}

TEST(ban, reads_both_forms_of_retry_after)
{
    static const struct {
        const char *text;
        uint32_t s;
    } all[] = {
        {"7", 7},
        {"0", 0},
        {"99999999999999999999", 86400},
        {"Tue, 14 Nov 2023 22:13:50 GMT", 30},
        {"Tuesday, 14-Nov-23 22:13:50 GMT", 30},
        {"Tue Nov 14 22:13:50 2023", 30},
        {"Tue, 14 Nov 2023 22:13:10 GMT", 0}, /* over */
        {"Thu, 14 Nov 2090 22:13:10 GMT", 86400},
        {"soon", 0},
        {"-5", 0},
        {"", 0},
        {"0000000000000000000000000000000000000000000000000000000000000000007", 0},
    };
    clock_replace(real_now, NULL);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        CHECK_UINT(retry_after_read(bytes_of(all[i].text)), all[i].s);
    clock_replace(NULL, NULL);
}
