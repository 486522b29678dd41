/* Guards: declarations, text forms, orders, and the recorded books of four venues checked frame by frame. */
#include "book/testing.h"

TEST(guard, a_wrong_declaration_says_what_it_may_be)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"5", "an object"},
        {"{\"guard\":\"crc\"}", "\"previous_sequence\""},
        {"{\"guard\":[\"sequence\",7]}", "it is \"crc32\""},
        {"{\"guard\":\"crc32\"}", "\"levels\""},
        {"{\"guard\":\"crc32\",\"checksum\":{\"levels\":0}}", "1 to 1000"},
        {"{\"guard\":\"crc32\",\"checksum\":{\"levels\":10}}", "missing"},
        {"{\"guard\":\"crc32\",\"checksum\":{\"levels\":10,\"order\":\"up\"}}", "\"asks_then_bids\""},
        {"{\"guard\":\"crc32\",\"checksum\":{\"levels\":10,\"order\":\"interleaved\",\"separator\":\"123456789\"}}", "at most 8"},
        {"{\"guard\":\"crc32\",\"checksum\":{\"levels\":10,\"order\":\"interleaved\",\"signed\":1}}", "true or false"},
        {"{\"guard\":\"none\",\"depth\":-1}", "\"depth\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        guard g;
        CHECK_INT(guard_read(&g, parsed(bad[i].text), &err), WEIR_INVALID);
        CHECK_HAS(err.text, bad[i].why);
        CHECK_UINT(g.kinds, 0);
    }
}

/* The text under a checksum, as the venues' manuals show it. */
TEST(guard, the_text_form_follows_its_description)
{
    static const struct {
        const char *form, *text;
    } cases[] = {
        {"\"levels\":2,\"order\":\"interleaved\",\"separator\":\":\"", "0.05:1.50:0.06:2:0.04:3:0.0700:40"},
        {"\"levels\":9,\"order\":\"interleaved\",\"separator\":\":\"", "0.05:1.50:0.06:2:0.04:3:0.0700:40:0.03:5"},
        {"\"levels\":9,\"order\":\"asks_then_bids\",\"strip\":true", "627004051504335"},
        {"\"levels\":1,\"order\":\"asks_then_bids\",\"separator\":\"--\"", "0.06--2--0.05--1.50"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char declaration[200];
        guard g;
        book b;
        book_init(&b, 0);
        snprintf(declaration, sizeof declaration, "{\"guard\":\"crc32\",\"checksum\":{%s}}", cases[i].form);
        declare(&g, declaration);
        fill(&b, parsed("{\"bids\":[[\"0.04\",\"3\"],[\"0.05\",\"1.50\"],[\"0.03\",\"5\"]],\"asks\":[[\"0.0700\",\"40\"],[\"0.06\",\"2\"]]}"));
        guard_checksum(&g, &b);
        CHECK_BYTES(buf_bytes(&g.text), bytes_of(cases[i].text));
        guard_fini(&g);
        book_fini(&b);
    }
}

static guard_finding order(guard *g, const char *marks, bool first)
{
    guard_marks m;
    CHECK_OK(guard_read_marks(&m, parsed(marks), &err));
    return guard_order(g, &m, first);
}

TEST(guard, a_sequence_has_no_hole_and_begins_inside_the_snapshot)
{
    guard g;
    guard_marks m;
    declare(&g, SEQUENCE);
    CHECK_OK(guard_read_marks(&m, parsed("{\"sequence\":100}"), &err));
    guard_snapshot(&g, &m);
    CHECK_INT(order(&g, "{\"first_sequence\":90,\"sequence\":99}", true), GUARD_STALE);
    CHECK_INT(order(&g, "{\"first_sequence\":90,\"sequence\":100}", true), GUARD_STALE);
    CHECK_INT(order(&g, "{\"first_sequence\":102,\"sequence\":105}", true), GUARD_HOLE);
    CHECK_INT(order(&g, "{\"first_sequence\":98,\"sequence\":\"103\"}", true), GUARD_GOOD);
    CHECK_INT(order(&g, "{\"first_sequence\":98,\"sequence\":103}", false), GUARD_MISMATCH);
    CHECK_INT(order(&g, "{\"first_sequence\":103,\"sequence\":106}", false), GUARD_MISMATCH);
    CHECK_INT(order(&g, "{\"first_sequence\":105,\"sequence\":106}", false), GUARD_HOLE);
    CHECK_INT(order(&g, "{\"first_sequence\":104,\"sequence\":106}", false), GUARD_GOOD);
    CHECK_INT(order(&g, "{\"sequence\":107}", false), GUARD_GOOD);
    guard_fini(&g);
}

TEST(guard, each_change_names_the_one_before)
{
    guard g;
    guard_marks m;
    declare(&g, PREVIOUS);
    CHECK_OK(guard_read_marks(&m, parsed("{\"sequence\":10,\"previous_sequence\":-1}"), &err));
    guard_snapshot(&g, &m);
    CHECK_INT(order(&g, "{\"sequence\":15,\"previous_sequence\":10}", false), GUARD_GOOD);
    CHECK_INT(order(&g, "{\"sequence\":15,\"previous_sequence\":15}", false), GUARD_GOOD); /* nothing happened */
    CHECK_INT(order(&g, "{\"sequence\":3,\"previous_sequence\":15}", false), GUARD_GOOD);  /* the venue counts anew */
    CHECK_INT(order(&g, "{\"sequence\":9,\"previous_sequence\":5}", false), GUARD_HOLE);
    CHECK_INT(order(&g, "{\"sequence\":3,\"previous_sequence\":2}", false), GUARD_MISMATCH);
    guard_fini(&g);
}

/* ---- Recorded venues ---- */

/* Plays frames; answers the place of the first that is wrong, or -1. *checked: those with something to check. */
static int play(const recording *r, const char *declaration, const char *rest, size_t *checked)
{
    int found = -1;
    bool first = rest != NULL;
    guard g;
    guard_marks m;
    book b;
    declare(&g, declaration);
    book_init(&b, g.depth);
    *checked = 0;
    if (rest) {
        json snapshot = parsed(rest);
        fill(&b, snapshot);
        CHECK_OK(guard_read_marks(&m, snapshot, &err));
        guard_snapshot(&g, &m);
    }
    for (size_t i = 0; i < r->count && found < 0; i++) {
        json data = parsed(r->frames[i].delta);
        CHECK_OK(guard_read_marks(&m, data, &err));
        if (r->frames[i].snapshot) {
            book_clear(&b);
            guard_snapshot(&g, &m);
        } else {
            guard_finding f = guard_order(&g, &m, first);
            if (f == GUARD_STALE)
                continue;
            first = false;
            if (f != GUARD_GOOD)
                found = (int)i;
        }
        fill(&b, data);
        if (guard_check(&g, &b, &m) != GUARD_GOOD)
            found = (int)i;
        *checked += m.has_checksum || m.has_sequence;
    }
    book_fini(&b);
    guard_fini(&g);
    return found;
}

static void every_checksum_holds(recorded v, const char *file, const char *declaration, const char *const *symbols, size_t want)
{
    size_t all = 0, checked;
    for (; *symbols; symbols++) {
        recording r = load(v, file, *symbols);
        int bad = play(&r, declaration, NULL, &checked);
        if (bad >= 0)
            test_fail(__FILE__, __LINE__, "%s %s: frame %d of %zu is not what the venue says", file, *symbols, bad, r.count);
        all += checked;
        drop(&r);
    }
    CHECK_UINT(all, want);
}

TEST(guard, every_checksum_of_the_okx_recording_is_right)
{
    static const char *const symbols[] = {"BTC-USD-220527", "BTC-USDT", "UNI-USD-SWAP", NULL};
    every_checksum_holds(VENUE_OKX, "sim/captures/OKX.ws", OKX, symbols, 290);
}

TEST(guard, every_checksum_of_the_kraken_recording_is_right)
{
    static const char *const symbols[] = {"WAVES/EUR", "XMR/USD", "KSM/XBT", "GRT/ETH", "SC/EUR", "ETH/CHF", "OCEAN/XBT", "OMG/USD", "XBT/CHF", "ADA/XBT", NULL};
    every_checksum_holds(VENUE_KRAKEN, "sim/captures/KRAKEN.ws", KRAKEN, symbols, 4269);
}

TEST(guard, the_binance_recording_goes_on_from_its_rest_snapshots)
{
    static const char *const symbols[][2] = {{"NKNUSDT", "nknusdt@depth@100ms"}, {"BLZETH", "blzeth@depth@100ms"}, {"LRCBTC", "lrcbtc@depth@100ms"}, {"RUNEEUR", "runeeur@depth@100ms"}};
    static const size_t want[] = {149, 9, 13, 1};
    for (size_t i = 0; i < 4; i++) {
        size_t checked;
        char *rest = rest_snapshot(symbols[i][0]);
        recording r = load(VENUE_BINANCE, "sim/captures/BINANCE.ws", symbols[i][1]);
        CHECK_INT(play(&r, SEQUENCE, rest, &checked), -1);
        CHECK_UINT(checked, want[i]);
        drop(&r);
        free(rest);
    }
}

/* ---- Mutations: found at that very frame ---- */

static void mutations_are_found(recorded v, const char *file, const char *symbol, const char *declaration, const char *rest, const mutation *how, size_t count)
{
    recording r = load(v, file, symbol);
    size_t checked, tried[4] = {0};
    for (size_t at = 4; at + 3 < r.count; at += r.count / 40 + 1)
        for (size_t k = 0; k < count; k++) {
            if (!rest && !matters(&r, at, declaration))
                continue;
            if (how[k] == ALTERED && !covered(&r, at, declaration))
                continue;
            recording bad = mutate(&r, how[k], at);
            if (!bad.count)
                continue;
            int want = (int)at + (how[k] == DOUBLED), found = play(&bad, declaration, rest, &checked);
            if (found != want)
                test_fail(__FILE__, __LINE__, "%s: mutation %d of frame %zu is found at %d", symbol, how[k], at, found);
            tried[how[k]]++;
            drop(&bad);
        }
    for (size_t k = 0; k < count; k++)
        CHECK(tried[how[k]] >= 5);
    drop(&r);
}

TEST(guard, a_frame_removed_swapped_or_altered_fails_its_very_checksum)
{
    static const mutation how[] = {REMOVED, SWAPPED, ALTERED};
    mutations_are_found(VENUE_OKX, "sim/captures/OKX.ws", "BTC-USDT", OKX, NULL, how, 3);
    mutations_are_found(VENUE_OKX, "sim/captures/OKX.ws", "UNI-USD-SWAP", OKX, NULL, how, 3);
    mutations_are_found(VENUE_KRAKEN, "sim/captures/KRAKEN.ws", "XMR/USD", KRAKEN, NULL, how, 3);
}

TEST(guard, a_frame_removed_doubled_or_swapped_breaks_the_sequence)
{
    static const mutation how[] = {REMOVED, DOUBLED, SWAPPED};
    char *rest = rest_snapshot("NKNUSDT");
    mutations_are_found(VENUE_BINANCE, "sim/captures/BINANCE.ws", "nknusdt@depth@100ms", SEQUENCE, rest, how, 3);
    free(rest);
}
