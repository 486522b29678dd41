/* Out of memory at each allocation in turn: an error, a count, never a crash, nothing leaked, each answer once. */
#include "store/testing.h"

#include "base/digest.h"

static int answers;

static void on_done(void *arg, weir_code code, const char *error)
{
    (void)arg;
    answers++;
    CHECK(code == WEIR_OK || error[0]);
}

static void on_read(void *arg, const store_history_page *page)
{
    (void)arg;
    answers++;
    CHECK(page->code == WEIR_OK || page->error[0]);
}

static void on_entries(void *arg, weir_code code, bytes json, const char *error)
{
    (void)arg;
    answers++;
    CHECK(code == WEIR_OK ? json.len > 0 : error[0] != 0);
}

static void on_thing(void *arg, const char *id, bytes json, bytes secret, bool sealed)
{
    (void)arg;
    CHECK_TEXT(id, "1");
    CHECK_BYTES(json, BYTES("{}"));
    CHECK(!sealed && bytes_is(secret, "s"));
}

static void use(record_stream *a, record_stream *b, const char *digest)
{
    weir_error why = WEIR_ERROR_INIT;
    store_audit entry = {.time_ns = 1, .who = "me"};

    answers = 0;
    store_next_id(s, "thing");
    store_put(s, "thing", "1", BYTES("{}"), BYTES("s"), on_done, NULL);
    store_remove(s, "thing", "2", on_done, NULL);
    store_module_put(s, digest, BYTES("module"), on_done, NULL);
    for (int i = 0; i < 3; i++) {
        record *r = record_new(i % 2 ? b : a, 5, 6, BYTES("1"));
        if (r)
            store_history_add(s, r);
        record_unref(r);
    }
    store_audit_add(s, &entry);
    store_history_read(s, &(store_history_query){.pattern = ">"}, on_read, NULL);
    store_flush(s, on_done, NULL);
    WAIT_FOR(answers == 5);
    store_history_read(s, &(store_history_query){.pattern = ">", .newest_first = true}, on_read, NULL);
    store_history_read(s, &(store_history_query){.topic = "trades.woox.A", .behind_seq = true}, on_read, NULL);
    store_audit_read(s, 0, 0, on_entries, NULL);
    WAIT_FOR(answers == 8);
    if (store_load(s, "thing", on_thing, NULL, &why))
        CHECK(why.text[0] != 0);
    store_figures f = store_read_figures(s);
    CHECK_UINT(f.added, f.written + f.lost + f.waiting);
}

TEST(memory, may_run_out_at_any_allocation)
{
    char digest[DIGEST_HEX];

    digest_sha256(digest, BYTES("module"));
    set_up();
    record_stream *a = stream_of("trades", "A", 0), *b = stream_of("trades", "B", 1);
    FAULT_SWEEP(alloc) {
        weir_error why = WEIR_ERROR_INIT;
        weir_code code = store_open(&s, l, &options, &why);
        if (code)
            CHECK(why.text[0] != 0);
        else
            use(a, b, digest);
        close_store();
    }
    open_store();
    CHECK(store_read_figures(s).history_records > 0);
    record_stream_unref(a);
    record_stream_unref(b);
    tear_down();
}

/* Where there is no memory for one more batch, the oldest that waits goes and is used again. */
TEST(memory, runs_out_for_batches_and_a_gap_says_what_went)
{
    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *btc = stream_of("trades", "A", 0);
    add_numbers(btc, 1, BATCH_SLOTS);
    record *last = record_new(btc, 0, 0, BYTES("\"last\""));
    FAULT_SWEEP(alloc) {
        store_history_add(s, last);
        break;
    }
    record_unref(last);
    CHECK_UINT(store_read_figures(s).lost, BATCH_SLOTS);
    for (int round = 0; round < 2; round++) {
        CHECK_VALUES("gap(\"slow_reader\",1024,\"1\"-\"1024\") \"last\"", false, .pattern = ">");
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    record_stream_unref(btc);
    tear_down();
}
