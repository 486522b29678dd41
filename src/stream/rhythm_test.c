/* The rhythm of a stream: what it takes for silence out of the ordinary, on made and on recorded markets. */
#include "stream/rhythm.h"

#include <math.h>

#include "stream/recording.h"
#include "tests/lib/test.h"

#define S NS_PER_S
#define ROOM 4000

static uint64_t now;

static void speak(rhythm *r, int times, uint64_t every)
{
    for (int i = 0; i < times; i++) {
        now += every;
        rhythm_heard(r, now);
    }
}

static double chance(uint64_t *state) /* in (0, 1] */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)((*state >> 33) + 1) / 2147483648.0;
}

TEST(rhythm, says_nothing_before_it_has_seen_enough)
{
    rhythm r = {0};
    now = 1000 * S;
    speak(&r, RHYTHM_ENOUGH, 2 * S); /* one interval fewer */
    CHECK_UINT(rhythm_suspicious(&r), RHYTHM_UNKNOWN);
    CHECK_UINT(rhythm_far(&r), RHYTHM_UNKNOWN);
    CHECK_UINT(rhythm_usual(&r), RHYTHM_UNKNOWN);
    speak(&r, 1, 2 * S);
    CHECK(rhythm_suspicious(&r) < rhythm_far(&r) && rhythm_far(&r) < RHYTHM_UNKNOWN);
}

/* A second of a thousand messages is one sample, not a thousand. */
TEST(rhythm, takes_the_longest_interval_of_each_second)
{
    rhythm r = {0};
    now = 1000 * S;
    speak(&r, 7000, S / 1000);
    CHECK_UINT(rhythm_far(&r), RHYTHM_UNKNOWN);
    speak(&r, 90000, S / 1000);
    CHECK(rhythm_usual(&r) < S / 500);
    CHECK_UINT(rhythm_suspicious(&r), 5 * S); /* the floor */
    CHECK_UINT(rhythm_far(&r), 15 * S);
}

TEST(rhythm, is_as_patient_as_its_market_is_slow)
{
    rhythm minutes = {0}, seconds = {0};
    now = 1000 * S;
    speak(&minutes, 100, 60 * S);
    speak(&seconds, 100, 4 * S);
    CHECK(rhythm_usual(&minutes) / S == 59 || rhythm_usual(&minutes) / S == 60);
    CHECK(rhythm_suspicious(&minutes) >= 90 * S && rhythm_suspicious(&minutes) < 100 * S);
    CHECK(rhythm_far(&minutes) >= 180 * S && rhythm_far(&minutes) < 200 * S);
    CHECK(rhythm_far(&seconds) >= 15 * S && rhythm_far(&seconds) < 20 * S);
}

TEST(rhythm, forgets_what_was_long_ago)
{
    rhythm r = {0};
    now = 1000 * S;
    speak(&r, 50, 60 * S);
    speak(&r, RHYTHM_WINDOW, 2 * S);
    CHECK(rhythm_far(&r) < 20 * S);
}

TEST(rhythm, takes_no_sample_across_a_pause)
{
    rhythm r = {0};
    now = 1000 * S;
    speak(&r, 20, 2 * S);
    uint64_t before = rhythm_far(&r);
    rhythm_pause(&r);
    now += 3600 * S;
    speak(&r, 2, 2 * S);
    CHECK(rhythm_far(&r) <= before);
}

TEST(rhythm, doubles_its_patience_and_finds_it_again)
{
    rhythm r = {0};
    now = 1000 * S;
    speak(&r, 200, 2 * S);
    uint64_t suspicious = rhythm_suspicious(&r), far = rhythm_far(&r);
    rhythm_false_alarm(&r);
    CHECK_UINT(rhythm_suspicious(&r), 2 * suspicious);
    CHECK_UINT(rhythm_far(&r), 2 * far);
    rhythm_false_alarm(&r);
    CHECK_UINT(rhythm_far(&r), 4 * far);
    for (int i = 0; i < 100; i++)
        rhythm_false_alarm(&r);
    CHECK_UINT(rhythm_far(&r), 64 * far);
    speak(&r, RHYTHM_WINDOW, 2 * S);
    CHECK_UINT(rhythm_far(&r), 32 * far);
    speak(&r, 10 * RHYTHM_WINDOW, 2 * S);
    CHECK_UINT(rhythm_far(&r), far);
}

/* How often a stream with these intervals would have been out of the ordinary and, worse, silent by far. */
typedef struct verdicts {
    unsigned suspicions, cuts;
} verdicts;

static void live_through(rhythm *r, uint64_t interval, verdicts *v)
{
    v->suspicions += interval > rhythm_suspicious(r);
    if (interval > rhythm_far(r)) {
        v->cuts++;
        rhythm_false_alarm(r);
    }
    now += interval;
    rhythm_heard(r, now);
}

/* Trades that come independently of each other, on average every 5 s, for a week: and a market whose pace changes
 * tenfold with the hour. */
TEST(rhythm, does_not_take_chance_for_death)
{
    verdicts steady = {0}, daily = {0};
    rhythm a = {0}, b = {0};
    uint64_t seed = 7;
    now = 1000 * S;
    for (uint64_t end = now + 7 * 86400 * S; now < end;)
        live_through(&a, (uint64_t)(-log(chance(&seed)) * 5e9), &steady);
    for (uint64_t end = now + 7 * 86400 * S; now < end;) {
        double hour = (double)(now / S % 86400) / 3600;
        live_through(&b, (uint64_t)(-log(chance(&seed)) * 5e9 * pow(10, sin(hour * 0.2618))), &daily);
    }
    printf("steady: %u suspicions, %u cuts; daily: %u, %u\n", steady.suspicions, steady.cuts, daily.suspicions, daily.cuts);
    CHECK_UINT(steady.cuts, 0);
    CHECK_UINT(daily.cuts, 0);
    CHECK(steady.suspicions < 120000 / 1000);
}

/* ---- The recording: Coinbase, April 2021, trades of ten pairs, half a minute ---- */

static const char *const pairs[] = {"BAND-BTC", "BAND-GBP", "DASH-BTC", "NMR-EUR", "NU-GBP", "SKL-BTC", "SKL-GBP", "SKL-USD", "YFI-BTC", "CRV-EUR"};

/* Its intervals in any order, an hour for each pair and order. A limit of 10 s would have cut them hundreds of times. */
TEST(rhythm, leaves_a_recorded_quiet_market_alone)
{
    static uint64_t at[ROOM];
    unsigned fixed = 0;
    verdicts v = {0};
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        size_t n = recording_times(at, ROOM, "sim/captures/COINBASE.ws", "{\"type\":\"ticker\"", pairs[p]);
        CHECK(n > 0);
        for (uint64_t seed = 1; n > 4 && seed <= 20; seed++) {
            rhythm r = {0};
            now = 1000 * S;
            for (uint64_t end = now + 3600 * S, state = seed; now < end;) {
                size_t i = (size_t)(chance(&state) * (double)(n - 1) * 0.999999);
                uint64_t interval = at[i + 1] - at[i];
                fixed += (unsigned)(interval / (10 * S));
                live_through(&r, interval, &v);
            }
        }
    }
    printf("recorded quiet market, 120 hours of it: %u suspicions, %u cuts; with a fixed limit of 10 s: %u\n", v.suspicions, v.cuts, fixed);
    CHECK_UINT(v.cuts, 0);
    CHECK(fixed > 10000);
}
