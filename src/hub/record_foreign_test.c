/* Records that another program made: the same line, what it says of itself, refused when it is none. */
#include "base/json.h"
#include "hub/hub.h"
#include "tests/lib/test.h"

typedef struct two {
    hub *from, *to;
    record_stream *there, *here;
} two;

static two both(void)
{
    weir_error err = WEIR_ERROR_INIT;
    two t;
    record_key key = {BYTES("trades"), BYTES("woox"), BYTES("SPOT_BTC_USDT"), BYTES("{\"depth\":5}"), true, 7};
    CHECK_OK(hub_new(&t.from, &err));
    CHECK_OK(hub_new(&t.to, &err));
    CHECK_OK(hub_stream(&t.there, t.from, &key, &err));
    CHECK_OK(hub_stream(&t.here, t.to, &key, &err));
    return t;
}

static void end(two *t)
{
    record_stream_unref(t->there);
    record_stream_unref(t->here);
    hub_free(t->from);
    hub_free(t->to);
}

/* `r` by its line on the other side. */
static record *across(two *t, record *r)
{
    weir_error err = WEIR_ERROR_INIT;
    record *copy = NULL;
    CHECK(r != NULL);
    CHECK_OK(record_foreign_new(&copy, t->here, r->line, &err));
    CHECK(bytes_equal(copy->line, r->line) && copy->line.at[copy->line.len] == '\n');
    CHECK_INT(copy->seq, r->seq);
    CHECK_INT(copy->kind, r->kind);
    CHECK_INT(copy->ts_out, r->ts_out);
    CHECK(copy->foreign && !r->foreign);
    CHECK(bytes_equal(copy->data, r->data));
    record_unref(r);
    return copy;
}

TEST(record_foreign, is_what_it_was)
{
    two t = both();
    record *r = across(&t, record_backfill_new(t.there, 5, 6, BYTES("{\"p\":\"1.10\"}")));
    CHECK(r->backfill && r->ts_event == 5 && r->ts_recv == 6);
    record_unref(r);
    record_gap gap = {RECORD_GAP_RESTART, 10, 20, 3, false, 0, 0};
    r = across(&t, record_gap_new(t.there, &gap));
    CHECK(r->cause == RECORD_GAP_RESTART && r->ts_event == 10 && r->ts_recv == 20);
    record_unref(r);
    r = across(&t, record_status_new(t.there, RECORD_LIVE, "it \"lives\""));
    CHECK_INT(r->state, RECORD_LIVE);
    record_unref(r);
    end(&t);
}

TEST(record_foreign, the_stream_counts_on_behind_it)
{
    two t = both();
    record_stream_resume(t.there, 40);
    record_unref(across(&t, record_new(t.there, 0, 0, BYTES("1"))));
    CHECK_INT(record_stream_seq(t.here), 41);
    record *own = record_new(t.here, 0, 0, BYTES("2"));
    CHECK_INT(own->seq, 42);
    record_unref(own);
    end(&t);
}

static void refused(two *t, const char *line, const char *because)
{
    weir_error err = WEIR_ERROR_INIT;
    record *r = NULL;
    CHECK_INT(record_foreign_new(&r, t->here, bytes_of(line), &err), WEIR_INVALID);
    CHECK_HAS(err.text, because);
    CHECK(r == NULL);
}

TEST(record_foreign, what_is_none_is_refused)
{
#define SHARED "\"type\":\"trades\",\"source\":\"woox\",\"identifier\":\"SPOT_BTC_USDT\",\"parameters\":{\"depth\":5},\"connection\":7,"
    two t = both();
    refused(&t, "", "a record's line");
    refused(&t, "[1]", "a record's line");
    refused(&t, "{\"seq\":\"1\",\"kind\":\"data\",\"data\":1}", "of another stream");
    refused(&t, "{\"kind\":\"data\"," SHARED "\"data\":1}", "without data, seq");
    refused(&t, "{\"seq\":1,\"kind\":\"data\"," SHARED "\"data\":1}", "its kind, seq or ts_out");
    refused(&t, "{\"seq\":\"1\",\"kind\":\"data\"," SHARED "\"ts_event\":\"soon\",\"data\":1}", "sensible times");
    refused(&t, "{\"seq\":\"1\",\"kind\":\"data\"," SHARED "\"ts_out\":\"1\"}", "without data");
    refused(&t, "{\"seq\":\"1\",\"kind\":\"gap\"," SHARED "\"cause\":\"weather\"}", "a gap without a cause");
    refused(&t, "{\"kind\":\"status\"," SHARED "\"state\":\"tired\"}", "no known state");
    refused(&t, "{\"kind\":\"rumour\"," SHARED "\"state\":\"live\"}", "its kind");
    refused(&t, "{\"seq\":\"1\",\"kind\":\"data\",\n" SHARED "\"data\":1}", "a record's line");
    refused(&t, "{\"data\":{" SHARED "\"x\":1},\"seq\":\"1\",\"kind\":\"data\"}", "of another stream"); /* the name inside the data is none */
    CHECK_INT(record_stream_seq(t.here), 0);
    end(&t);
}

TEST(record_foreign, says_whose_it_is)
{
    two t = both();
    weir_error err = WEIR_ERROR_INIT;
    record_key key;
    record_stream *s = NULL;
    record *r = record_new(t.there, 0, 0, BYTES("1"));
    CHECK_OK(record_foreign_key(&key, r->line, &err));
    CHECK_OK(hub_stream(&s, t.to, &key, &err));
    CHECK(s == t.here);
    record_stream_unref(s);
    record_unref(r);
    CHECK_INT(record_foreign_key(&key, BYTES("{\"type\":\"a\"}"), &err), WEIR_INVALID);
    CHECK_HAS(err.text, "whose it is");
    end(&t);
}
