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
