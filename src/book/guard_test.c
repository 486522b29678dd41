/* Guards: declarations, text forms, orders, and the recorded books of four venues checked frame by frame. */
#include "book/guard.h"

#include <stdlib.h>

#include "tests/lib/test.h"

#define OKX "{\"guard\":\"crc32\",\"checksum\":{\"levels\":25,\"order\":\"interleaved\",\"separator\":\":\",\"signed\":true}}"
#define KRAKEN "{\"guard\":\"crc32\",\"depth\":1000,\"checksum\":{\"levels\":10,\"order\":\"asks_then_bids\",\"strip\":true}}"
#define SEQUENCE "{\"guard\":\"sequence\"}"
#define PREVIOUS "{\"guard\":\"previous_sequence\"}"

static weir_error err = WEIR_ERROR_INIT;

static json parsed(const char *text)
{
    json doc;
    CHECK_OK(json_read(&doc, bytes_of(text), &err));
    return doc;
}

static void declare(guard *g, const char *text)
{
    CHECK_OK(guard_read(g, parsed(text), &err));
}

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

static void fill(book *b, json data)
{
    CHECK_OK(book_apply(b, BOOK_BIDS, json_member(data, "bids"), &err));
    CHECK_OK(book_apply(b, BOOK_ASKS, json_member(data, "asks"), &err));
    book_truncate(b);
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

typedef enum venue { VENUE_OKX,
                     VENUE_KRAKEN,
                     VENUE_BINANCE } venue;

typedef struct frame {
    char *delta; /* {"bids","asks","checksum"?,"sequence"?...} as a plugin would say it */
    bool snapshot;
} frame;

typedef struct recording {
    frame *frames;
    size_t count;
} recording;

static void put_list(buf *out, const char *name, json list)
{
    json_put_key(out, name);
    buf_add_bytes(out, list.type == JSON_ARRAY ? list.raw : BYTES("[]"));
}

/* {"bids":...}: one venue's message; nothing if it is about another book. */
static void translate(buf *out, bool *snapshot, venue v, json doc, const char *symbol)
{
    json key, item, data = {0}, asks = {0}, bids = {0}, check = {0}, first = {0}, last = {0};
    *snapshot = false;
    if (v == VENUE_OKX) {
        if (!json_is(json_member(json_member(doc, "arg"), "channel"), "books") || !json_is(json_member(json_member(doc, "arg"), "instId"), symbol) || json_member(doc, "data").type == JSON_NONE)
            return;
        json_iter it = json_each(json_member(doc, "data"));
        json_next(&it, &key, &data);
        asks = json_member(data, "asks"), bids = json_member(data, "bids"), check = json_member(data, "checksum");
        *snapshot = json_is(json_member(doc, "action"), "snapshot");
    } else if (v == VENUE_KRAKEN) {
        if (doc.type != JSON_ARRAY)
            return;
        for (json_iter it = json_each(doc); json_next(&it, &key, &item); data = item) {
            json as = json_member(item, "as"), a = json_member(item, "a"), b = json_member(item, "b"), c = json_member(item, "c");
            *snapshot |= as.type == JSON_ARRAY;
            asks = as.type ? as : a.type ? a
                                         : asks;
            bids = as.type ? json_member(item, "bs") : b.type ? b
                                                              : bids;
            check = c.type ? c : check;
        }
        if (!json_is(data, symbol))
            return;
    } else {
        json stream = json_member(doc, "stream");
        data = json_member(doc, "data");
        if (!json_is(stream, symbol))
            return;
        asks = json_member(data, "a"), bids = json_member(data, "b"), first = json_member(data, "U"), last = json_member(data, "u");
    }
    buf_add_char(out, '{');
    put_list(out, "bids", bids);
    put_list(out, "asks", asks);
    json members[] = {check, first, last};
    const char *names[] = {"checksum", "first_sequence", "sequence"};
    for (int i = 0; i < 3; i++)
        if (members[i].type) {
            json_put_key(out, names[i]);
            buf_add_bytes(out, members[i].raw);
        }
    buf_add_char(out, '}');
}

static void record_frame(recording *r, bytes delta, bool snapshot)
{
    r->frames = realloc(r->frames, (r->count + 1) * sizeof *r->frames);
    r->frames[r->count++] = (frame){bytes_dup(delta), snapshot};
}

static recording load(venue v, const char *file, const char *symbol)
{
    recording r = {0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    FILE *in = fopen(file, "r");
    buf out;
    buf_init(&out, 1 << 22);
    CHECK(in != NULL);
    while ((len = getline(&line, &cap, in)) > 0) {
        char *text = line[0] >= '0' && line[0] <= '9' ? strstr(line, ": ") : NULL;
        bool snapshot;
        if (!text)
            continue;
        buf_clear(&out);
        translate(&out, &snapshot, v, parsed(text + 2), symbol);
        if (out.len)
            record_frame(&r, buf_bytes(&out), snapshot);
    }
    free(line);
    fclose(in);
    buf_fini(&out);
    return r;
}

static void drop(recording *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->frames[i].delta);
    free(r->frames);
}

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

static void every_checksum_holds(venue v, const char *file, const char *declaration, const char *const *symbols, size_t want)
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

/* The REST reply for a symbol, with lastUpdateId under the name of a record. */
static char *rest_snapshot(const char *symbol)
{
    char *line = NULL, *out = NULL, part[64];
    size_t cap = 0;
    FILE *in = fopen("sim/captures/BINANCE.http", "r");
    snprintf(part, sizeof part, "symbol=%s&", symbol);
    CHECK(in != NULL);
    while (!out && getline(&line, &cap, in) > 0)
        if (strstr(line, part)) {
            json doc = parsed(strstr(line, ": ") + 2);
            buf b;
            buf_init(&b, 1 << 22);
            buf_add_text(&b, "{\"sequence\":");
            buf_add_bytes(&b, json_member(doc, "lastUpdateId").raw);
            put_list(&b, "bids", json_member(doc, "bids"));
            put_list(&b, "asks", json_member(doc, "asks"));
            buf_add_char(&b, '}');
            out = bytes_dup(buf_bytes(&b));
            buf_fini(&b);
        }
    free(line);
    fclose(in);
    CHECK(out != NULL);
    return out;
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

typedef enum mutation { REMOVED,
                        SWAPPED,
                        ALTERED,
                        DOUBLED } mutation;

/* One digit of the first size of the frame. False: no level there, or its size is zero. */
static bool alter(char *delta)
{
    char *level = strstr(delta, "[[\"");
    char *size = level ? strchr(level, ',') : NULL;
    if (!size || size[1] != '"')
        return false;
    for (size += 2; *size == '0' || *size == '.'; size++)
        continue;
    if (*size == '"')
        return false;
    *size = *size == '9' ? '8' : (char)(*size + 1);
    return true;
}

/* A copy with one frame treated; empty if that cannot be done there. */
static recording mutate(const recording *r, mutation how, size_t at)
{
    recording out = {0};
    for (size_t i = 0; i < r->count; i++) {
        size_t from = how == SWAPPED && (i == at || i == at + 1) ? 2 * at + 1 - i : i;
        if (how == REMOVED && i == at)
            continue;
        record_frame(&out, bytes_of(r->frames[from].delta), r->frames[from].snapshot);
        if (how == ALTERED && i == at && !alter(out.frames[out.count - 1].delta)) {
            drop(&out);
            return (recording){0};
        }
        if (how == DOUBLED && i == at)
            record_frame(&out, bytes_of(r->frames[i].delta), false);
    }
    return out;
}

static uint32_t checksum_after(const recording *r, size_t last, size_t without, const char *declaration)
{
    guard g;
    book b;
    declare(&g, declaration);
    book_init(&b, g.depth);
    for (size_t i = 0; i <= last; i++)
        if (i != without)
            fill(&b, parsed(r->frames[i].delta));
    uint32_t crc = guard_checksum(&g, &b);
    book_fini(&b);
    guard_fini(&g);
    return crc;
}

/* Is the text under the next frame's checksum another one without this frame? Else no CRC tells that it is missing:
 * it changed deeper levels only, or the next frame changes the same ones again. */
static bool matters(const recording *r, size_t at, const char *declaration)
{
    return checksum_after(r, at + 1, r->count, declaration) != checksum_after(r, at + 1, at, declaration);
}

/* Is the level that `alter` changes one of those under the checksum? */
static bool covered(const recording *r, size_t at, const char *declaration)
{
    const char *level = strstr(r->frames[at].delta, "[[\"");
    bool found = false;
    guard g;
    book b;
    if (!level)
        return false;
    bytes price = bytes_make(level + 3, strcspn(level + 3, "\""));
    declare(&g, declaration);
    book_init(&b, g.depth);
    for (size_t i = 0; i <= at; i++)
        fill(&b, parsed(r->frames[i].delta));
    for (int side = 0; side < 2; side++) {
        book_cursor place = {0};
        for (uint32_t i = 0; i < g.form.levels; i++) {
            const book_level *l = book_next(&b, (book_side)side, &place);
            found |= l && bytes_equal(book_price(l), price);
        }
    }
    book_fini(&b);
    guard_fini(&g);
    return found;
}

static void mutations_are_found(venue v, const char *file, const char *symbol, const char *declaration, const char *rest, const mutation *how, size_t count)
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
