#include "plugin/verdict.h"

#include "plugin/testing.h"

static weir_code read_it(fake *f, const char *request, world_publication *out, weir_error *err)
{
    *out = (world_publication){0};
    return verdict_read(f->task, bytes_of(request), out, err);
}

#define KEY(type, id) "{\"type\":\"" type "\",\"source\":\"s\",\"identifier\":\"" id "\",\"parameters\":{\"a\":\"b\"},\"connectionId\":7}"

TEST(verdict, reads_key_data_and_time)
{
    ERR;
    fake f;
    world_publication p;
    fake_begin(&f, "ask.wasm", NULL);
    CHECK_OK(read_it(&f, "{\"timestamp\":\"1970-01-01T00:00:02.5Z\",\"data\":{ \"a\" : [1, 2.50] },\"key\":" KEY("t\\u0072ades", "\\\"x\\\"") "}", &p, &err));
    CHECK_BYTES(p.type, BYTES("trades"));
    CHECK_BYTES(p.source, BYTES("s"));
    CHECK_BYTES(p.identifier, BYTES("\"x\""));
    CHECK_BYTES(p.data, BYTES("{ \"a\" : [1, 2.50] }"));
    CHECK_UINT(p.ts_event, 2500000000);
    fake_end(&f);
}

/* The same octets are recognised, others are read, and a bad key in between harms neither. */
TEST(verdict, tells_keys_apart)
{
    ERR;
    fake f;
    world_publication p;
    fake_begin(&f, "ask.wasm", NULL);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(read_it(&f, "{\"key\":" KEY("a", "1") ",\"data\":1}", &p, &err));
        CHECK_BYTES(p.type, BYTES("a"));
        CHECK_OK(read_it(&f, "{\"key\":" KEY("a", "1") ",\"data\":2}", &p, &err));
        CHECK_BYTES(p.identifier, BYTES("1"));
        CHECK_OK(read_it(&f, "{\"key\":" KEY("bb", "22") ",\"data\":3}", &p, &err));
        CHECK_BYTES(p.type, BYTES("bb"));
        CHECK_BYTES(p.identifier, BYTES("22"));
        CHECK_INT(read_it(&f, "{\"key\":{\"type\":\"bb\",\"source\":7},\"data\":3}", &p, &err), WEIR_INVALID);
        CHECK_INT(read_it(&f, "{\"key\":[],\"data\":3}", &p, &err), WEIR_INVALID);
        CHECK_INT(read_it(&f, "{\"data\":3}", &p, &err), WEIR_INVALID);
    }
    fake_end(&f);
}

TEST(verdict, says_what_is_missing)
{
    ERR;
    fake f;
    world_publication p;
    fake_begin(&f, "ask.wasm", NULL);
    CHECK_INT(read_it(&f, "nothing", &p, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "publish_stream_data");
    CHECK_INT(read_it(&f, "{\"key\":" KEY("a", "1") "}", &p, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "\"data\" is missing");
    CHECK_INT(read_it(&f, "{\"key\":{\"type\":\"a\"},\"data\":1}", &p, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "needs the strings");
    CHECK_OK(read_it(&f, "{\"key\":" KEY("a", "1") ",\"data\":null,\"timestamp\":\"yesterday\"}", &p, &err));
    CHECK_UINT(p.ts_event, 0);
    fake_end(&f);
}

TEST(verdict, refuses_a_giant_key)
{
    ERR;
    fake f;
    buf b;
    world_publication p = {0};
    fake_begin(&f, "ask.wasm", NULL);
    buf_init(&b, 1 << 20);
    buf_add_text(&b, "{\"data\":1,\"key\":{\"type\":\"a\",\"source\":\"s\",\"identifier\":\"");
    for (int i = 0; i < 70000; i++)
        buf_add_char(&b, 'x');
    buf_add_text(&b, "\"}}");
    CHECK_INT(verdict_read(f.task, buf_bytes(&b), &p, &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "is too long");
    CHECK_OK(read_it(&f, "{\"key\":" KEY("a", "1") ",\"data\":1}", &p, &err));
    CHECK_BYTES(p.type, BYTES("a"));
    buf_fini(&b);
    fake_end(&f);
}

TEST(verdict, survives_any_failed_allocation)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    FAULT_SWEEP(alloc) {
        ERR;
        world_publication p;
        buf_fini(&f.task->key);
        f.task->key_raw = 0;
        if (read_it(&f, "{\"key\":" KEY("a", "1") ",\"data\":1}", &p, &err) == WEIR_OK)
            CHECK_BYTES(p.type, BYTES("a"));
    }
    fake_end(&f);
}

/* ---- Push ---- */

static weir_code read_reply(const char *reply, verdict *out, weir_error *err)
{
    return verdict_read_reply(out, bytes_of(reply), err);
}

/* A blank before it keeps a reply from being recognised by its octets: the same must come out. */
static void check_both_ways(const char *reply)
{
    verdict v, slow;
    weir_error err = WEIR_ERROR_INIT, slow_err = WEIR_ERROR_INIT;
    char other[700];
    CHECK(snprintf(other, sizeof other, " %s", reply) < (int)sizeof other);
    weir_code code = read_reply(other, &slow, &slow_err);
    CHECK_UINT(slow.one.len, 0);
    CHECK_INT(read_reply(reply, &v, &err), code);
    if (code)
        return;
    CHECK_INT(v.action, slow.action);
    CHECK_BYTES(v.type, slow.type);
    CHECK_BYTES(v.data, slow.data);
    CHECK_UINT(v.ts_event, slow.ts_event);
    CHECK_INT(v.send.type, slow.send.type);
    CHECK_INT(v.number.known, slow.number.known);
    CHECK_BYTES(v.unknown, slow.unknown);
    if (v.one.len) {
        json doc;
        CHECK_OK(json_read(&doc, v.one, &err));
        CHECK_BYTES(v.one_event.raw, json_member(doc, "ts_event").raw);
    }
}

#define HEAD "{\"success\":true,\"action\":\"data\",\"dataType\":\"trades\""

TEST(verdict, a_reply_of_the_usual_form_says_what_any_other_reading_says)
{
    static const char *const usual[] = {
        HEAD ",\"data\":{}}",
        HEAD ",\"data\":{\"a\":[1,{\"ts_event\":\"9\"}],\"ts_event\":\"17\"}}",
        HEAD ",\"data\":[{\"ts_event\":\"1\",\"b\" : { } ,\"ts_event\":\"2\"}]}", /* the last of doubles */
        HEAD ",\"timestamp\":\"1970-01-01T00:00:02.5Z\",\"data\":[{\"ts_ev\\u0065nt\":\"3\"}]}",
        HEAD ",\"timestamp\":\"yesterday\",\"data\":{\"ts_event\":7}}",
    };
    static const char *const others[] = {
        HEAD ",\"data\":[]}",
        HEAD ",\"data\":[ {\"a\":1}]}",
        HEAD ",\"data\":[{\"a\":1},{\"b\":2}]}",
        HEAD ",\"data\":7}",
        HEAD ",\"data\":null}",
        HEAD "}",
        HEAD ",\"data\":{},\"action\":\"ignore\"}",
        HEAD ",\"data\":{},\"success\":false,\"error\":\"no\"}",
        HEAD ",\"data\":{},\"data\":{\"c\":3}}",
        HEAD ",\"data\":{},\"sendMessage\":\"pong\"}",
        HEAD ",\"data\":[{}],\"sequence\":5,\"previousSequence\":4}",
        HEAD ",\"data\":{},\"timestamp\":\"1970-01-01T00:00:09Z\"}",
        HEAD ",\"timestamp\":7,\"data\":{}}",
        HEAD ",\"timestamp\":\"\\u0031\",\"data\":{}}",
        HEAD ",\"data\":{}} ",
        HEAD ",\"data\":{} }",
        HEAD ",\"data\":[{}]",
        HEAD ",\"data\":[{}}",
        HEAD ",\"data\":[{}]]}",
        HEAD ",\"data\":{}}}",
        HEAD ",\"data\":{}",
        HEAD ",\"data\":{\"a\":1",
        HEAD ",\"data\":{\"a\" 1}}",
        HEAD ",\"data\":{'a':1}}",
        HEAD ",\"data\":{\"a\":\"\xff\"}}",
        HEAD ",\"data\":{\"a\":\"\t\"}}",
        HEAD ",\"data\":",
        HEAD ",\"data\":{\"a\":01}}",
        HEAD ",\"data\":{,}}",
        "{\"success\":true,\"action\":\"data\",\"dataType\":\"\\u0061\",\"data\":{}}",
        "{\"success\":true,\"action\":\"data\",\"dataType\":\"\xc3\xa4\",\"data\":{}}",
        "{\"success\":true,\"action\":\"data\",\"dataType\":\"\xc3\",\"data\":{}}",
        "{\"success\":true,\"action\":\"data\",\"dataType\":\"",
        "{\"success\":true,\"action\":\"ignore\"}",
        "{\"success\":true,\"action\":\"data\",\"dataType\":\"\",\"data\":{}}",
        "",
    };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        verdict v;
        check_both_ways(usual[i]);
        CHECK_INT(read_reply(usual[i], &v, NULL), WEIR_OK);
        CHECK(v.one.len); /* it is recognised */
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check_both_ways(others[i]);
}

/* The data may be as deep as anywhere: with what is around them 128 levels. */
TEST(verdict, a_reply_of_the_usual_form_nests_as_deep_as_any_other)
{
    for (int depth = 120; depth < 132; depth++) {
        char reply[700] = HEAD ",\"data\":[{\"a\":";
        memset(reply + strlen(reply), '[', (size_t)depth);
        memset(reply + strlen(reply), ']', (size_t)depth);
        strcat(reply, "}]}");
        check_both_ways(reply);
    }
}
