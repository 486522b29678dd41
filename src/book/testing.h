/* testing.h: recorded order books of four venues for tests, frame by frame as a plugin would say them, and what may
 * happen to a frame on its way. */
#ifndef BOOK_TESTING_H
#define BOOK_TESTING_H

#include "book/guard.h"

#include <stdlib.h>

#include "tests/lib/test.h"

#define OKX "{\"guard\":\"crc32\",\"checksum\":{\"levels\":25,\"order\":\"interleaved\",\"separator\":\":\",\"signed\":true}}"
#define KRAKEN "{\"guard\":\"crc32\",\"depth\":1000,\"checksum\":{\"levels\":10,\"order\":\"asks_then_bids\",\"strip\":true}}"
#define SEQUENCE "{\"guard\":\"sequence\"}"
#define PREVIOUS "{\"guard\":\"previous_sequence\"}"

static weir_error err = WEIR_ERROR_INIT;

static inline json parsed(const char *text)
{
    json doc;
    CHECK_OK(json_read(&doc, bytes_of(text), &err));
    return doc;
}

static inline void declare(guard *g, const char *text)
{
    CHECK_OK(guard_read(g, parsed(text), &err));
}

static inline void fill(book *b, json data)
{
    CHECK_OK(book_apply(b, BOOK_BIDS, json_member(data, "bids"), &err));
    CHECK_OK(book_apply(b, BOOK_ASKS, json_member(data, "asks"), &err));
    book_truncate(b);
}

/* ---- Recorded venues ---- */

typedef enum recorded { VENUE_OKX,
                        VENUE_KRAKEN,
                        VENUE_BINANCE,
                        VENUE_COINBASE } recorded;

typedef struct frame {
    char *delta; /* {"bids","asks","checksum"?,"sequence"?...} as a plugin would say it */
    bool snapshot;
} frame;

typedef struct recording {
    frame *frames;
    size_t count;
} recording;

static inline void put_list(buf *out, const char *name, json list)
{
    json_put_key(out, name);
    buf_add_bytes(out, list.type == JSON_ARRAY ? list.raw : BYTES("[]"));
}

/* {"type":"snapshot","asks":[...],"bids":[...]} or {"type":"l2update","changes":[["buy","price","size"]...],"time"}. */
static inline void translate_level2(buf *out, bool *snapshot, json doc)
{
    json key, item, side, price, size;
    json changes = json_member(doc, "changes");
    *snapshot = json_is(json_member(doc, "type"), "snapshot");
    if (!*snapshot && !json_is(json_member(doc, "type"), "l2update"))
        return;
    buf_add_char(out, '{');
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "asks" : "bids";
        if (*snapshot) {
            put_list(out, name, json_member(doc, name));
            continue;
        }
        json_put_key(out, name);
        buf_add_char(out, '[');
        for (json_iter it = json_each(changes), level; json_next(&it, &key, &item);) {
            level = json_each(item);
            CHECK(json_next(&level, &key, &side) && json_next(&level, &key, &price) && json_next(&level, &key, &size));
            if (json_is(side, i ? "sell" : "buy"))
                buf_add_fmt(out, "%s[" BYTES_FMT "," BYTES_FMT "]", out->at[out->len - 1] == '[' ? "" : ",", BYTES_ARG(price.raw), BYTES_ARG(size.raw));
        }
        buf_add_char(out, ']');
    }
    if (json_member(doc, "time").type == JSON_STRING) {
        json_put_key(out, "timestamp");
        buf_add_bytes(out, json_member(doc, "time").raw);
    }
    buf_add_char(out, '}');
}

/* {"bids":...}: one venue's message; nothing if it is about another book. */
static inline void translate(buf *out, bool *snapshot, recorded v, json doc, const char *symbol)
{
    json key, item, data = {0}, asks = {0}, bids = {0}, check = {0}, first = {0}, last = {0}, time = {0};
    *snapshot = false;
    if (v == VENUE_OKX) {
        if (!json_is(json_member(json_member(doc, "arg"), "channel"), "books") || !json_is(json_member(json_member(doc, "arg"), "instId"), symbol) || json_member(doc, "data").type == JSON_NONE)
            return;
        json_iter it = json_each(json_member(doc, "data"));
        json_next(&it, &key, &data);
        asks = json_member(data, "asks"), bids = json_member(data, "bids"), check = json_member(data, "checksum");
        *snapshot = json_is(json_member(doc, "action"), "snapshot");
        time = json_member(data, "ts");
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
    } else if (v == VENUE_COINBASE) {
        if (json_is(json_member(doc, "product_id"), symbol))
            translate_level2(out, snapshot, doc);
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
    json members[] = {check, first, last, time};
    const char *names[] = {"checksum", "first_sequence", "sequence", "ts"};
    for (int i = 0; i < 4; i++)
        if (members[i].type) {
            json_put_key(out, names[i]);
            buf_add_bytes(out, members[i].raw);
        }
    buf_add_char(out, '}');
}

static inline void record_frame(recording *r, bytes delta, bool snapshot)
{
    r->frames = realloc(r->frames, (r->count + 1) * sizeof *r->frames);
    r->frames[r->count++] = (frame){bytes_dup(delta), snapshot};
}

static inline recording load(recorded v, const char *file, const char *symbol)
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

static inline void drop(recording *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->frames[i].delta);
    free(r->frames);
}

/* The REST reply for a symbol, with lastUpdateId under the name of a record. */
static inline char *rest_snapshot(const char *symbol)
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

/* ---- Mutations: found at that very frame ---- */

typedef enum mutation { REMOVED,
                        SWAPPED,
                        ALTERED,
                        DOUBLED } mutation;

/* One digit of the first size of the frame. False: no level there, or its size is zero. */
static inline bool alter(char *delta)
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
static inline recording mutate(const recording *r, mutation how, size_t at)
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

static inline uint32_t checksum_after(const recording *r, size_t last, size_t without, const char *declaration)
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
static inline bool matters(const recording *r, size_t at, const char *declaration)
{
    return checksum_after(r, at + 1, r->count, declaration) != checksum_after(r, at + 1, at, declaration);
}

/* Is the level that `alter` changes one of those under the checksum? */
static inline bool covered(const recording *r, size_t at, const char *declaration)
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

#endif
