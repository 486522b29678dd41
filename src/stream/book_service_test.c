/* The order book service over recorded venues: every frame passed on unless something happened to it, then found at that
 * very frame; and what late and slow readers get. A real hub; of the stream only what records need. */
#include "stream/book_service.h"

#include "book/testing.h"

#define IN_BAND_OKX "{\"guard\":\"crc32\",\"checksum\":{\"levels\":25,\"order\":\"interleaved\",\"separator\":\":\",\"signed\":true}}"
#define BY_REQUEST "{\"guard\":\"sequence\",\"snapshot\":{\"url\":\"https://api.example/depth\"}}"
#define NONE "{\"guard\":\"none\"}"

static struct stage {
    hub *hub;
    stream_plugin plugin;
    stream stream;
    book_service service;
    sub *sub;
    int wants, anew, wholes;
    char why[WEIR_ERROR_TEXT];
    uint64_t clock;
} t;

static void on_want(void *arg, const char *why, bool anew)
{
    CHECK(arg == &t);
    t.wants++;
    t.anew += anew;
    snprintf(t.why, sizeof t.why, "%s", why);
}

static void on_whole(void *arg)
{
    CHECK(arg == &t);
    t.wholes++;
}

static void begin(const char *declaration)
{
    record_key key = {.type = BYTES("book"), .source = BYTES("venue"), .identifier = BYTES("x")};
    book_owner owner = {on_want, on_whole, &t};
    memset(&t, 0, sizeof t);
    CHECK_OK(hub_new(&t.hub, &err));
    CHECK_OK(hub_stream(&t.stream.records, t.hub, &key, &err));
    t.plugin.hub = t.hub;
    t.stream.plugin = &t.plugin;
    CHECK_OK(book_service_init(&t.service, &t.stream, parsed(declaration), &owner, &err));
    CHECK_OK(hub_subscribe(&t.sub, t.hub, ">", NULL, &err));
}

static void end(void)
{
    CHECK(hub_account_check(t.hub, &err));
    book_service_fini(&t.service);
    record_stream_unref(t.stream.records);
    hub_free(t.hub);
}

static record_counts counts(void)
{
    return *record_stream_counts(t.stream.records);
}

/* ---- One message of the plugin's ---- */

static void take_as(const char *data, bool last)
{
    book_message m = {parsed(data), last, 0, ++t.clock};
    book_service_take(&t.service, &m);
    while (book_service_next(&t.service))
        continue;
}

static void take(const char *data)
{
    take_as(data, true);
}

/* A frame with the flags that a plugin gives it. */
static void take_frame(const frame *f)
{
    char *text = malloc(strlen(f->delta) + 40);
    sprintf(text, "{\"flags\":[%s],%s", f->snapshot ? "\"snapshot\",\"last\"" : "\"last\"", f->delta + 1);
    take(text);
    free(text);
}

/* The next record's line from "kind" on, or "". */
static const char *next(void)
{
    static char text[1 << 20];
    record *r = sub_next(t.sub);
    text[0] = '\0';
    if (!r)
        return text;
    const char *part = r->kind == RECORD_DATA ? r->data.at : memmem(r->line.at, r->line.len, r->kind == RECORD_GAP ? "\"cause\"" : "\"state\"", 7);
    snprintf(text, sizeof text, "%.*s", (int)(r->line.at + r->line.len - part - (r->kind == RECORD_DATA)), part);
    record_unref(r);
    return text;
}

#define SNAPSHOT "{\"bids\":[[\"9\",\"1\"],[\"8\",\"2.50\"]],\"asks\":[[\"10\",\"1\"]],\"sequence\":100,\"flags\":[\"snapshot\",\"last\"]}"

/* ---- What readers get ---- */

TEST(book_service, adds_the_flags_that_are_missing_and_nothing_else)
{
    begin("{\"guard\":\"sequence\"}");
    take("{\"symbol\":\"X\",\"bids\":[[\"9\",\"1\"]],\"asks\":[],\"sequence\":7,\"type\":\"snapshot\"}");
    CHECK_TEXT(next(), "{\"symbol\":\"X\",\"bids\":[[\"9\",\"1\"]],\"asks\":[],\"sequence\":7,\"type\":\"snapshot\",\"flags\":[\"snapshot\",\"last\"]}");
    take("{\"bids\":[[\"9\", \"2\"]],\"sequence\":8}");
    CHECK_TEXT(next(), "{\"bids\":[[\"9\", \"2\"]],\"sequence\":8,\"flags\":[\"last\"]}");
    take_as("{\"flags\":[],\"sequence\":9, \"n\":1.0}", false);
    CHECK_TEXT(next(), "{\"flags\":[],\"sequence\":9, \"n\":1.0}");
    take_as("{\"sequence\":10}", false);
    CHECK_TEXT(next(), "{\"sequence\":10,\"flags\":[]}"); /* without, a reader would take it for a whole book */
    take("{\"flags\":[ ],\"sequence\":11}");
    CHECK_TEXT(next(), "{\"flags\":[ \"last\"],\"sequence\":11}");
    take("{\"flags\":[\"other\"],\"sequence\":12}");
    CHECK_TEXT(next(), "{\"flags\":[\"other\",\"last\"],\"sequence\":12}");
    take("{\"flags\":null,\"sequence\":13}");
    CHECK_TEXT(next(), "{\"flags\":[\"last\"],\"sequence\":13}");
    take("{\"sequence\":14,\"flags\":[\"last\"]}");
    CHECK_TEXT(next(), "{\"sequence\":14,\"flags\":[\"last\"]}");
    CHECK_TEXT(next(), "");
    CHECK_INT(t.wants, 0);
    end();
}

TEST(book_service, a_hole_is_a_gap_and_the_next_snapshot_makes_it_whole)
{
    begin("{\"guard\":\"sequence\"}");
    take(SNAPSHOT);
    take("{\"bids\":[[\"9\",\"3\"]],\"first_sequence\":101,\"sequence\":102}");
    next(), next();
    take("{\"bids\":[],\"first_sequence\":110,\"sequence\":112}");
    CHECK_HAS(next(), "\"cause\":\"sequence\",\"from\":\"2\",\"to\":\"3\",\"from_seq\":\"103\",\"to_seq\":\"109\"");
    CHECK_TEXT(next(), "{\"bids\":[],\"first_sequence\":110,\"sequence\":112,\"flags\":[\"last\",\"maybe_bad\"]}");
    CHECK_INT(t.wants, 1);
    CHECK_TEXT(t.why, "the changes 103 to 109 are missing");
    take("{\"bids\":[],\"sequence\":113}"); /* the snapshot will have it */
    CHECK_TEXT(next(), "");
    CHECK_UINT(counts().stale, 1);
    take("{\"bids\":[[\"7\",\"1\"]],\"asks\":[],\"sequence\":115,\"flags\":[\"snapshot\",\"last\"]}");
    CHECK_HAS(next(), "\"state\":\"resynced\"");
    CHECK_HAS(next(), "\"sequence\":115,\"flags\":[\"snapshot\",\"last\"]");
    take("{\"bids\":[],\"sequence\":116}");
    CHECK_TEXT(next(), "{\"bids\":[],\"sequence\":116,\"flags\":[\"last\"]}");
    CHECK_INT(t.wholes, 2);
    end();
}

TEST(book_service, what_is_no_change_of_a_book_is_a_gap_too)
{
    static const struct {
        const char *data, *why;
    } bad[] = {
        {"{\"bids\":[[\"x\",\"1\"]],\"sequence\":101}", "price and size are decimals"},
        {"{\"bids\":[[\"9\",\"1\"]],\"sequence\":\"one\"}", "whole number"},
        {"{\"bids\":7,\"sequence\":101}", "no list of levels"},
        {"{\"flags\":\"last\",\"sequence\":101}", "it is a list"},
        {"{\"flags\":[\"maybe_bad\"],\"sequence\":101}", "the plugin says"},
        {"[1,2]", "it is an object"},
        {"null", "it is an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin("{\"guard\":\"sequence\"}");
        take(SNAPSHOT);
        next();
        take(bad[i].data);
        CHECK_HAS(next(), "\"cause\":\"dropped\"");
        CHECK_HAS(t.why, bad[i].why);
        if (bad[i].data[0] == '{')
            CHECK_HAS(next(), "maybe_bad");
        else
            CHECK_TEXT(next(), bad[i].data);
        take(SNAPSHOT);
        CHECK_HAS(next(), "resynced");
        end();
    }
}

TEST(book_service, a_wrong_declaration_is_refused)
{
    book_service b;
    book_owner owner = {on_want, on_whole, &t};
    begin(NONE);
    CHECK_INT(book_service_init(&b, &t.stream, parsed("{\"guard\":\"crc\"}"), &owner, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "\"book\": \"guard\" is \"crc\"");
    book_service_fini(&b);
    record_stream_keep(t.stream.records, NULL, NULL, 0);
    end();
}

TEST(book_service, the_hole_that_a_dropped_message_left_is_told_once)
{
    record_gap gap = {.cause = RECORD_GAP_DROPPED, .count = 1};
    begin("{\"guard\":\"sequence\"}");
    take(SNAPSHOT);
    stream_tell_gap(&t.stream, &gap);
    book_service_missed(&t.service);
    CHECK_INT(t.wants, 0); /* the numbers will tell */
    take("{\"sequence\":102}");
    next();
    CHECK_HAS(next(), "\"cause\":\"dropped\"");
    CHECK_HAS(next(), "maybe_bad");
    CHECK_TEXT(next(), "");
    end();
    static const char *const silent[] = {NONE, "{\"guard\":[\"previous_sequence\"]}"}; /* declared, and the venue says none */
    for (size_t i = 0; i < 2; i++) {
        begin(silent[i]);
        take("{\"bids\":[[\"9\",\"1\"]],\"asks\":[],\"flags\":[\"snapshot\"]}");
        stream_tell_gap(&t.stream, &gap);
        book_service_missed(&t.service);
        CHECK_INT(t.wants, 1); /* here nothing else would */
        take("{\"bids\":[]}");
        next();
        CHECK_HAS(next(), "\"cause\":\"dropped\"");
        CHECK_TEXT(next(), "");
        end();
    }
}

/* ---- Snapshots by request ---- */

TEST(book_service, holds_changes_until_the_snapshot_and_applies_those_that_are_newer)
{
    begin(BY_REQUEST);
    take("{\"first_sequence\":95,\"sequence\":98}");
    CHECK_INT(t.wants, 1);
    take("{\"first_sequence\":99,\"sequence\":101,\"bids\":[[\"9\",\"5\"]]}");
    take("{\"first_sequence\":102,\"sequence\":103,\"bids\":[[\"8\",\"0\"]]}");
    CHECK_TEXT(next(), "");
    take(SNAPSHOT);
    CHECK_TEXT(next(), SNAPSHOT);
    CHECK_HAS(next(), "\"sequence\":101");
    CHECK_HAS(next(), "\"sequence\":103");
    CHECK_TEXT(next(), "");
    CHECK_UINT(counts().stale, 1);
    take("{\"sequence\":104}");
    CHECK_HAS(next(), "\"sequence\":104");
    CHECK_UINT(book_count(&t.service.book, BOOK_BIDS), 1);
    end();
}

TEST(book_service, asks_again_for_a_snapshot_that_is_too_old)
{
    begin(BY_REQUEST);
    take("{\"first_sequence\":105,\"sequence\":108}");
    take(SNAPSHOT);
    CHECK_INT(t.anew, 1);
    CHECK_TEXT(next(), "");
    take("{\"bids\":[],\"asks\":[],\"sequence\":106,\"flags\":[\"snapshot\"]}");
    CHECK_HAS(next(), "\"sequence\":106");
    CHECK_HAS(next(), "\"sequence\":108");
    CHECK_UINT(counts().gaps, 0);
    end();
}

TEST(book_service, keeps_the_change_behind_a_hole_for_the_next_snapshot)
{
    begin(BY_REQUEST);
    take("{\"sequence\":101}");
    take(SNAPSHOT);
    next(), next();
    take("{\"sequence\":105}");
    CHECK_HAS(next(), "\"from_seq\":\"102\",\"to_seq\":\"104\"");
    CHECK_HAS(next(), "maybe_bad");
    take("{\"sequence\":106}");
    take("{\"bids\":[],\"asks\":[],\"sequence\":104,\"flags\":[\"snapshot\"]}");
    CHECK_HAS(next(), "resynced");
    CHECK_HAS(next(), "\"snapshot\"");
    CHECK_TEXT(next(), "{\"sequence\":105,\"flags\":[\"last\"]}");
    CHECK_HAS(next(), "\"sequence\":106");
    end();
}

/* A hole among what was held: found there; what is behind it waits on. */
TEST(book_service, finds_a_hole_among_what_it_held)
{
    begin(BY_REQUEST);
    take("{\"sequence\":101}");
    take("{\"sequence\":103}");
    take("{\"sequence\":104}");
    take(SNAPSHOT);
    CHECK_HAS(next(), "\"snapshot\"");
    CHECK_HAS(next(), "\"sequence\":101");
    CHECK_HAS(next(), "\"from_seq\":\"102\",\"to_seq\":\"102\"");
    CHECK_HAS(next(), "\"sequence\":103,\"flags\":[\"last\",\"maybe_bad\"]");
    CHECK_TEXT(next(), "");
    take("{\"bids\":[],\"asks\":[],\"sequence\":102,\"flags\":[\"snapshot\"]}");
    CHECK_HAS(next(), "resynced");
    CHECK_HAS(next(), "\"snapshot\"");
    CHECK_HAS(next(), "\"sequence\":103,\"flags\":[\"last\"]");
    CHECK_HAS(next(), "\"sequence\":104");
    end();
}

TEST(book_service, begins_anew_when_too_much_waits_for_the_snapshot)
{
    char *big = malloc((1 << 20) + 100);
    size_t len = (size_t)sprintf(big, "{\"sequence\":1,\"x\":\"");
    memset(big + len, 'x', 1 << 20);
    strcpy(big + len + (1 << 20), "\"}");
    begin(BY_REQUEST);
    for (int i = 1; i <= 3; i++)
        take(big);
    CHECK_INT(t.anew, 0);
    take(big);
    CHECK_INT(t.anew, 1);
    take("{\"sequence\":101}");
    CHECK_UINT(counts().stale, 3);
    take(SNAPSHOT);
    CHECK_HAS(next(), "\"snapshot\"");
    CHECK_HAS(next(), "\"sequence\":101");
    CHECK_UINT(counts().stale, 4); /* and the fourth */
    free(big);
    end();
}

TEST(book_service, a_lost_connection_takes_the_book_along)
{
    begin(BY_REQUEST);
    take("{\"sequence\":101}");
    take(SNAPSHOT);
    next(), next();
    book_service_forget(&t.service);
    t.stream.last_recv = 5;
    stream_begin_gap(&t.stream, RECORD_GAP_DISCONNECTED);
    take("{\"sequence\":201}");
    CHECK_TEXT(next(), "");
    take("{\"bids\":[],\"asks\":[],\"sequence\":200,\"flags\":[\"snapshot\"]}");
    CHECK_HAS(next(), "\"cause\":\"disconnected\"");
    CHECK_HAS(next(), "resynced");
    CHECK_HAS(next(), "\"sequence\":200");
    CHECK_HAS(next(), "\"sequence\":201");
    CHECK_TEXT(next(), "");
    end();
}

/* ---- Readers that come late or lose ---- */

/* What a reader makes of what it gets, checked as the venue checks it. */
typedef struct reader {
    sub *sub;
    guard guard;
    book book;
    bool whole;
    size_t records, checked;
} reader;

static void reader_begin(reader *r, const sub_options *o)
{
    *r = (reader){0};
    declare(&r->guard, IN_BAND_OKX);
    book_init(&r->book, r->guard.depth);
    CHECK_OK(hub_subscribe(&r->sub, t.hub, ">", o, &err));
}

static void reader_end(reader *r)
{
    guard_fini(&r->guard);
    book_fini(&r->book);
}

static void reader_read(reader *r)
{
    for (record *one; (one = sub_next(r->sub)); record_unref(one)) {
        json data = {JSON_OBJECT, one->data};
        guard_marks m;
        if (one->kind == RECORD_GAP)
            r->whole = false;
        if (one->kind != RECORD_DATA)
            continue;
        CHECK_OK(guard_read_marks(&m, data, &err));
        if (memmem(m.flags.raw.at, m.flags.raw.len, "snapshot", 8)) {
            book_clear(&r->book);
            r->whole = true;
        }
        CHECK(r->whole); /* no change without what it changes */
        fill(&r->book, data);
        CHECK_INT(guard_check(&r->guard, &r->book, &m), GUARD_GOOD);
        r->checked += m.has_checksum;
        r->records++;
    }
}

static void books_are_equal(const book *a, const book *b)
{
    for (int side = 0; side < 2; side++) {
        book_cursor x = {0}, y = {0};
        CHECK_UINT(book_count(a, (book_side)side), book_count(b, (book_side)side));
        for (const book_level *l; (l = book_next(a, (book_side)side, &x));) {
            const book_level *k = book_next(b, (book_side)side, &y);
            CHECK_BYTES(book_price(k), book_price(l));
            CHECK_BYTES(book_size(k), book_size(l));
        }
    }
}

TEST(book_service, late_and_slow_readers_have_the_venues_book_at_every_record)
{
    recording r = load(VENUE_OKX, "sim/captures/OKX.ws", "BTC-USDT");
    reader late, slow, newest;
    sub_options small = {.policy = SUB_DROP_OLDEST, .max_records = 5}, per_key = {.policy = SUB_NEWEST_PER_KEY, .max_records = 5};
    begin(IN_BAND_OKX);
    for (size_t i = 0; i < r.count; i++) {
        if (i == 0) {
            reader_begin(&slow, &small);
            reader_begin(&newest, &per_key);
        }
        if (i == r.count / 3)
            reader_begin(&late, NULL);
        take_frame(&r.frames[i]);
        if (i % 9 == 8) {
            reader_read(&slow);
            reader_read(&newest);
        }
        if (i > r.count / 3)
            reader_read(&late);
    }
    reader_read(&slow);
    reader_read(&newest);
    CHECK_UINT(late.checked, r.count - r.count / 3);
    CHECK(slow.checked > r.count / 9 && slow.checked < r.count);
    CHECK(newest.checked >= r.count / 9);
    CHECK_UINT(sub_read_account(late.sub).snapshots, 1);
    CHECK(sub_read_account(slow.sub).snapshots > 3);
    books_are_equal(&t.service.book, &late.book);
    books_are_equal(&t.service.book, &slow.book);
    books_are_equal(&t.service.book, &newest.book);
    reader_end(&late), reader_end(&slow), reader_end(&newest);
    drop(&r);
    end();
}

TEST(book_service, a_snapshot_for_a_reader_says_what_the_change_says)
{
    begin("{\"guard\":\"sequence\"}");
    take(SNAPSHOT);
    sub *first = t.sub;
    CHECK_OK(hub_subscribe(&t.sub, t.hub, ">", NULL, &err));
    take_as("{\"symbol\":\"X\",\"type\":\"delta\",\"bids\":[[\"8.5\",\"0.50\"]],\"asks\":[],\"first_sequence\":101,\"sequence\":101,\"previous_sequence\":100,\"checksum\":5,\"ts_event\":\"7\",\"flags\":[]}", false);
    CHECK_TEXT(next(), "{\"symbol\":\"X\",\"sequence\":101,\"checksum\":5,\"ts_event\":\"7\",\"bids\":[[\"9\",\"1\"],[\"8.5\",\"0.50\"],[\"8\",\"2.50\"]],\"asks\":[[\"10\",\"1\"]],\"flags\":[\"snapshot\"]}");
    take("{\"bids\":[],\"sequence\":200}");
    next();
    CHECK_HAS(next(), "maybe_bad");
    CHECK_OK(hub_subscribe(&t.sub, t.hub, ">", NULL, &err));
    take(SNAPSHOT);
    CHECK_HAS(next(), "resynced");
    CHECK_TEXT(next(), SNAPSHOT);
    t.sub = first;
    end();
}

/* ---- Recorded venues ---- */

typedef struct recorded_book {
    recorded venue;
    const char *file, *symbol, *declaration;
} recorded_book;

/* Plays it; answers the place of the first frame that is not passed on as good, or -1. It is one that was flagged
 * maybe_bad, or left out as a double. */
static int play_through(const recording *r, const char *declaration, const char *rest)
{
    int found = -1;
    char *flagged = NULL;
    begin(declaration);
    if (rest) {
        flagged = malloc(strlen(rest) + 40);
        sprintf(flagged, "{\"flags\":[\"snapshot\",\"last\"],%s", rest + 1);
    }
    for (size_t i = 0; i < r->count && found < 0; i++) {
        uint64_t repeated = counts().repeated;
        take_frame(&r->frames[i]);
        if (i == 0 && rest) {
            CHECK_INT(t.wants, 1);
            take(flagged);
        }
        bool gap = false;
        for (const char *line; *(line = next());) {
            gap |= strncmp(line, "\"cause\":\"sequence\"", 18) == 0;
            if (!strstr(line, "maybe_bad"))
                continue;
            CHECK(gap); /* in its place */
            CHECK_HAS(line, r->frames[i].delta + 1 + 8);
            found = (int)i;
        }
        if (counts().repeated > repeated)
            found = (int)i;
    }
    if (found < 0)
        CHECK_UINT(counts().published + counts().stale, r->count + (rest != NULL));
    CHECK_UINT(counts().gaps, found >= 0 && !counts().repeated);
    free(flagged);
    end();
    return found;
}

static size_t whole_file(const recorded_book *b)
{
    recording r = load(b->venue, b->file, b->symbol);
    int bad = play_through(&r, b->declaration, NULL);
    if (bad >= 0)
        test_fail(__FILE__, __LINE__, "%s: frame %d of %zu: %s", b->symbol, bad, r.count, t.why);
    size_t count = r.count;
    drop(&r);
    return count;
}

TEST(book_service, passes_on_every_frame_of_the_recordings)
{
    static const char *const okx[] = {"BTC-USD-220527", "BTC-USDT", "UNI-USD-SWAP", NULL};
    static const char *const kraken[] = {"WAVES/EUR", "XMR/USD", "KSM/XBT", "GRT/ETH", "SC/EUR", "ETH/CHF", "OCEAN/XBT", "OMG/USD", "XBT/CHF", "ADA/XBT", NULL};
    static const char *const coinbase[] = {"BAND-GBP", "BAND-BTC", "YFI-BTC", "NU-GBP", "CRV-EUR", "SKL-GBP", "SKL-USD", "SKL-BTC", "NMR-EUR", "DASH-BTC", NULL};
    size_t frames[3] = {0};
    for (const char *const *s = okx; *s; s++)
        frames[0] += whole_file(&(recorded_book){VENUE_OKX, "sim/captures/OKX.ws", *s, IN_BAND_OKX});
    for (const char *const *s = kraken; *s; s++)
        frames[1] += whole_file(&(recorded_book){VENUE_KRAKEN, "sim/captures/KRAKEN.ws", *s, KRAKEN});
    for (const char *const *s = coinbase; *s; s++)
        frames[2] += whole_file(&(recorded_book){VENUE_COINBASE, "sim/captures/COINBASE.ws", *s, NONE});
    CHECK_UINT(frames[0], 290);
    CHECK_UINT(frames[1], 4279);
    CHECK_UINT(frames[2], 9719 + 10);
}

TEST(book_service, goes_on_from_the_recorded_rest_snapshots)
{
    static const char *const symbols[][2] = {{"NKNUSDT", "nknusdt@depth@100ms"}, {"BLZETH", "blzeth@depth@100ms"}, {"LRCBTC", "lrcbtc@depth@100ms"}, {"RUNEEUR", "runeeur@depth@100ms"}};
    for (size_t i = 0; i < 4; i++) {
        char *rest = rest_snapshot(symbols[i][0]);
        recording r = load(VENUE_BINANCE, "sim/captures/BINANCE.ws", symbols[i][1]);
        CHECK(r.count > 0);
        CHECK_INT(play_through(&r, BY_REQUEST, rest), -1);
        drop(&r);
        free(rest);
    }
}

/* ---- Mutations: found at that very frame ---- */

static const char *const mutation_names[] = {"removed", "swapped", "altered", "doubled"};

/* Where it can be seen at the earliest: a frame that is missing or late at the one in its place, an altered one by its own
 * checksum, a double where it comes again. */
static size_t mutations_are_found(const recorded_book *b, const char *rest, mutation how, size_t apart)
{
    recording r = load(b->venue, b->file, b->symbol);
    size_t tried = 0;
    bool by_checksum = !rest;
    for (size_t at = 2; at + 2 < r.count; at += apart) {
        if (by_checksum && how != DOUBLED && !matters(&r, at, b->declaration))
            continue; /* no level under the checksum tells of it */
        if (how == ALTERED && !covered(&r, at, b->declaration))
            continue;
        recording bad = mutate(&r, how, at);
        if (!bad.count)
            continue;
        int want = (int)at + (how == DOUBLED), found = play_through(&bad, b->declaration, rest);
        if (found != want)
            test_fail(__FILE__, __LINE__, "%s: frame %zu %s is found at %d", b->symbol, at, mutation_names[how], found);
        tried++;
        drop(&bad);
    }
    drop(&r);
    return tried;
}

TEST(book_service, okx_finds_a_frame_removed_swapped_altered_or_doubled)
{
    static const char *const symbols[] = {"BTC-USD-220527", "BTC-USDT", "UNI-USD-SWAP"};
    size_t tried[4] = {0};
    for (size_t i = 0; i < 3; i++)
        for (int how = 0; how < 4; how++)
            tried[how] += mutations_are_found(&(recorded_book){VENUE_OKX, "sim/captures/OKX.ws", symbols[i], IN_BAND_OKX}, NULL, (mutation)how, 1);
    for (int how = 0; how < 4; how++)
        CHECK(tried[how] > 100);
}

TEST(book_service, kraken_finds_a_frame_removed_swapped_altered_or_doubled)
{
    for (int how = 0; how < 4; how++)
        CHECK(mutations_are_found(&(recorded_book){VENUE_KRAKEN, "sim/captures/KRAKEN.ws", "XMR/USD", KRAKEN}, NULL, (mutation)how, 7) >= 20);
}

/* An altered size stays unseen: Binance sends no checksum. */
TEST(book_service, binance_finds_a_frame_removed_swapped_or_doubled)
{
    static const mutation how[] = {REMOVED, SWAPPED, DOUBLED};
    char *rest = rest_snapshot("NKNUSDT");
    for (size_t i = 0; i < 3; i++)
        CHECK(mutations_are_found(&(recorded_book){VENUE_BINANCE, "sim/captures/BINANCE.ws", "nknusdt@depth@100ms", BY_REQUEST}, rest, how[i], 1) > 100);
    free(rest);
}

/* Coinbase's level2 of that time has neither numbers nor checksums: a frame missing, late or altered cannot be seen by
 * anybody. A double can. */
TEST(book_service, coinbase_finds_a_double_and_no_guard_finds_more)
{
    recorded_book b = {VENUE_COINBASE, "sim/captures/COINBASE.ws", "NU-GBP", NONE};
    recording r = load(b.venue, b.file, b.symbol);
    for (size_t at = 2; at + 2 < r.count; at += 5)
        for (int how = 0; how < 4; how++) {
            recording bad = mutate(&r, (mutation)how, at);
            if (bad.count)
                CHECK_INT(play_through(&bad, b.declaration, NULL), how == DOUBLED ? (int)at + 1 : -1);
            drop(&bad);
        }
    drop(&r);
}

/* ---- Memory ---- */

TEST(book_service, allocates_nothing_once_it_has_grown)
{
    recording r = load(VENUE_OKX, "sim/captures/OKX.ws", "BTC-USDT");
    char **texts = calloc(r.count, sizeof *texts);
    uint64_t before = 0;
    begin(IN_BAND_OKX);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < r.count; i++) {
            book_message m = {.last = true, .recv_ns = 1};
            if (!texts[i]) {
                texts[i] = malloc(strlen(r.frames[i].delta) + 40);
                sprintf(texts[i], "{%s%s", r.frames[i].snapshot ? "\"flags\":[\"snapshot\"]," : "", r.frames[i].delta + 1);
            }
            CHECK_OK(json_read(&m.data, bytes_of(texts[i]), &err));
            if (i == 1)
                before = fault_allocations();
            book_service_take(&t.service, &m);
            for (record *one; (one = sub_next(t.sub)); record_unref(one))
                continue;
        }
    }
    CHECK_UINT(fault_allocations(), before);
    CHECK_UINT(counts().published, 3 * r.count);
    for (size_t i = 0; i < r.count; i++)
        free(texts[i]);
    free(texts);
    drop(&r);
    end();
}

TEST(book_service, survives_failing_memory)
{
    static const char *const changes[] = {"{\"sequence\":101,\"bids\":[[\"9.5\",\"1\"]]}", "{\"sequence\":102,\"asks\":[[\"11\",\"2\"]]}", SNAPSHOT, "{\"sequence\":103,\"bids\":[[\"9.5\",\"0\"]]}", "{\"sequence\":110}", SNAPSHOT};
    json parsed_changes[6], declaration = parsed(BY_REQUEST);
    for (size_t i = 0; i < 6; i++)
        parsed_changes[i] = parsed(changes[i]);
    begin(NONE);
    book_service_fini(&t.service);
    FAULT_SWEEP(alloc) {
        book_owner owner = {on_want, on_whole, &t};
        sub *late = NULL;
        weir_error why = WEIR_ERROR_INIT;
        t.wants = 0;
        if (book_service_init(&t.service, &t.stream, declaration, &owner, &why))
            continue;
        for (size_t i = 0; i < 6; i++) {
            book_message m = {parsed_changes[i], true, 0, 1};
            book_service_take(&t.service, &m);
            while (book_service_next(&t.service))
                continue;
            if (i == 2)
                hub_subscribe(&late, t.hub, ">", NULL, &why);
        }
        CHECK(t.wants > 0 || !t.service.whole);
        if (late)
            hub_unsubscribe(t.hub, late);
        book_service_fini(&t.service);
    }
    end();
}
