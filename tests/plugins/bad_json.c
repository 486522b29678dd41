/* Gives every host function documents that are none, are of the wrong type, are no UTF-8, or nest
 * deep; answers how many replies say success. It should be 0, and nobody may trap. */
#include "weir_pdk.h"

typedef uint64_t host_function(uint64_t);

static host_function *const functions[] = {
    weir_user_ws_connect, weir_user_ws_send, weir_user_ws_receive, weir_user_ws_close,
    weir_user_publish_stream_data, weir_user_http_request};

static const char *const documents[] = {
    "{", "}", "null", "true", "17", "\"text\"", "[]", "{}", "{\"url\":17}", "{\"url\":null,\"headers\":7}",
    "{\"url\":\"\",\"method\":[]}", "{\"connectionId\":{},\"timeoutMs\":\"soon\"}",
    "{\"connectionId\":\"none\",\"timeoutMs\":-1,\"message\":{}}", "{\"url\":\"\xff\xfe\"}", "{\"url\":\"\\ud800\"}",
    "{\"key\":\"x\",\"data\":1}", "{\"key\":{\"type\":1},\"data\":{}}", "{\"url\":\"wss://wss.woox.io/\" \"x\"}",
    "{\"url\":\"not a url\",\"headers\":{\"a\":{}}}", "\x01", " "};

static weir_buf reply;

static uint64_t said_yes(uint64_t block)
{
    return weir_block_take(block, &reply) && weir_json_true(weir_json_member(weir_buf_str(&reply), "success"));
}

WEIR_EXPORT(call)
{
    static weir_buf deep;
    char room[24];
    weir_buf out = weir_buf_over(room, sizeof room);
    uint64_t yes = 0;
    weir_buf_clear(&deep);
    for (int i = 0; i < 100000; i++)
        weir_put_text(&deep, i % 2 ? "[" : "{\"a\":");
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
            yes += said_yes(functions[f](weir_block_of(weir_text(documents[i]))));
        yes += said_yes(functions[f](weir_block_of(weir_buf_str(&deep))));
    }
    weir_put_u64(&out, yes);
    return weir_reply(&out);
}
