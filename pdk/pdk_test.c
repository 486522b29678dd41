/* weir_pdk.h and weir_hmac.h, natively. */
#include "fake_host.h"
#include "weir_hmac.h"
#include "tests/lib/test.h"

static char text_room[4096];

/* What was put, as C string. */
static const char *text_of(const weir_buf *b)
{
    snprintf(text_room, sizeof text_room, "%.*s", (int)b->len, b->at);
    return text_room;
}
static const char *str_of(weir_str s)
{
    snprintf(text_room, sizeof text_room, "%.*s", (int)s.len, s.at ? s.at : "");
    return text_room;
}

TEST(pdk, copies_every_length_exactly)
{
    char from[80], to[80];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (char)(i + 1);
    for (size_t len = 0; len <= 72; len++) {
        memset(to, 0, sizeof to);
        weir_copy(to + 1, from, len);
        CHECK_MEM(to + 1, len, from, len);
        CHECK(to[0] == 0 && to[len + 1] == 0);
        CHECK(weir_same(to + 1, from, len));
        if (len) {
            to[len]++;
            CHECK(!weir_same(to + 1, from, len));
        }
    }
}

TEST(pdk, blocks_carry_every_length_exactly)
{
    char from[40], to[48];
    fake_reset();
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (char)(i + 1);
    for (size_t len = 1; len <= sizeof from; len++) {
        uint64_t block = weir_block_of(weir_slice(from, len));
        CHECK_UINT(weir_env_length(block), len);
        memset(to, 0, sizeof to);
        weir_block_read(block, 0, to, len);
        CHECK_MEM(to, len, from, len);
        CHECK_INT(to[len], 0);
        weir_env_free(block);
    }
    CHECK_UINT(fake.live, 0);
    CHECK_UINT(weir_block_of(weir_text("")), 0);
    fake_reset();
}

TEST(pdk, a_taken_block_is_gone_whether_it_fitted_or_not)
{
    char room[8];
    weir_buf grows = {0}, fixed = weir_buf_over(room, sizeof room);
    fake_reset();
    CHECK(weir_block_take(fake_block("12345678"), &fixed));
    CHECK_TEXT(text_of(&fixed), "12345678");
    CHECK(!weir_block_take(fake_block("123456789"), &fixed));
    CHECK(fixed.failed);
    CHECK_UINT(fixed.len, 0);
    CHECK(weir_block_take(fake_block("12"), &fixed));
    CHECK_TEXT(text_of(&fixed), "12");
    CHECK(!fixed.failed);
    for (size_t len = 1; len < 1000; len = len * 3 + 1) {
        char from[1000];
        memset(from, 'x', len);
        CHECK(weir_block_take(weir_block_of(weir_slice(from, len)), &grows));
        CHECK_MEM(grows.at, grows.len, from, len);
    }
    CHECK(!weir_block_take(0, &grows));
    CHECK_UINT(grows.len, 0);
    CHECK_UINT(fake.live, 0);
    free(grows.at);
    fake_reset();
}

TEST(pdk, a_full_buffer_leaves_out_whole_pieces_and_remembers)
{
    char room[8];
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "12345");
    weir_put_text(&b, "6789");
    CHECK(b.failed);
    CHECK_TEXT(text_of(&b), "12345");
    weir_buf_clear(&b);
    weir_put_i64(&b, -1234567);
    CHECK_TEXT(text_of(&b), "-1234567");
    CHECK(!b.failed);
}

TEST(pdk, a_growing_buffer_survives_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_buf b = {0};
        for (int i = 0; i < 100; i++)
            weir_put_text(&b, "0123456789");
        CHECK(b.failed ? b.len < 1000 : b.len == 1000);
        CHECK(b.len % 10 == 0);
        free(b.at);
    }
}

TEST(pdk, writes_numbers_and_strings_as_json)
{
    weir_buf b = {0};
    weir_put_u64(&b, UINT64_MAX);
    weir_put_char(&b, ' ');
    weir_put_i64(&b, INT64_MIN);
    weir_put_char(&b, ' ');
    weir_put_string(&b, weir_slice("a\"b\\c\n\x01\xc3\xa4", 9));
    CHECK_TEXT(text_of(&b), "18446744073709551615 -9223372036854775808 \"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\"");
    free(b.at);
}

TEST(pdk, walks_an_object_in_place)
{
    weir_json_iter it = weir_json_each(weir_text(" { \"a\" : 1 , \"b\":{\"x\":[\"}\",\"\\\"]\"]},\"c\":\"d\"}tail"));
    CHECK(weir_json_next(&it));
    CHECK(weir_is(it.key, "a") && weir_is(it.value, "1"));
    CHECK(weir_json_next(&it));
    CHECK(weir_is(it.key, "b") && weir_is(it.value, "{\"x\":[\"}\",\"\\\"]\"]}"));
    CHECK(weir_json_next(&it));
    CHECK_TEXT(str_of(weir_json_raw(it.value)), "d");
    CHECK(!weir_json_next(&it));
    CHECK(!it.bad);
    CHECK_TEXT(it.at, "tail");
    CHECK(!weir_json_next(&it));
}

TEST(pdk, walks_an_array_and_an_empty_container)
{
    weir_json_iter it = weir_json_each(weir_text("[1,\"two\" , null]"));
    int items = 0;
    while (weir_json_next(&it))
        items++;
    CHECK_INT(items, 3);
    CHECK(!it.bad);
    it = weir_json_each(weir_text("[ ]"));
    CHECK(!weir_json_next(&it) && !it.bad);
    it = weir_json_each(weir_text("{}"));
    CHECK(!weir_json_next(&it) && !it.bad);
}

TEST(pdk, text_that_is_no_json_ends_the_walk_as_bad)
{
    static const char *const bad[] = {"", " ", "17", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "[1,]",
                                      "{a:1}", "{\"a\" 1}", "[1 2]", "{\"a\":\"x}", "{\"a\":{}", "{\"a\\", "[\"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weir_json_iter it = weir_json_each(weir_text(bad[i]));
        while (weir_json_next(&it))
            ;
        CHECK(it.bad);
    }
}

TEST(pdk, deep_nesting_takes_no_stack)
{
    static char deep[2000001];
    memset(deep, '[', 1000000);
    memset(deep + 1000000, ']', 1000000);
    weir_json_iter it = weir_json_each(weir_text(deep));
    CHECK(weir_json_next(&it));
    CHECK(!weir_json_next(&it) && !it.bad);
}

TEST(pdk, decimals_keep_their_digits_and_nothing_else_passes)
{
    static const char *const good[] = {"0.000000123456", "-0", "1e-7", "100", "0.10", "\"56948.97\"", "12345678901234567890.123"};
    static const char *const bad[] = {"", "\"\"", "00.5", ".5", "5.", "+1", "1e", "NaN", "null", "\"1,5\"", "\"1 \"", "-", "1.5.5", "0x1", "{}", "\"1\\u0030\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(weir_json_decimal(weir_text(good[i])).len == strlen(good[i]) - (good[i][0] == '"' ? 2 : 0));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_UINT(weir_json_decimal(weir_text(bad[i])).len, 0);
}

TEST(pdk, decodes_strings_and_refuses_broken_ones)
{
    weir_buf b = {0};
    CHECK(weir_json_string(weir_text("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20AC\\ud83d\\ude00\\ud800x\""), &b));
    CHECK_TEXT(text_of(&b), "a\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbdx");
    CHECK(!weir_json_string(weir_text("\"\\x\""), &b));
    CHECK(!weir_json_string(weir_text("\"\\u12\""), &b));
    CHECK(!weir_json_string(weir_text("17"), &b));
    free(b.at);
}

/* A string of letters, quotes, backslashes and new lines, each a bit pair of `which`. */
static weir_str nth_string(uint32_t which, size_t len, char *room)
{
    static const char letters[] = "x\"\\\n";
    for (size_t i = 0; i < len; i++, which >>= 2)
        room[i] = letters[which & 3];
    return weir_slice(room, len);
}

TEST(pdk, strings_are_the_same_wherever_they_are_decoded_to)
{
    char plain[24], room[200];
    weir_buf quoted = {0};
    for (uint32_t which = 0; which < 1 << 16; which++) {
        weir_str s = nth_string(which * 2654435761u, which % sizeof plain, plain);
        for (size_t before = 0; before < 10; before++) { /* how far reading is ahead of writing */
            const char *stop = room, *at = room + before;
            weir_buf_clear(&quoted);
            weir_put_string(&quoted, s);
            weir_put_text(&quoted, ",\"\\tail\"");
            memcpy(room + before, quoted.at + 1, quoted.len - 1);
            char *end = weir_json_unquote(at, at + quoted.len - 1, room, &stop);
            CHECK_MEM(room, (size_t)(end - room), s.at, s.len);
            CHECK(*stop == ',' && stop == at + quoted.len - 9);
            CHECK(weir_json_skip_string(quoted.at, quoted.at + quoted.len) == quoted.at + quoted.len - 8);
        }
    }
    free(quoted.at);
}

TEST(pdk, a_string_cut_anywhere_does_not_end)
{
    static const char whole[] = "\"0123456\\\"89\\\\abcdefghijklm\"";
    char room[sizeof whole];
    const char *stop;
    for (size_t len = 1; len < sizeof whole - 1; len++) {
        char *cut = malloc(len); /* exactly as long, so that a read past the end shows */
        memcpy(cut, whole, len);
        CHECK(!weir_json_skip_string(cut, cut + len));
        CHECK(!weir_json_unquote(cut + 1, cut + len, room, &stop));
        free(cut);
    }
    CHECK(weir_json_skip_string(whole, whole + sizeof whole - 1) == whole + sizeof whole - 1);
}

TEST(pdk, base64_goes_there_and_back)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}};
    char back[16];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        weir_buf b = {0};
        weir_put_base64(&b, weir_text(pairs[i][0]));
        CHECK_TEXT(text_of(&b), pairs[i][1]);
        CHECK_MEM(back, weir_base64_decode(weir_text(pairs[i][1]), back), pairs[i][0], strlen(pairs[i][0]));
        free(b.at);
    }
    CHECK(weir_base64_decode(weir_text("Zm9v!"), back) == (size_t)-1);
    CHECK(weir_base64_decode(weir_text("Z"), back) == (size_t)-1);
}

TEST(pdk, times_are_rfc_3339_both_ways)
{
    static const struct {
        const char *text;
        int64_t ms;
    } same[] = {{"1970-01-01T00:00:00.000Z", 0}, {"2026-11-23T07:44:42.187Z", 1795419882187}, {"2000-02-29T23:59:59.999Z", 951868799999}, {"2024-12-31T00:00:00.001Z", 1735603200001}};
    int64_t ms;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        weir_buf b = {0};
        weir_put_time(&b, (uint64_t)same[i].ms);
        CHECK_TEXT(text_of(&b), same[i].text);
        CHECK(weir_time_parse(weir_text(same[i].text), &ms));
        CHECK_INT(ms, same[i].ms);
        free(b.at);
    }
    CHECK(weir_time_parse(weir_text("2026-11-23T08:44:42.187654321+01:00"), &ms));
    CHECK_INT(ms, 1795419882187);
    CHECK(weir_time_parse(weir_text("0001-01-01T00:00:00Z"), &ms));
    CHECK_INT(ms, -62135596800000);
    CHECK(!weir_time_parse(weir_text("2026-13-23T07:44:42Z"), &ms));
    CHECK(!weir_time_parse(weir_text("2026-11-23"), &ms));
    CHECK(!weir_time_parse(weir_text("2026-11-23T07:44:42"), &ms));
}

/* Official and computed signatures of WOO X: secret, text, signature. */
TEST(pdk, hmac_signs_as_the_venue_does)
{
    static const char *const vectors[][2] = {
        {"order_price=9000&order_quantity=0.11&order_type=LIMIT&side=BUY&symbol=SPOT_BTC_USDT|1578565539808", "20da0852f73b20da0208c7e627975a59ff072379883d8457d03104651032033d"},
        {"|1578565539808", "68f50830e2ff5cee44cfd44844322870c0bc9693c0c9c87b8b72e76e0154d73e"},
        {"1578565539808GET/v3/public/instruments", "3c75d9b60767e8d70f40425526dbdbf1d0f602b6a313ccb063a19614d3f5e79d"},
        {"1578565539808GET/v3/trade/orders?size=25&symbol=SPOT_BTC_USDT", "4653f808595a386e7307ccb54ad2d5c87fe802b12a52d2361b13becaa17dacf6"},
        {"1578565539808POST/v3/account/listenKey{\"type\":\"WEBSOCKET\"}", "228a2c6bb9e2e77cd796e3c500cdbc29cabbccc379d3854c387930103f055649"}};
    char hex[65] = "";
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        weir_hmac_sha256(weir_text("QHKRXHPAW1MC9YGZMAT8YDJG2HPR"), weir_text(vectors[i][0]), hex);
        CHECK_TEXT(hex, vectors[i][1]);
    }
    /* RFC 4231, case 6: a key longer than a block. */
    char key[131];
    memset(key, 0xaa, sizeof key);
    weir_hmac_sha256(weir_slice(key, sizeof key), weir_text("Test Using Larger Than Block-Size Key - Hash Key First"), hex);
    CHECK_TEXT(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(pdk, receive_reads_messages_in_any_order_of_members)
{
    weir_ws ws = {0};
    weir_str frame;
    weir_fail fail;
    fake_reset();
    fake_script("{\"success\":true,\"message\":\"{\\\"a\\\":\\\"\\u20ac\\\"}\"}");
    fake_script("{ \"message\":\"later\" , \"timeout\":false,\"success\":true}");
    fake_script("{\"success\":true,\"message\":\"AAEC\",\"binary\":true}");
    fake_script("{\"success\":true,\"timeout\":true}");
    fake_script("{\"success\":false,\"error\":\"closed by \\\"peer\\\"\"}");
    CHECK(weir_ws_connect(&ws, "wss://x/", weir_slice(NULL, 0), "v1", &fail));
    CHECK_HAS(fake.sent, "{\"url\":\"wss://x/\",\"headers\":null,\"subprotocol\":\"v1\"}");
    CHECK_INT(weir_ws_receive(&ws, 5000, &frame, &fail), WEIR_WS_MESSAGE);
    CHECK_TEXT(str_of(frame), "{\"a\":\"\xe2\x82\xac\"}");
    CHECK_INT(weir_ws_receive(&ws, 5000, &frame, &fail), WEIR_WS_MESSAGE);
    CHECK_TEXT(str_of(frame), "later");
    CHECK_INT(weir_ws_receive(&ws, -1, &frame, &fail), WEIR_WS_MESSAGE);
    CHECK(ws.binary);
    CHECK_INT(weir_ws_receive(&ws, -1, &frame, &fail), WEIR_WS_TIMEOUT);
    CHECK(!ws.binary);
    CHECK_INT(weir_ws_receive(&ws, -1, &frame, &fail), WEIR_WS_CLOSED);
    CHECK_TEXT(fail.text, "ws_receive: closed by \"peer\"");
    CHECK_UINT(fake.live, 0);
    free(ws.in.at);
    free(ws.out.at);
    fake_reset();
}

TEST(pdk, receive_asks_for_the_message_as_it_is)
{
    weir_ws ws = {0};
    weir_str frame;
    weir_fail fail;
    fake_reset();
    fake_script("={\"a\":\"\\\"\"}");
    fake_script("=");
    fake_script("{\"success\":true,\"message\":\"={\"}");
    CHECK(weir_ws_connect(&ws, "wss://x/", weir_slice(NULL, 0), NULL, &fail));
    CHECK_INT(weir_ws_receive(&ws, -2147483647 - 1, &frame, &fail), WEIR_WS_MESSAGE);
    CHECK_TEXT(str_of(frame), "{\"a\":\"\\\"\"}");
    CHECK_TEXT(str_of(weir_slice(ws.request, ws.request_len)), "{\"connectionId\":\"c-1\",\"timeoutMs\":-2147483648,\"raw\":true}");
    CHECK_INT(weir_ws_receive(&ws, 5000, &frame, &fail), WEIR_WS_MESSAGE);
    CHECK_UINT(frame.len, 0);
    CHECK_INT(weir_ws_receive(&ws, 5000, &frame, &fail), WEIR_WS_MESSAGE);
    CHECK_TEXT(str_of(frame), "={");
    CHECK_UINT(fake.live, 0);
    free(ws.in.at);
    fake_reset();
}

TEST(pdk, a_frame_comes_as_it_is_or_as_base64_in_json)
{
    static const struct {
        const char *input, *id, *text; /* id NULL: it is none */
    } frames[] = {
        {"=s-1\n{\"a\":\"\\\"\"}", "s-1", "{\"a\":\"\\\"\"}"},
        {"=\n\nx", "", "\nx"},
        {"=s\n", "s", ""},
        {"{\"streamId\":\"s-1\",\"connectionId\":\"c\",\"message\":\"eyJhIjoxfQ==\",\"messageType\":\"data\"}", "s-1", "{\"a\":1}"},
        {"{\"message\":\"\",\"streamId\":\"s\"}", "s", ""},
        {"=s", NULL, NULL},
        {"", NULL, NULL},
        {"{\"streamId\":\"s\"}", NULL, NULL},
        {"{\"message\":\"eyJh", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        char input[200];
        weir_frame f;
        fake_reset();
        snprintf(input, sizeof input, "%s", frames[i].input);
        fake.input = input;
        bool ok = weir_frame_read(&f);
        fake.input = NULL;
        if (ok != (frames[i].id != NULL))
            test_fail(__FILE__, __LINE__, "%s: %s", frames[i].input, ok ? "taken" : "not taken");
        if (!ok)
            continue;
        CHECK_TEXT(str_of(f.id), frames[i].id);
        CHECK_TEXT(str_of(f.text), frames[i].text);
    }
    fake_reset();
}

TEST(pdk, a_reply_that_is_no_json_closes_the_socket_and_says_so)
{
    static const char *const bad[] = {"", "{", "{\"success\":true,\"message\":\"x", "{\"success\":true,\"message\":\"\\q\"}", "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weir_ws ws = {0};
        weir_str frame;
        weir_fail fail = {""};
        fake_reset();
        fake_script(bad[i]);
        CHECK(weir_ws_connect(&ws, "wss://x/", weir_slice(NULL, 0), NULL, &fail));
        CHECK_INT(weir_ws_receive(&ws, 5000, &frame, &fail), WEIR_WS_CLOSED);
        CHECK_HAS(fail.text, "ws_receive: ");
        free(ws.in.at);
    }
    fake_reset();
}

TEST(pdk, publishing_says_why_a_record_was_not_taken)
{
    weir_publisher p = {0};
    weir_fail fail = {""};
    fake_reset();
    CHECK(weir_publish_open(&p, weir_text("{\"type\":\"x\"}"), &fail));
    weir_put_text(weir_publish_begin(&p, 0), "{\"a\":1}");
    CHECK(weir_publish_end(&p, &fail));
    CHECK_TEXT(fake.published, "{\"key\":{\"type\":\"x\"},\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"data\":{\"a\":1}}\n");
    fake.refuse_publish = true;
    weir_put_text(weir_publish_begin(&p, 0), "2");
    CHECK(!weir_publish_end(&p, &fail));
    CHECK_TEXT(fail.text, "publish_stream_data: nobody asked");
    CHECK_UINT(fake.live, 0);
    free(p.json.at);
    fake_reset();
}

TEST(pdk, config_and_variables_leave_no_blocks)
{
    weir_buf b = {0};
    fake_reset();
    CHECK(weir_config_get("known", &b));
    CHECK_TEXT(text_of(&b), "a value");
    CHECK(!weir_config_get("unknown", &b));
    weir_var_set("k", weir_text("v"));
    CHECK(weir_var_get("k", &b));
    CHECK_TEXT(text_of(&b), "v");
    weir_var_set("k", weir_text(""));
    CHECK(!weir_var_get("k", &b));
    CHECK_UINT(fake.live, 0);
    free(b.at);
    fake_reset();
}

static const char *no_answer(const char *request)
{
    (void)request;
    return NULL;
}

TEST(pdk, http_says_why_no_reply_was_had)
{
    weir_http http = {0};
    weir_fail fail;
    fake_reset();
    fake.on_http = no_answer;
    CHECK(!weir_http_request(&http, "GET", weir_text("https://a/b"), weir_slice(NULL, 0), weir_slice(NULL, 0), &fail));
    CHECK_TEXT(fail.text, "http_request 'https://a/b': refused");
    free(http.room.at);
    fake_reset();
}
