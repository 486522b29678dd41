/* What the WebSocket codec promises (ws.h): every rule of RFC 6455 with its close code, at every split
 * of the octets; permessage-deflate with every parameter; limits, back-pressure, memory. */
#include "net/ws_inside.h"
#include "tests/lib/test.h"

/* ---- A codec and a log of what it said ---- */

typedef struct ear {
    ws *w;
    buf log;
    int refuse;       /* say "no room" to so many messages */
    bool pause, free; /* in the next message */
    bool quiet;       /* count only */
    uint64_t count, len;
    ws *other; /* fed with "nested" in the next message */
} ear;

static void say(ear *e, const char *kind, bytes text)
{
    if (text.len > 64) /* long messages by length and sum */
    {
        uint32_t sum = 0;
        for (size_t i = 0; i < text.len; i++)
            sum = sum * 31 + (uint8_t)text.at[i];
        buf_add_fmt(&e->log, "%s %zu#%08x\n", kind, text.len, sum);
    } else {
        buf_add_fmt(&e->log, "%s %.*s\n", kind, (int)text.len, text.at);
    }
}

static bool on_message(void *arg, bool binary, bytes message)
{
    ear *e = arg;
    if (e->refuse > 0) {
        e->refuse--;
        return false;
    }
    e->count++;
    e->len += message.len;
    if (!e->quiet)
        say(e, binary ? "binary" : "text", message);
    if (e->other) {
        ws *other = e->other;
        e->other = NULL;
        buf before;
        buf_init(&before, SIZE_MAX / 2);
        buf_add_bytes(&before, message);
        ws_feed(other, BYTES("\x81\x06nested"));
        CHECK_BYTES(message, buf_bytes(&before)); /* still ours */
        buf_fini(&before);
    }
    if (e->pause)
        ws_pause(e->w);
    if (e->free) {
        ws_free(e->w);
        e->w = NULL;
    }
    return true;
}

static void on_control(void *arg, ws_opcode opcode, bytes payload)
{
    ear *e = arg;
    if (!e->quiet)
        say(e, opcode == WS_OP_PING ? "ping" : "pong", payload);
}

static void on_close(void *arg, uint16_t code, bytes reason)
{
    buf_add_fmt(&((ear *)arg)->log, "close %u %.*s\n", code, (int)reason.len, reason.at);
}

static void on_fail(void *arg, uint16_t code, const char *why)
{
    ear *e = arg;
    buf_add_fmt(&e->log, "fail %u %s\n", code, why);
}

static const ws_events events = {on_message, on_control, on_close, on_fail};

static void ear_open(ear *e, ws_options o)
{
    weir_error err = WEIR_ERROR_INIT;
    *e = (ear){0};
    buf_init(&e->log, 64u << 20);
    CHECK_OK(ws_new(&e->w, &o, &events, e, &err));
}

static void ear_close(ear *e)
{
    ws_free(e->w);
    buf_fini(&e->log);
}

static const char *heard(ear *e)
{
    buf_add_char(&e->log, 0);
    e->log.len--;
    return e->log.at;
}

/* Appends one frame as `role` would send it; `first` has FIN, RSV and opcode. */
static void put(buf *out, ws_role role, uint8_t first, bytes payload)
{
    bool masked = role == WS_CLIENT;
    static const unsigned char mask[4] = {0x5a, 0x01, 0xfe, 0x80};
    buf_add_char(out, (char)first);
    if (payload.len < 126) {
        buf_add_char(out, (char)(payload.len | (masked ? 128u : 0)));
    } else if (payload.len < 65536) {
        buf_add_char(out, (char)(126 | (masked ? 128 : 0)));
        buf_add_char(out, (char)(payload.len >> 8));
        buf_add_char(out, (char)payload.len);
    } else {
        buf_add_char(out, (char)(127 | (masked ? 128 : 0)));
        for (int i = 56; i >= 0; i -= 8)
            buf_add_char(out, (char)((uint64_t)payload.len >> i));
    }
    if (masked)
        buf_add(out, mask, 4);
    for (size_t i = 0; i < payload.len; i++)
        buf_add_char(out, (char)(payload.at[i] ^ (masked ? mask[i & 3] : 0)));
}

static ws_role other(ws_role role)
{
    return role == WS_CLIENT ? WS_SERVER : WS_CLIENT;
}

/* Gives all that `from` has to send to `to`. */
static void carry(ws *from, ws *to)
{
    bytes out = ws_output(from);
    ws_feed(to, out);
    ws_output_consume(from, out.len);
}

static buf fill(size_t len, unsigned seed)
{
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_reserve(&b, len + 1);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245u + 12345;
        buf_add_char(&b, (char)("{\"price\":0123456789,}"[seed >> 16 & 15]));
    }
    return b;
}

/* Feeds `octets` whole, octet by octet, and in two pieces split at each place: the same must be heard
 * and, from a server, the same be sent. */
static void check_splits(ws_options o, bytes octets, const char *want)
{
    ear whole;
    ear_open(&whole, o);
    ws_feed(whole.w, octets);
    CHECK_TEXT(heard(&whole), want);
    size_t places = octets.len < 600 ? octets.len : 600;
    for (size_t split = 0; split <= places; split++) {
        ear e;
        ear_open(&e, o);
        if (split == places) {
            for (size_t i = 0; i < octets.len; i++)
                ws_feed(e.w, bytes_make(octets.at + i, 1));
        } else {
            ws_feed(e.w, bytes_make(octets.at, split));
            ws_feed(e.w, bytes_make(octets.at + split, octets.len - split));
        }
        CHECK_TEXT(heard(&e), want);
        CHECK_INT(ws_get_state(e.w), ws_get_state(whole.w));
        CHECK_UINT(ws_output(e.w).len, ws_output(whole.w).len);
        if (o.role == WS_SERVER)
            CHECK_BYTES(ws_output(e.w), ws_output(whole.w));
        ear_close(&e);
    }
    ear_close(&whole);
}

/* ---- Rules ---- */

typedef struct sent {
    uint8_t first;
    const char *at;
    size_t len;
} sent;

#define S(first_, literal)                   \
    {                                        \
        first_, literal, sizeof(literal) - 1 \
    }
#define RULES 5

static const struct rule {
    sent frames[RULES];
    const char *want;
} rules[] = {
    {{S(0x81, "")}, "text \n"},
    {{S(0x81, "hello"), S(0x82, "\x01\x02")}, "text hello\nbinary \x01\x02\n"},
    {{S(0x01, "he"), S(0x00, "l"), S(0x80, "lo"), S(0x81, "x")}, "text hello\ntext x\n"},
    {{S(0x02, ""), S(0x00, ""), S(0x80, "")}, "binary \n"},
    {{S(0x01, "a"), S(0x89, "p"), S(0x8a, "q"), S(0x80, "b")}, "ping p\npong q\ntext ab\n"},
    {{S(0x01, "\xe2"), S(0x00, "\x82"), S(0x80, "\xac!")}, "text \xe2\x82\xac!\n"},
    {{S(0x81, "\xf0\x9f\x98\x80\xc3\xa9\xed\x9f\xbf\xee\x80\x80")}, "text \xf0\x9f\x98\x80\xc3\xa9\xed\x9f\xbf\xee\x80\x80\n"},
    {{S(0x88, "")}, "close 1005 \n"},
    {{S(0x88, "\x03\xe8")}, "close 1000 \n"},
    {{S(0x88, "\x03\xe9gone \xc3\xa9"), S(0x81, "late")}, "close 1001 gone \xc3\xa9\n"},
    {{S(0x88, "\x0b\xb8")}, "close 3000 \n"},
    {{S(0x88, "\x13\x87")}, "close 4999 \n"},
    {{S(0x88, "\x03\xf6")}, "close 1014 \n"},
    {{S(0x88, "\x03")}, "fail 1002 a close frame with half a code\n"},
    {{S(0x88, "\x00\x00")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x03\xe7")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x03\xec")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x03\xed")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x03\xee")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x03\xf7")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x0b\xb7")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x13\x88")}, "fail 1002 a close frame with a code that may not be sent\n"},
    {{S(0x88, "\x03\xe8\xff")}, "fail 1007 a close frame whose reason is not UTF-8\n"},
    {{S(0x88, "\x03\xe8\xc3")}, "fail 1007 a close frame whose reason is not UTF-8\n"},
    {{S(0x91, "x")}, "fail 1002 reserved bits are set in a frame\n"},
    {{S(0xa2, "x")}, "fail 1002 reserved bits are set in a frame\n"},
    {{S(0xc1, "x")}, "fail 1002 a compressed frame, and no compression was agreed\n"},
    {{S(0xc9, "x")}, "fail 1002 a control frame is marked as compressed\n"},
    {{S(0x83, "x")}, "fail 1002 a frame with a reserved opcode\n"},
    {{S(0x87, "x")}, "fail 1002 a frame with a reserved opcode\n"},
    {{S(0x8b, "x")}, "fail 1002 a frame with a reserved opcode\n"},
    {{S(0x8f, "x")}, "fail 1002 a frame with a reserved opcode\n"},
    {{S(0x09, "x")}, "fail 1002 a control frame is fragmented\n"},
    {{S(0x08, "")}, "fail 1002 a control frame is fragmented\n"},
    {{S(0x80, "x")}, "fail 1002 a continuation frame without a message\n"},
    {{S(0x81, "x"), S(0x00, "y")}, "text x\nfail 1002 a continuation frame without a message\n"},
    {{S(0x01, "x"), S(0x81, "y")}, "fail 1002 a new message inside a fragmented one\n"},
    {{S(0x01, "x"), S(0x02, "y")}, "fail 1002 a new message inside a fragmented one\n"},
    {{S(0x81, "a\xff")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x81, "\xc0\xaf")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x81, "\xed\xa0\x80")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x81, "\xf4\x90\x80\x80")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x81, "\xf0\x80\x80\x80")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x81, "cut \xe2\x82")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x01, "cut \xe2"), S(0x80, "\x82")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x01, "ok"), S(0x00, "\xff"), S(0x80, "")}, "fail 1007 a text that is not UTF-8\n"},
    {{S(0x82, "\xff\xfe")}, "binary \xff\xfe\n"},
};

TEST(ws, keeps_every_rule_at_every_split_in_both_roles)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        for (ws_role role = WS_CLIENT; role <= WS_SERVER; role++) {
            buf octets;
            buf_init(&octets, 4096);
            for (size_t k = 0; k < RULES && rules[i].frames[k].at; k++)
                put(&octets, other(role), rules[i].frames[k].first, bytes_make(rules[i].frames[k].at, rules[i].frames[k].len));
            check_splits((ws_options){.role = role}, buf_bytes(&octets), rules[i].want);
            buf_fini(&octets);
        }
    }
}

TEST(ws, refuses_masks_and_lengths_that_break_the_rules)
{
    static const struct {
        ws_role role;
        bytes octets;
        const char *want;
    } cases[] = {
        {WS_SERVER, {"\x81\x01x", 3}, "fail 1002 a frame from the client without a mask\n"},
        {WS_CLIENT, {"\x81\x81\0\0\0\0x", 7}, "fail 1002 a masked frame from the server\n"},
        {WS_CLIENT, {"\x81\x7e\0\x7d", 4}, "fail 1002 a frame's length is not in its shortest form\n"},
        {WS_CLIENT, {"\x82\x7f\0\0\0\0\0\0\xff\xff", 10}, "fail 1002 a frame's length is not in its shortest form\n"},
        {WS_CLIENT, {"\x82\x7f\x80\0\0\0\0\0\0\0", 10}, "fail 1002 a frame's length has its top bit set\n"},
        {WS_CLIENT, {"\x89\x7e\0\x7e", 4}, "fail 1002 a control frame with more than 125 octets\n"},
        {WS_CLIENT, {"\x82\x7f\0\0\0\0\1\0\0\1", 10}, "fail 1009 a frame of 16777217 octets; the limit is 16777216\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_splits((ws_options){.role = cases[i].role, .max_frame = 16u << 20}, cases[i].octets, cases[i].want);
}

TEST(ws, the_close_frame_of_a_failure_carries_its_code)
{
    for (ws_role role = WS_CLIENT; role <= WS_SERVER; role++) {
        ear bad, peer;
        ear_open(&bad, (ws_options){.role = role});
        ear_open(&peer, (ws_options){.role = other(role)});
        buf octets;
        buf_init(&octets, 100);
        put(&octets, other(role), 0x81, BYTES("\xff"));
        CHECK_INT(ws_feed(bad.w, buf_bytes(&octets)), WEIR_CLOSED);
        CHECK_INT(ws_get_state(bad.w), WS_IS_CLOSED);
        CHECK_INT(ws_send_text(bad.w, BYTES("more")), WEIR_CLOSED);
        carry(bad.w, peer.w);
        CHECK_TEXT(heard(&peer), "close 1007 a text that is not UTF-8\n");
        CHECK_INT(ws_feed(bad.w, buf_bytes(&octets)), WEIR_CLOSED); /* ignored */
        CHECK_TEXT(heard(&bad), "fail 1007 a text that is not UTF-8\n");
        buf_fini(&octets);
        ear_close(&bad);
        ear_close(&peer);
    }
}

TEST(ws, fails_on_broken_text_before_the_frame_is_whole)
{
    ear e;
    ear_open(&e, (ws_options){.role = WS_CLIENT});
    ws_feed(e.w, BYTES("\x81\x20valid and then \xf4\x90"));
    CHECK_TEXT(heard(&e), "fail 1007 a text that is not UTF-8\n");
    ear_close(&e);
}

TEST(ws, utf8_in_pieces_agrees_with_the_whole)
{
    static const char *parts[] = {"a", "plain ascii of some length, more than thirty-two octets", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", "\xe0\xa0\x80", "\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf0\x9f", "\x80", "\xe4\xb8\xad\xe6\x96\x87\xe6\x96\x87", "\xd0\x9f\xd1\x80\xd0\xb8"};
    unsigned seed = 7;
    for (int round = 0; round < 3000; round++) {
        buf text;
        buf_init(&text, 4096);
        for (int i = 0; i < 4; i++) {
            seed = seed * 1103515245u + 12345;
            unsigned pick = seed >> 16 & 15;
            if (round % 3 == 0 && pick >= 8 && pick <= 13)
                pick = 1;
            buf_add_text(&text, parts[pick]);
        }
        bool want = bytes_utf8(buf_bytes(&text));
        for (size_t split = 0; split <= text.len; split++) {
            utf8 u = {0};
            bool got = utf8_feed(&u, text.at, split) && utf8_feed(&u, text.at + split, text.len - split) && !u.due;
            CHECK(got == want);
        }
        buf_fini(&text);
    }
}

TEST(ws, masks_the_same_whatever_the_length_and_phase)
{
    char from[100], to[100];
    const unsigned char key[4] = {1, 2, 4, 0x80};
    uint32_t mask;
    memcpy(&mask, key, 4);
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (char)(i * 7);
    for (size_t len = 0; len <= sizeof from; len++)
        for (size_t phase = 0; phase < 5; phase++) {
            mask_copy(to, from, len, mask, phase);
            for (size_t i = 0; i < len; i++)
                CHECK_INT((uint8_t)to[i], (uint8_t)(from[i] ^ key[(phase + i) & 3]));
        }
}

/* ---- Both ways ---- */

TEST(ws, carries_every_length_in_both_directions)
{
    static const size_t lengths[] = {0, 1, 7, 125, 126, 127, 4095, 4096, 65535, 65536, 65537, 200000, 3000000};
    for (ws_role role = WS_CLIENT; role <= WS_SERVER; role++) {
        for (int deflate = 0; deflate < 2; deflate++) {
            ws_options o = {.role = role, .deflate.on = deflate, .deflate_min = 1};
            ear from, to;
            ear_open(&from, o);
            o.role = other(role);
            ear_open(&to, o);
            for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                buf text = fill(lengths[i], (unsigned)i);
                say(&from, "text", buf_bytes(&text));
                say(&from, "binary", buf_bytes(&text));
                CHECK_INT(ws_send_text(from.w, buf_bytes(&text)), WEIR_OK);
                CHECK_INT(ws_send_binary(from.w, buf_bytes(&text)), WEIR_OK);
                buf_fini(&text);
                if (i % 2)
                    carry(from.w, to.w);
            }
            carry(from.w, to.w);
            CHECK_TEXT(heard(&to), heard(&from));
            ear_close(&from);
            ear_close(&to);
        }
    }
}

TEST(ws, answers_pings_and_closes_by_itself)
{
    ear client, server;
    ear_open(&client, (ws_options){.role = WS_CLIENT});
    ear_open(&server, (ws_options){.role = WS_SERVER});
    ws_send_ping(client.w, BYTES("are you there"));
    carry(client.w, server.w);
    carry(server.w, client.w);
    CHECK_TEXT(heard(&server), "ping are you there\n");
    CHECK_TEXT(heard(&client), "pong are you there\n");
    CHECK_INT(ws_send_close(client.w, 1000, BYTES("bye")), WEIR_OK);
    CHECK_INT(ws_get_state(client.w), WS_IS_CLOSING);
    CHECK_INT(ws_send_text(client.w, BYTES("x")), WEIR_CLOSED);
    CHECK_INT(ws_send_close(client.w, 1000, BYTES("bye")), WEIR_CLOSED);
    ws_send_text(server.w, BYTES("under way"));
    carry(client.w, server.w);
    carry(server.w, client.w);
    CHECK_TEXT(heard(&server), "ping are you there\nclose 1000 bye\n");
    CHECK_TEXT(heard(&client), "pong are you there\ntext under way\nclose 1000 \n");
    CHECK_INT(ws_get_state(client.w), WS_IS_CLOSED);
    CHECK_INT(ws_get_state(server.w), WS_IS_CLOSED);
    ear_close(&client);
    ear_close(&server);
}

TEST(ws, refuses_to_send_what_breaks_the_rules)
{
    ear e;
    char long_text[126] = {0};
    ear_open(&e, (ws_options){.role = WS_SERVER});
    CHECK_INT(ws_send_text(e.w, BYTES("\xff")), WEIR_INVALID);
    CHECK_INT(ws_send_ping(e.w, bytes_make(long_text, 126)), WEIR_INVALID);
    CHECK_INT(ws_send_close(e.w, 1005, BYTES("")), WEIR_INVALID);
    CHECK_INT(ws_send_close(e.w, 0, BYTES("why")), WEIR_INVALID);
    CHECK_INT(ws_send_close(e.w, 1000, bytes_make(long_text, 124)), WEIR_INVALID);
    CHECK_INT(ws_send_close(e.w, 1000, BYTES("\xc3")), WEIR_INVALID);
    CHECK_UINT(ws_output(e.w).len, 0);
    CHECK_INT(ws_send_ping(e.w, bytes_make(long_text, 125)), WEIR_OK);
    CHECK_INT(ws_send_close(e.w, 0, BYTES("")), WEIR_OK);
    ear_close(&e);
}

TEST(ws, answers_only_the_last_ping_of_a_peer_that_does_not_read)
{
    ear e;
    ear_open(&e, (ws_options){.role = WS_CLIENT});
    for (int i = 0; i < 100000; i++) {
        char frame[4] = {(char)0x89, 2, (char)('a' + i % 26), '!'};
        ws_feed(e.w, bytes_make(frame, 4));
    }
    CHECK(ws_output(e.w).len < 70000);
    CHECK(ws_memory(e.w) < 150000);
    ear peer;
    ear_open(&peer, (ws_options){.role = WS_SERVER, .max_fragments = 1});
    while (ws_output(e.w).len)
        carry(e.w, peer.w);
    const char *said = heard(&peer);
    CHECK_TEXT(said + strlen(said) - 8, "pong d!\n"); /* 99,999 % 26 */
    ear_close(&e);
    ear_close(&peer);
}

/* Says `count` lines of 100 octets between gather and keep, of which the peer takes `taken` octets. */
static weir_code gathered(ear *e, int count, size_t taken)
{
    char line[101];
    ws_gather(e->w);
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "%0100d", i);
        CHECK_INT(ws_send_plain(e->w, bytes_make(line, 100)), WEIR_OK);
    }
    ws_output_consume(e->w, taken < ws_output(e->w).len ? taken : ws_output(e->w).len);
    return ws_keep(e->w);
}

TEST(ws, sends_from_a_shared_buffer_and_keeps_what_the_peer_does_not_take)
{
    ear many[20];
    for (int i = 0; i < 20; i++)
        ear_open(&many[i], (ws_options){.role = WS_SERVER});
    size_t idle = ws_memory(many[0].w);
    CHECK_INT(gathered(&many[0], 1000, SIZE_MAX), WEIR_OK);
    uint64_t before = fault_allocations();
    for (int i = 0; i < 20; i++)
        CHECK_INT(gathered(&many[i], 1000, SIZE_MAX), WEIR_OK);
    CHECK_UINT(fault_allocations() - before, 0);
    CHECK_UINT(ws_memory(many[19].w), idle);
    CHECK_INT(gathered(&many[0], 1000, 50000), WEIR_OK); /* in the middle of a frame */
    CHECK_UINT(ws_output(many[0].w).len, 1000 * 102 - 50000);
    CHECK_INT(gathered(&many[1], 3000, 0), WEIR_OK); /* more than the shared one holds */
    CHECK_UINT(ws_output(many[1].w).len, 3000 * 102);
    CHECK_MEM(ws_output(many[1].w).at + 2999 * 102 + 98, 4, "2999", 4);
    CHECK_INT(gathered(&many[0], 10, 1), WEIR_OK); /* behind what waits, in its own */
    CHECK_UINT(ws_output(many[0].w).len, 1010 * 102 - 50001);
    CHECK_MEM(ws_output(many[0].w).at + ws_output(many[0].w).len - 1, 1, "9", 1);
    ws_gather(many[2].w);
    ws_gather(many[3].w); /* the buffer is lent: its own is as good */
    ws_send_plain(many[3].w, BYTES("c"));
    ws_send_plain(many[2].w, BYTES("b"));
    CHECK_INT(ws_keep(many[3].w), WEIR_OK);
    CHECK_INT(ws_keep(many[2].w), WEIR_OK);
    CHECK_MEM(ws_output(many[2].w).at, ws_output(many[2].w).len, "\x81\x01"
                                                                 "b",
              3);
    CHECK_MEM(ws_output(many[3].w).at, ws_output(many[3].w).len, "\x81\x01"
                                                                 "c",
              3);
    ws_gather(many[4].w);
    ws_send_plain(many[4].w, BYTES("gone with its codec"));
    for (int i = 4; i < 20; i++)
        ear_close(&many[i]);
    ws_gather(many[3].w); /* the buffer was given back */
    for (int i = 0; i < 4; i++)
        ear_close(&many[i]);
}

TEST(ws, without_memory_to_keep_it_says_so)
{
    FAULT_SWEEP(alloc) {
        ear e = {0};
        ws_options o = {.role = WS_SERVER};
        buf_init(&e.log, 1 << 20);
        if (ws_new(&e.w, &o, &events, &e, NULL))
            continue;
        ws_gather(e.w);
        weir_code sent = ws_send_plain(e.w, BYTES("a line")), kept = ws_keep(e.w);
        CHECK(sent == WEIR_NOMEM || kept == WEIR_NOMEM || ws_output(e.w).len == 8);
        ear_close(&e);
    }
}

/* ---- permessage-deflate ---- */

TEST(ws, inflates_the_examples_of_the_rfc)
{
    static const struct {
        bytes octets;
        const char *want;
    } cases[] = {
        {{"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", 16}, "text Hello\ntext Hello\n"}, /* take-over */
        {{"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", 11}, "text Hello\n"},
        {{"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 13}, "text Hello\n"}, /* stored */
        {{"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 10}, "text Hello\n"},             /* final block */
        {{"\xc1\x07\xf3\x48\xcd\xc9\xc9\x07\x00\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 18}, "text Hello\ntext Hello\n"},
        {{"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 15}, "text Hello\n"}, /* two blocks */
        {{"\xc2\x01\x00\xc2\x00\x81\x01x", 8}, "binary \nbinary \ntext x\n"},                   /* empty */
        {{"\xc1\x02\xff\xff", 4}, "fail 1007 a compressed message that does not inflate\n"},
        {{"\xc1\x04\xf2\x48\xcd\xc9", 6}, "fail 1007 a compressed message that does not inflate\n"}, /* cut */
        {{"\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00", 11}, "fail 1002 a continuation frame is marked as compressed\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_splits((ws_options){.role = WS_CLIENT, .deflate.on = true}, cases[i].octets, cases[i].want);
}

/* Repeats at a distance that only some windows reach, over and over. */
static void send_many(ear *from, unsigned seed)
{
    for (int i = 0; i < 12; i++) {
        buf text = fill((size_t)(i * 97 % 700 + 40), seed + (unsigned)(i % 5));
        buf_reserve(&text, 3 * text.len);
        for (int k = 0; k < 3; k++)
            buf_add(&text, text.at, text.len / 2);
        say(from, "text", buf_bytes(&text));
        CHECK_INT(ws_send_text(from->w, buf_bytes(&text)), WEIR_OK);
        buf_fini(&text);
    }
}

TEST(ws, deflates_with_every_window_and_takeover_in_both_roles)
{
    for (ws_role role = WS_CLIENT; role <= WS_SERVER; role++)
        for (uint8_t bits = 8; bits <= 15; bits++)
            for (int fresh = 0; fresh < 2; fresh++) {
                ws_options o = {.role = role, .deflate_min = 1, .deflate = {true, bits, bits, fresh, fresh}};
                ear from, to;
                ear_open(&from, o);
                o.role = other(role);
                ear_open(&to, o);
                send_many(&from, bits);
                bytes out = ws_output(from.w);
                CHECK(out.len < from.log.len * 400);
                for (size_t i = 0; i < out.len; i++) /* octet by octet: distances count from the window alone */
                    ws_feed(to.w, bytes_make(out.at + i, 1));
                CHECK_TEXT(heard(&to), heard(&from));
                ear_close(&from);
                ear_close(&to);
            }
}

TEST(ws, sends_short_messages_uncompressed)
{
    ear e;
    ear_open(&e, (ws_options){.role = WS_SERVER, .deflate.on = true});
    ws_send_text(e.w, BYTES("short"));
    CHECK_BYTES(ws_output(e.w), BYTES("\x81\x05short"));
    ear_close(&e);
}

TEST(ws, a_bomb_stops_at_the_message_limit)
{
    ear e, bomber;
    ear_open(&bomber, (ws_options){.role = WS_SERVER, .deflate.on = true, .max_message = SIZE_MAX});
    ear_open(&e, (ws_options){.role = WS_CLIENT, .deflate.on = true, .max_message = 1u << 20});
    char *zeros = calloc(1, 64u << 20);
    CHECK(zeros != NULL);
    CHECK_INT(ws_send_binary(bomber.w, bytes_make(zeros, 64u << 20)), WEIR_OK);
    CHECK(ws_output(bomber.w).len < 1u << 20);
    bytes out = ws_output(bomber.w);
    ws_read_done(e.w, 0);
    CHECK_INT(ws_feed(e.w, out), WEIR_CLOSED);
    CHECK_TEXT(heard(&e), "fail 1009 an inflated message of 1048577 octets; the limit is 1048576\n");
    CHECK(ws_memory(e.w) < 100000); /* given back */
    free(zeros);
    ear_close(&e);
    ear_close(&bomber);
}

TEST(ws, limits_messages_and_fragments)
{
    ws_options o = {.role = WS_CLIENT, .max_message = 10, .max_fragments = 3};
    check_splits(o, BYTES("\x81\x0a"
                          "0123456789"),
                 "text 0123456789\n");
    check_splits(o, BYTES("\x81\x0b"), "fail 1009 a message of 11 octets; the limit is 10\n");
    check_splits(o, BYTES("\x01\x05"
                          "01234"
                          "\x80\x05"
                          "56789"),
                 "text 0123456789\n");
    check_splits(o, BYTES("\x01\x05"
                          "01234"
                          "\x80\x06"),
                 "fail 1009 a message of 11 octets; the limit is 10\n");
    check_splits(o, BYTES("\x01\x00\x00\x00\x00\x00\x00\x00"), "fail 1008 a message of too many fragments\n");
    o.max_frame = 5;
    check_splits(o, BYTES("\x81\x06"), "fail 1009 a frame of 6 octets; the limit is 5\n");
}

/* ---- Back-pressure, lifetime ---- */

TEST(ws, a_refused_message_comes_again_whatever_its_kind)
{
    static const bytes kinds[] = {
        {"\x81\x03one\x81\x03two\x81\x05three", 17},
        {"\x01\x01o\x80\x02ne\x01\x02tw\x80\x01o\x01\x02th\x80\x03ree", 23},
        {"\xc1\x05\xca\xcf\x4b\x05\x00\x81\x03two\x81\x05three", 19},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (size_t split = 1; split <= kinds[i].len; split++) {
            ear e;
            ear_open(&e, (ws_options){.role = WS_CLIENT, .deflate.on = true});
            e.refuse = 3;
            weir_code code = ws_feed(e.w, bytes_make(kinds[i].at, split));
            ws_feed(e.w, bytes_make(kinds[i].at + split, kinds[i].len - split));
            if (split == kinds[i].len)
                CHECK_INT(code, WEIR_BUSY);
            CHECK_TEXT(heard(&e), "");
            CHECK(ws_paused(e.w));
            CHECK(!ws_mid_message(e.w));
            CHECK_INT(ws_resume(e.w), WEIR_BUSY);
            CHECK_INT(ws_resume(e.w), WEIR_BUSY);
            CHECK_TEXT(heard(&e), "");
            CHECK_INT(ws_resume(e.w), WEIR_OK);
            CHECK_TEXT(heard(&e), "text one\ntext two\ntext three\n");
            ear_close(&e);
        }
    }
}

TEST(ws, refused_masked_messages_are_unmasked_once)
{
    ear e;
    buf octets;
    buf_init(&octets, 100);
    ear_open(&e, (ws_options){.role = WS_SERVER});
    put(&octets, WS_CLIENT, 0x81, BYTES("one"));
    put(&octets, WS_CLIENT, 0x81, BYTES("two"));
    e.refuse = 2;
    CHECK_INT(ws_feed(e.w, buf_bytes(&octets)), WEIR_BUSY);
    CHECK_INT(ws_resume(e.w), WEIR_BUSY);
    CHECK_INT(ws_resume(e.w), WEIR_OK);
    CHECK_TEXT(heard(&e), "text one\ntext two\n");
    buf_fini(&octets);
    ear_close(&e);
}

TEST(ws, pause_in_an_event_stops_after_that_message)
{
    ear e;
    ear_open(&e, (ws_options){.role = WS_CLIENT});
    e.pause = true;
    CHECK_INT(ws_feed(e.w, BYTES("\x81\x01"
                                 "a\x81\x01"
                                 "b\x89\x01"
                                 "c")),
              WEIR_BUSY);
    CHECK_TEXT(heard(&e), "text a\n");
    CHECK_INT(ws_resume(e.w), WEIR_BUSY);
    e.pause = false;
    CHECK_INT(ws_resume(e.w), WEIR_OK);
    CHECK_TEXT(heard(&e), "text a\ntext b\nping c\n");
    ear_close(&e);
}

TEST(ws, may_be_freed_inside_an_event)
{
    static const bytes kinds[] = {{"\x81\x01"
                                   "a\x81\x01"
                                   "b",
                                   6},
                                  {"\x01\x01"
                                   "a\x80\x01"
                                   "b\x81\x01"
                                   "c",
                                   9},
                                  {"\xc1\x05\xca\xcf\x4b\x05\x00\x81\x01"
                                   "b",
                                   10}};
    for (size_t i = 0; i < 3; i++) {
        ear e;
        ear_open(&e, (ws_options){.role = WS_CLIENT, .deflate.on = true});
        e.free = true;
        CHECK_INT(ws_feed(e.w ? e.w : NULL, kinds[i]), WEIR_CLOSED);
        CHECK_UINT(e.count, 1);
        ear_close(&e);
    }
}

TEST(ws, codecs_of_one_thread_may_be_fed_inside_each_others_events)
{
    static const bytes kinds[] = {{"\x81\x01"
                                   "a\x81\x01"
                                   "b",
                                   6},
                                  {"\xc1\x05\xca\xcf\x4b\x05\x00\x81\x01"
                                   "b",
                                   10}};
    for (size_t i = 0; i < 2; i++) {
        ear a, b;
        ear_open(&a, (ws_options){.role = WS_CLIENT, .deflate.on = true});
        ear_open(&b, (ws_options){.role = WS_CLIENT, .deflate.on = true});
        a.other = b.w;
        ws_feed(a.w, kinds[i]);
        CHECK_TEXT(heard(&a), i ? "text one\ntext b\n" : "text a\ntext b\n");
        CHECK_TEXT(heard(&b), "text nested\n");
        ear_close(&a);
        ear_close(&b);
    }
}

TEST(ws, knows_whether_a_message_is_under_way)
{
    ear e;
    ear_open(&e, (ws_options){.role = WS_CLIENT});
    CHECK(!ws_mid_message(e.w));
    ws_feed(e.w, BYTES("\x81\x05"
                       "ab"));
    CHECK(ws_mid_message(e.w));
    ws_feed(e.w, BYTES("cde"));
    CHECK(!ws_mid_message(e.w));
    ws_feed(e.w, BYTES("\x01\x01"
                       "a"));
    CHECK(ws_mid_message(e.w));
    ear_close(&e);
}

/* ---- Memory ---- */

static uint64_t allocations_of(ear *from, ear *to, bytes message, int times, size_t piece)
{
    uint64_t before = fault_allocations();
    for (int i = 0; i < times; i++) {
        ws_send(from->w, false, message);
        if (i % 16 != 15)
            continue;
        bytes out = ws_output(from->w);
        for (size_t at = 0; at < out.len; at += piece)
            ws_feed(to->w, bytes_make(out.at + at, out.len - at < piece ? out.len - at : piece));
        ws_output_consume(from->w, out.len);
    }
    return fault_allocations() - before;
}

TEST(ws, allocates_nothing_once_it_is_warm)
{
    static const size_t lengths[] = {20, 200, 5000, 50000};
    for (int deflate = 0; deflate < 2; deflate++)
        for (size_t i = 0; i < 4; i++) {
            ws_options o = {.role = WS_CLIENT, .deflate.on = deflate};
            ear from, to;
            ear_open(&from, o);
            o.role = WS_SERVER;
            ear_open(&to, o);
            from.quiet = to.quiet = true;
            buf text = fill(lengths[i], 3);
            allocations_of(&from, &to, buf_bytes(&text), 64, 7000);
            CHECK_UINT(allocations_of(&from, &to, buf_bytes(&text), 640, 7000), 0);
            CHECK_UINT(to.count, 704);
            buf_fini(&text);
            ear_close(&from);
            ear_close(&to);
        }
}

TEST(ws, an_idle_connection_costs_little_even_after_a_giant_message)
{
    for (int fragmented = 0; fragmented < 2; fragmented++) {
        ear e;
        ear_open(&e, (ws_options){.role = WS_CLIENT});
        CHECK(ws_memory(e.w) < 1024);
        buf text = fill(8u << 20, 1), octets;
        buf_init(&octets, 9u << 20);
        put(&octets, WS_SERVER, fragmented ? 0x01 : 0x81, buf_bytes(&text));
        if (fragmented)
            put(&octets, WS_SERVER, 0x80, BYTES("end"));
        ws_feed(e.w, buf_bytes(&octets));
        CHECK_UINT(e.count, 1);
        CHECK(ws_memory(e.w) < 8192);
        /* A middling one stays for a while, and goes when it is not needed or on demand. */
        for (int trim = 0; trim < 2; trim++) {
            buf_clear(&octets);
            put(&octets, WS_SERVER, 0x81, bytes_make(text.at, 100000));
            ws_feed(e.w, buf_bytes(&octets));
            for (int i = 0; i < 70 && !trim; i++)
                ws_feed(e.w, BYTES("\x89\x00"));
            if (trim)
                ws_trim(e.w);
            bytes pongs = ws_output(e.w);
            ws_output_consume(e.w, pongs.len);
            CHECK(ws_memory(e.w) < 8192);
        }
        buf_fini(&octets);
        buf_fini(&text);
        ear_close(&e);
    }
}

TEST(ws, an_announced_giant_costs_only_what_has_come)
{
    ear e;
    ear_open(&e, (ws_options){.role = WS_CLIENT});
    ws_feed(e.w, BYTES("\x82\x7f\0\0\0\0\0\xff\xff\xff"
                       "first octets"));
    CHECK(ws_memory(e.w) < 8192);
    ear_close(&e);
}

TEST(ws, survives_any_failed_allocation)
{
    buf text = fill(90000, 5);
    FAULT_SWEEP(alloc) {
        for (int deflate = 0; deflate < 2; deflate++) {
            weir_error err = WEIR_ERROR_INIT;
            ear from = {.quiet = true}, to = {.quiet = true};
            ws_options o = {.role = WS_SERVER, .deflate.on = deflate};
            buf_init(&from.log, 1000);
            buf_init(&to.log, 1000);
            weir_code code = ws_new(&from.w, &o, &events, &from, &err);
            o.role = WS_CLIENT;
            if (!code)
                code = ws_new(&to.w, &o, &events, &to, &err);
            if (code)
                CHECK_INT(err.code, WEIR_NOMEM);
            for (int i = 0; i < 3 && !code; i++) {
                code = ws_send_text(from.w, buf_bytes(&text));
                bytes out = ws_output(from.w);
                ws_feed(to.w, bytes_make(out.at, out.len / 2));
                if (ws_get_state(to.w) == WS_IS_OPEN)
                    ws_feed(to.w, bytes_make(out.at + out.len / 2, out.len - out.len / 2));
                ws_output_consume(from.w, out.len);
            }
            if (!code && ws_get_state(to.w) == WS_IS_OPEN)
                CHECK_UINT(to.count, 3);
            ear_close(&from);
            ear_close(&to);
        }
    }
    buf_fini(&text);
}

/* ---- The handshake ---- */

TEST(ws, derives_the_accept_key_of_the_rfc)
{
    char out[WS_ACCEPT_SIZE], key[WS_KEY_SIZE], again[WS_KEY_SIZE];
    ws_accept_key(out, BYTES("dGhlIHNhbXBsZSBub25jZQ=="));
    CHECK_TEXT(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ws_make_key(key);
    ws_make_key(again);
    CHECK(ws_key_valid(bytes_of(key)));
    CHECK(strcmp(key, again) != 0);
    CHECK(!ws_key_valid(BYTES("")));
    CHECK(!ws_key_valid(BYTES("dGhlIHNhbXBsZSBub25jZQ=")));
    CHECK(!ws_key_valid(BYTES("dGhlIHNhbXBsZSBub25jZSB4")));
    CHECK(!ws_key_valid(BYTES("dGhlIHNhbXBsZSBub25jZQ!=")));
}

TEST(ws, a_server_takes_the_first_offer_it_can_keep)
{
    static const struct {
        ws_deflate policy;
        const char *offers, *answer; /* NULL: none */
        ws_deflate want;
    } cases[] = {
        {{.on = true}, "permessage-deflate", "permessage-deflate", {true, 15, 15, false, false}},
        {{.on = true}, "permessage-deflate; client_max_window_bits", "permessage-deflate", {true, 15, 15, false, false}},
        {{.on = true}, "permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10", {true, 15, 10, false, false}},
        {{.on = true}, "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8", {true, 8, 15, false, false}},
        {{.on = true}, "permessage-deflate;server_max_window_bits=\"9\" ; server_no_context_takeover", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9", {true, 9, 15, true, false}},
        {{.on = true}, "permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover", {true, 15, 15, false, true}},
        {{true, 12, 11, true, true}, "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11", {true, 12, 11, true, true}},
        {{true, 12, 11, false, false}, "permessage-deflate", "permessage-deflate; server_max_window_bits=12", {true, 12, 15, false, false}},
        {{.on = true}, "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=7, permessage-deflate", "permessage-deflate", {true, 15, 15, false, false}},
        {{.on = true}, ", ,permessage-deflate; foo=\"bar\", permessage-deflate; server_max_window_bits=10,", "permessage-deflate; server_max_window_bits=10", {true, 10, 15, false, false}},
        {{.on = true}, "", NULL, {0}},
        {{.on = false}, "permessage-deflate", NULL, {0}},
        {{.on = true}, "permessage-deflate; server_max_window_bits", NULL, {0}},
        {{.on = true}, "permessage-deflate; server_max_window_bits=16", NULL, {0}},
        {{.on = true}, "permessage-deflate; server_max_window_bits=08", NULL, {0}},
        {{.on = true}, "permessage-deflate; client_max_window_bits=7", NULL, {0}},
        {{.on = true}, "permessage-deflate; client_max_window_bits=", NULL, {0}},
        {{.on = true}, "permessage-deflate; server_no_context_takeover=1", NULL, {0}},
        {{.on = true}, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", NULL, {0}},
        {{.on = true}, "permessage-deflate; client_max_window_bits=\"9", NULL, {0}},
        {{.on = true}, "permessage-deflate permessage-deflate", NULL, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ws_deflate got;
        buf answer;
        buf_init(&answer, 1000);
        bool agreed = ws_deflate_choose(&got, &answer, &cases[i].policy, bytes_of(cases[i].offers));
        buf_add_char(&answer, 0);
        CHECK_TEXT(answer.at, cases[i].answer ? cases[i].answer : "");
        CHECK(agreed == (cases[i].answer != NULL) && got.on == agreed);
        CHECK_UINT(got.server_bits, cases[i].want.server_bits);
        CHECK_UINT(got.client_bits, cases[i].want.client_bits);
        CHECK(got.server_fresh == cases[i].want.server_fresh && got.client_fresh == cases[i].want.client_fresh);
        buf_fini(&answer);
    }
}

TEST(ws, a_client_offers_and_holds_the_server_to_it)
{
    static const struct {
        ws_deflate want;
        const char *offer, *answer, *fault; /* NULL fault: fine */
        ws_deflate got;
    } cases[] = {
        {{.on = false}, "", "", NULL, {0}},
        {{.on = true}, "permessage-deflate; client_max_window_bits", "", NULL, {0}},
        {{.on = true}, "permessage-deflate; client_max_window_bits", "permessage-deflate", NULL, {true, 15, 15, false, false}},
        {{.on = true}, "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8; server_no_context_takeover", NULL, {true, 8, 8, true, false}},
        {{true, 10, 9, true, true}, "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9", NULL, {true, 9, 9, true, true}},
        {{.on = true}, NULL, "permessage-deflate; client_max_window_bits", "has no value", {0}},
        {{.on = true}, NULL, "permessage-deflate; foo", "unknown", {0}},
        {{.on = true}, NULL, "permessage-deflate; server_max_window_bits=16", "unfit", {0}},
        {{.on = true}, NULL, "permessage-deflate, permessage-deflate", "more than one", {0}},
        {{.on = true}, NULL, "permessage-deflate, ;", "more than one", {0}},
        {{.on = true}, NULL, ";", "cannot be read", {0}},
        {{.on = true}, NULL, "x-other", "not offered", {0}},
        {{.on = false}, NULL, "permessage-deflate", "not offered", {0}},
        {{true, 10, 0, false, false}, NULL, "permessage-deflate", "server_max_window_bits was asked for", {0}},
        {{true, 10, 0, false, false}, NULL, "permessage-deflate; server_max_window_bits=11", "larger than asked for", {0}},
        {{true, 0, 10, false, false}, NULL, "permessage-deflate; client_max_window_bits=11", "larger than offered", {0}},
        {{true, 0, 0, true, false}, NULL, "permessage-deflate", "server_no_context_takeover was asked for", {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        ws_deflate got;
        buf offer;
        buf_init(&offer, 1000);
        ws_deflate_offer(&offer, &cases[i].want);
        buf_add_char(&offer, 0);
        if (cases[i].offer)
            CHECK_TEXT(offer.at, cases[i].offer);
        weir_code code = ws_deflate_accept(&got, &cases[i].want, bytes_of(cases[i].answer), &err);
        if (cases[i].fault) {
            CHECK_INT(code, WEIR_NETWORK);
            CHECK_HAS(err.text, cases[i].fault);
        } else {
            CHECK_INT(code, WEIR_OK);
        }
        CHECK(got.on == cases[i].got.on && got.server_fresh == cases[i].got.server_fresh && got.client_fresh == cases[i].got.client_fresh);
        CHECK_UINT(got.server_bits, cases[i].got.server_bits);
        CHECK_UINT(got.client_bits, cases[i].got.client_bits);
        buf_fini(&offer);
    }
}

TEST(ws, refuses_impossible_options)
{
    weir_error err = WEIR_ERROR_INIT;
    ws *w;
    CHECK_INT(ws_new(&w, &(ws_options){.deflate = {.on = true, .server_bits = 7}}, &events, NULL, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "8 to 15 bits");
    CHECK_INT(ws_new(&w, &(ws_options){.deflate_level = 10}, &events, NULL, &err), WEIR_INVALID);
    CHECK_INT(ws_new(&w, &(ws_options){.role = WS_CLIENT}, &(ws_events){.on_message = on_message}, NULL, &err), WEIR_INVALID);
    ws_free(NULL);
}
