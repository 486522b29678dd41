/* An order book kept for readers: a line of the input each, a declaration, then what comes, any JSON as the data of a record;
 * "forget" and "missed" are the stream's own news. A reader that gets all has the book that is kept whenever that is
 * whole, and so has one that reads now and then and loses records, behind what it has read. Every record is JSON. */
#include "stream/book_service.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

typedef struct reader {
    sub *sub;
    book book;
    bool whole;
    uint64_t seq;
} reader;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void read_record(reader *r, const record *one)
{
    guard_marks m;
    json doc, key, flag, data = {JSON_OBJECT, one->data};
    bool snapshot = false;
    must(json_read(&doc, one->line, NULL) == WEIR_OK);
    if (one->kind == RECORD_GAP && one->cause == RECORD_GAP_SLOW_READER)
        r->whole = false;
    if (one->kind != RECORD_DATA)
        return;
    r->seq = one->seq;
    if (one->data.at[0] != '{' || guard_read_marks(&m, data, NULL)) {
        r->whole = false;
        return;
    }
    must(m.flags.type == JSON_ARRAY || m.type.type == JSON_STRING);
    for (json_iter it = json_each(m.flags); m.flags.type == JSON_ARRAY && json_next(&it, &key, &flag);) {
        snapshot |= json_is(flag, "snapshot");
        if (json_is(flag, "maybe_bad")) {
            r->whole = false;
            return;
        }
    }
    if (snapshot)
        book_clear(&r->book);
    r->whole |= snapshot;
    if (r->whole)
        must(guard_apply(&m, &r->book, NULL) == WEIR_OK);
}

static void read_all(reader *r)
{
    for (record *one; (one = sub_next(r->sub)); record_unref(one))
        read_record(r, one);
}

static void compare(const book *a, const book *b)
{
    for (int side = 0; side < 2; side++) {
        book_cursor x = {0}, y = {0};
        must(book_count(a, (book_side)side) == book_count(b, (book_side)side));
        for (const book_level *l, *k; (l = book_next(a, (book_side)side, &x));) {
            k = book_next(b, (book_side)side, &y);
            must(bytes_equal(book_price(l), book_price(k)) && bytes_equal(book_size(l), book_size(k)));
        }
    }
}

static void on_want(void *arg, const char *why, bool anew)
{
    (void)anew;
    must(*why);
    ++*(int *)arg;
}

static void on_whole(void *arg)
{
    (void)arg;
}

static void take(book_service *b, bytes line, uint64_t now)
{
    json doc;
    if (bytes_is(line, "forget"))
        book_service_forget(b);
    else if (bytes_is(line, "missed"))
        book_service_missed(b);
    else if (json_read(&doc, line, NULL) == WEIR_OK)
        book_service_take(b, &(book_message){doc, now % 3 != 0, 0, now});
    while (book_service_next(b))
        continue;
}

static void play(const char *at, const char *end, hub *h, book_service *b)
{
    reader all = {0}, slow = {0};
    const sub_options patient = {.policy = SUB_BLOCK}, small = {.policy = SUB_DROP_OLDEST, .max_records = 3};
    book_init(&all.book, b->guard.depth);
    book_init(&slow.book, b->guard.depth);
    must(hub_subscribe(&all.sub, h, ">", &patient, NULL) == WEIR_OK);
    for (uint64_t now = 1; at < end; now++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        take(b, bytes_make(at, (size_t)((newline ? newline : end) - at)), now);
        at = newline ? newline + 1 : end;
        read_all(&all);
        if (b->whole) {
            must(all.whole);
            compare(&b->book, &all.book);
        }
        if (now == 3)
            must(hub_subscribe(&slow.sub, h, ">", &small, NULL) == WEIR_OK);
        if (now > 3 && now % 4 == 0) {
            read_all(&slow);
            if (b->whole && slow.whole && slow.seq == b->record_seq)
                compare(&b->book, &slow.book);
        }
        must(hub_account_check(h, NULL));
    }
    book_fini(&all.book);
    book_fini(&slow.book);
}

int LLVMFuzzerTestOneInput(const uint8_t *text, size_t len)
{
    const char *at = (const char *)text, *end = at + len, *newline = len ? memchr(at, '\n', len) : NULL;
    json declaration;
    int wants = 0;
    hub *h;
    stream_plugin plugin = {0};
    struct stream s = {.plugin = &plugin};
    record_key key = {.type = BYTES("book"), .source = BYTES("fuzz"), .identifier = BYTES("x")};
    book_service b;
    book_owner owner = {on_want, on_whole, &wants};
    log_threshold = LOG_ERROR;
    if (!newline || json_read(&declaration, bytes_make(at, (size_t)(newline - at)), NULL))
        return 0;
    must(hub_new(&h, NULL) == WEIR_OK);
    plugin.hub = h;
    must(hub_stream(&s.records, h, &key, NULL) == WEIR_OK);
    if (book_service_init(&b, &s, declaration, &owner, NULL) == WEIR_OK) {
        play(newline + 1, end, h, &b);
        book_service_fini(&b);
    }
    record_stream_unref(s.records);
    hub_free(h);
    return 0;
}
