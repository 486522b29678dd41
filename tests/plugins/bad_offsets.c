/* Calls every host function with offsets that are no block: 0, the inside of one, one that was freed,
 * addresses far outside, and an empty block. None may end the guest; it answers how many replies it
 * got. `claim` sets outputs and errors that reach outside of memory. */
#include "weir_pdk.h"

typedef uint64_t host_function(uint64_t);

static host_function *const functions[] = {
    weir_user_ws_connect, weir_user_ws_send, weir_user_ws_receive, weir_user_ws_close,
    weir_user_publish_stream_data, weir_user_http_request, weir_user_log_record};

WEIR_EXPORT(call)
{
    char room[24];
    weir_buf out = weir_buf_over(room, sizeof room);
    uint64_t replies = 0, block = weir_block_of(weir_text("{\"url\":\"wss://wss.woox.io/\"}"));
    uint64_t freed = weir_block_of(weir_text("{}"));
    weir_env_free(freed);
    weir_env_free(freed);
    weir_env_free(block + 3);
    const uint64_t offsets[] = {0, 1, 64, block + 1, block - 1, freed, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
            replies += functions[f](offsets[i]) != 0;
    weir_put_u64(&out, replies);
    return weir_reply(&out);
}

/* Loads and stores everywhere; a well-made host answers 0 and ignores. */
WEIR_EXPORT(poke)
{
    static const uint64_t places[] = {0, 1, 48, 1u << 31, 1ull << 32, 1ull << 63, UINT64_MAX - 7, UINT64_MAX};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        weir_env_store_u8(places[i], 0xff);
        weir_env_store_u64(places[i], UINT64_MAX);
        sum += weir_env_load_u8(places[i]) + weir_env_load_u64(places[i]) + weir_env_length(places[i]);
        sum += weir_env_input_load_u8(places[i]) + weir_env_input_load_u64(places[i]);
    }
    return sum == 0 ? 0 : 1;
}

WEIR_EXPORT(claim)
{
    uint64_t block = weir_block_of(weir_text("sixteen octets.."));
    weir_env_output_set(block, 1ull << 40);
    weir_env_output_set(block, UINT64_MAX - 4);
    weir_env_output_set(1ull << 62, 16);
    weir_env_error_set(1ull << 62);
    weir_env_error_set(block + 1);
    return 0;
}

/* Keys and messages that are no blocks, given to Extism's own functions. */
WEIR_EXPORT(own)
{
    weir_env_var_set(0, 0);
    weir_env_var_get(1ull << 63);
    return 0;
}
