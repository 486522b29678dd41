/* fake_host.h: a host of a few lines, to test a plugin natively.
 *
 * Include it in one test file. It supplies the imports of weir_pdk.h: blocks (each of its own, so that
 * a wrong offset or a leak shows), a clock, a script of what ws_receive answers, and one function for
 * HTTP. What the plugin published, sent and logged is kept as lines of text.
 *
 *     fake_reset();
 *     fake_script(fake_frame("{\"topic\":…}"));
 *     fake.on_idle = stop;                            called when the script is at its end
 *     fake_call(weir_export_start_stream, "{…}");
 *     CHECK_HAS(fake.published, "\"price\":\"1.5\"");
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir_pdk.h"

#define FAKE_BLOCKS 65536
#define FAKE_SHIFT 32 /* a block's number stands above its offsets */

static struct fake {
    struct {
        char *at;
        size_t len;
    } block[FAKE_BLOCKS];
    size_t blocks, live, live_most; /* ever made, not freed, most at once */
    char *input;
    char output[1 << 20], error[512];
    char published[1 << 20], sent[1 << 16], logged[1 << 16];
    size_t publishes;
    char *script[256];
    size_t scripted, at;
    void (*on_idle)(void);                       /* the script ended: usually stops the stream */
    const char *(*on_http)(const char *request); /* the reply's body, NULL for "refused" */
    bool refuse_connect, refuse_publish;
    uint64_t now_ms, step_ms; /* the clock, and how far each look moves it */
    char var[4][2][128];
} fake;

static uint64_t fake_block(const char *text)
{
    return weir_block_of(weir_text(text));
}

/* A block's contents, terminated, in one of a few buffers that take turns. */
static const char *fake_text(uint64_t block)
{
    static char room[4][1 << 20];
    static int turn;
    char *to = room[turn++ & 3];
    size_t i = (size_t)(block >> FAKE_SHIFT);
    assert(i < FAKE_BLOCKS && fake.block[i].at && !(block & 0xffffffff));
    assert(fake.block[i].len < sizeof room[0]);
    memcpy(to, fake.block[i].at, fake.block[i].len);
    to[fake.block[i].len] = 0;
    return to;
}

/* Forgets everything: blocks, script, lines. */
static __attribute__((unused)) void fake_reset(void)
{
    for (size_t i = 0; i <= fake.blocks && i < FAKE_BLOCKS; i++)
        free(fake.block[i].at);
    for (size_t i = 0; i < fake.scripted; i++)
        free(fake.script[i]);
    memset(&fake, 0, sizeof fake);
    fake.now_ms = 1790137719000;
}

/* Appends a reply of ws_receive to the script, as it is. */
static __attribute__((unused)) void fake_script(const char *reply)
{
    assert(fake.scripted < 256);
    fake.script[fake.scripted++] = strdup(reply);
}

/* The reply that carries this frame. */
static __attribute__((unused)) const char *fake_frame(const char *frame)
{
    static char reply[1 << 16];
    weir_buf b = weir_buf_over(reply, sizeof reply - 1);
    weir_put_text(&b, "{\"success\":true,\"message\":");
    weir_put_string(&b, weir_text(frame));
    weir_put_text(&b, "}");
    assert(!b.failed);
    reply[b.len] = 0;
    return reply;
}

/* Calls an export with this input; the output is in fake.output. Nested calls keep outer blocks. */
static __attribute__((unused)) int32_t fake_call(int32_t (*function)(void), const char *input)
{
    char *outer = fake.input;
    int32_t rc;
    fake.input = strdup(input);
    fake.output[0] = fake.error[0] = 0;
    rc = function();
    free(fake.input);
    fake.input = outer;
    return rc;
}

uint64_t weir_env_alloc(uint64_t length)
{
    if (!length)
        return 0;
    assert(fake.blocks + 1 < FAKE_BLOCKS);
    fake.blocks++;
    fake.block[fake.blocks].at = calloc(1, length);
    fake.block[fake.blocks].len = length;
    if (++fake.live > fake.live_most)
        fake.live_most = fake.live;
    return (uint64_t)fake.blocks << FAKE_SHIFT;
}
void weir_env_free(uint64_t block)
{
    size_t i = (size_t)(block >> FAKE_SHIFT);
    if (i < FAKE_BLOCKS && fake.block[i].at) {
        free(fake.block[i].at);
        fake.block[i].at = NULL;
        fake.live--;
    }
}
uint64_t weir_env_length(uint64_t block)
{
    size_t i = (size_t)(block >> FAKE_SHIFT);
    return i < FAKE_BLOCKS && fake.block[i].at && !(block & 0xffffffff) ? fake.block[i].len : 0;
}
/* The place of `size` octets at an offset; a plugin that reaches outside of a block is wrong. */
static char *fake_place(uint64_t offset, size_t size)
{
    size_t i = (size_t)(offset >> FAKE_SHIFT), from = (size_t)(offset & 0xffffffff);
    assert(i < FAKE_BLOCKS && fake.block[i].at && from + size <= fake.block[i].len);
    return fake.block[i].at + from;
}
uint32_t weir_env_load_u8(uint64_t offset)
{
    return (unsigned char)*fake_place(offset, 1);
}
uint64_t weir_env_load_u64(uint64_t offset)
{
    uint64_t eight;
    memcpy(&eight, fake_place(offset, 8), 8);
    return eight;
}
void weir_env_store_u8(uint64_t offset, uint32_t value)
{
    *fake_place(offset, 1) = (char)value;
}
void weir_env_store_u64(uint64_t offset, uint64_t value)
{
    memcpy(fake_place(offset, 8), &value, 8);
}
#ifdef WEIR_ONLY
uint64_t weir_host_input_read(char *to, uint32_t room)
{
    uint64_t len = strlen(fake.input);
    if (len && len <= room)
        memcpy(to, fake.input, len);
    return len;
}
uint64_t weir_host_block_new(const char *from, uint32_t len)
{
    uint64_t block = weir_env_alloc(len);
    if (block)
        memcpy(fake_place(block, len), from, len);
    return block;
}
uint64_t weir_host_block_take(uint64_t block, char *to, uint32_t room)
{
    uint64_t len = weir_env_length(block);
    if (len && len <= room) {
        memcpy(to, fake_place(block, len), len);
        weir_env_free(block);
    }
    return len;
}
#endif
uint64_t weir_env_input_length(void)
{
    return strlen(fake.input);
}
uint32_t weir_env_input_load_u8(uint64_t index)
{
    return (unsigned char)fake.input[index];
}
uint64_t weir_env_input_load_u64(uint64_t index)
{
    uint64_t eight;
    memcpy(&eight, fake.input + index, 8);
    return eight;
}
void weir_env_output_set(uint64_t offset, uint64_t length)
{
    assert(weir_env_length(offset) == length);
    snprintf(fake.output, sizeof fake.output, "%s", fake_text(offset));
    weir_env_free(offset);
}
void weir_env_error_set(uint64_t block)
{
    snprintf(fake.error, sizeof fake.error, "%s", block ? fake_text(block) : "");
    weir_env_free(block);
}

/* The host takes keys and values, as Extism's do. */
uint64_t weir_env_config_get(uint64_t key)
{
    bool known = !strcmp(fake_text(key), "known");
    weir_env_free(key);
    return known ? fake_block("a value") : 0;
}
uint64_t weir_env_var_get(uint64_t key)
{
    uint64_t found = 0;
    for (int i = 0; i < 4; i++)
        if (!strcmp(fake.var[i][0], fake_text(key)))
            found = fake_block(fake.var[i][1]);
    weir_env_free(key);
    return found;
}
void weir_env_var_set(uint64_t key, uint64_t value)
{
    int i = 0;
    while (fake.var[i][0][0] && strcmp(fake.var[i][0], fake_text(key)))
        assert(++i < 4);
    snprintf(fake.var[i][0], sizeof fake.var[i][0], "%s", fake_text(key));
    snprintf(fake.var[i][1], sizeof fake.var[i][1], "%s", value ? fake_text(value) : "");
    weir_env_free(key);
    weir_env_free(value);
}

static void fake_line(char *lines, size_t size, const char *text)
{
    size_t len = strlen(lines);
    snprintf(lines + len, size - len, "%s\n", text);
}
static void fake_log(uint64_t message)
{
    fake_line(fake.logged, sizeof fake.logged, fake_text(message));
    weir_env_free(message);
}
void weir_env_log_debug(uint64_t message)
{
    fake_log(message);
}
void weir_env_log_info(uint64_t message)
{
    fake_log(message);
}
void weir_env_log_warn(uint64_t message)
{
    fake_log(message);
}
void weir_env_log_error(uint64_t message)
{
    fake_log(message);
}
uint64_t weir_user_log_record(uint64_t record)
{
    fake_line(fake.logged, sizeof fake.logged, fake_text(record));
    return 0;
}

uint64_t weir_user_ws_connect(uint64_t request)
{
    fake_line(fake.sent, sizeof fake.sent, fake_text(request));
    return fake_block(fake.refuse_connect ? "{\"success\":false,\"error\":\"the \\\"door\\\" is shut\"}" : "{\"success\":true,\"connectionId\":\"c-1\"}");
}
uint64_t weir_user_ws_send(uint64_t request)
{
    fake_line(fake.sent, sizeof fake.sent, fake_text(request));
    return fake_block("{\"success\":true}");
}
uint64_t weir_user_ws_receive(uint64_t request)
{
    assert(strstr(fake_text(request), "\"connectionId\":\"c-1\""));
    if (fake.at < fake.scripted)
        return fake_block(fake.script[fake.at++]);
    if (fake.on_idle)
        fake.on_idle();
    return fake_block("{\"success\":true,\"timeout\":true}");
}
uint64_t weir_user_ws_close(uint64_t request)
{
    fake_line(fake.sent, sizeof fake.sent, fake_text(request));
    return fake_block("{\"success\":true}");
}
uint64_t weir_user_publish_stream_data(uint64_t request)
{
    fake.publishes++;
    fake_line(fake.published, sizeof fake.published, fake_text(request));
    return fake_block(fake.refuse_publish ? "{\"success\":false,\"error\":\"nobody asked\"}" : "{\"success\":true}");
}
uint64_t weir_user_http_request(uint64_t request)
{
    static char reply[1 << 16];
    weir_buf b = weir_buf_over(reply, sizeof reply - 1);
    const char *body = fake.on_http ? fake.on_http(fake_text(request)) : NULL;
    if (!body)
        return fake_block("{\"status\":0,\"headers\":null,\"body\":null,\"error\":\"refused\"}");
    weir_put_text(&b, "{\"status\":200,\"statusCode\":200,\"headers\":{\"Content-Type\":[\"application/json\"]},\"body\":\"");
    weir_put_base64(&b, weir_text(body));
    weir_put_text(&b, "\"}");
    assert(!b.failed);
    reply[b.len] = 0;
    return fake_block(reply);
}
uint64_t weir_user_time_now(uint64_t ignored)
{
    char room[40];
    weir_buf b = weir_buf_over(room, sizeof room - 1);
    (void)ignored;
    weir_put_char(&b, '"');
    weir_put_time(&b, fake.now_ms);
    weir_put_char(&b, '"');
    room[b.len] = 0;
    fake.now_ms += fake.step_ms;
    return fake_block(room);
}
uint64_t weir_user_sleep_ms(uint64_t milliseconds)
{
    fake.now_ms += milliseconds;
    return 0;
}

#endif
