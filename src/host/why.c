/* The last traps of a plugin: why its instances died, as JSON, kept with the plugin (weir_plugin_why) and, by
 * traps.c, for the time after this process (weir_why).
 *
 * A trap is rare, so nothing here is quick. Texts are bounded, and masked before they are cut: half a secret is
 * one, too. Without memory a trap is not kept; the log has said it anyway. */
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "host/inside.h"

#define TEXT_MAX 4096
#define FRAMES_MAX 64

/* Up to TEXT_MAX octets, whole characters. */
static bytes cut(bytes text)
{
    size_t n = text.len < TEXT_MAX ? text.len : TEXT_MAX;
    while (n < text.len && n && (text.at[n] & 0xc0) == 0x80)
        n--;
    return bytes_make(text.at, n);
}

static void put_masked(buf *out, const weir_plugin *p, const char *name, bytes text)
{
    char octets[40];
    buf masked;
    buf_init(&masked, SIZE_MAX);
    mask_text(p->mask, text, &masked);
    json_put_member(out, name, cut(buf_bytes(&masked)));
    out->failed |= masked.failed;
    buf_fini(&masked);
    snprintf(octets, sizeof octets, "%s_octets", name);
    json_put_key(out, octets);
    buf_add_u64(out, text.len);
}

/* The message stands for itself: in the input, as base64, it says nothing to a reader. */
static void put_input(buf *out, const weir_plugin *p, const trap_note *n)
{
    buf coded, input;
    buf_init(&coded, SIZE_MAX);
    buf_init(&input, SIZE_MAX);
    if (n->message.len)
        base64_encode(&coded, n->message);
    const char *at = coded.len ? memmem(n->input.at, n->input.len, coded.at, coded.len) : NULL;
    if (at) {
        buf_add(&input, n->input.at, (size_t)(at - n->input.at));
        buf_add_text(&input, "(message)");
        buf_add(&input, at + coded.len, n->input.len - coded.len - (size_t)(at - n->input.at));
    } else {
        buf_add_bytes(&input, n->input);
    }
    put_masked(out, p, "input", buf_bytes(&input));
    out->failed |= coded.failed || input.failed;
    buf_fini(&coded);
    buf_fini(&input);
}

static void put_time(buf *out, const char *name, uint64_t real_ns)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, real_ns, 3);
    json_put_member(out, name, bytes_of(text));
}

static void put_calls(buf *out, const task *t)
{
    const host_call *c;
    uint64_t now = t ? loop_now(t->loop) : 0, real = clock_real();
    json_put_key(out, "calls");
    buf_add_char(out, '[');
    for (uint64_t i = 0; t && (c = task_last_call(t, i)); i++) {
        buf_add_text(out, i ? ",{" : "{");
        json_put_member(out, "name", bytes_of(c->name));
        put_time(out, "time", real - (now - c->began));
        json_put_key(out, "ms");
        json_put_f64(out, (double)((c->ended ? c->ended : now) - c->began) * 1e-6);
        json_put_member(out, "outcome", bytes_of(c->ended ? weir_code_name(c->code) : "UNDER_WAY"));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void put_frames(buf *out, const char *trace)
{
    bool first = true;
    json_put_key(out, "backtrace");
    buf_add_char(out, '[');
    for (int i = 0; trace && *trace && i < FRAMES_MAX; i++) {
        size_t len = strcspn(trace, "\n"), blanks = strspn(trace, " ");
        if (len > blanks) {
            buf_add_text(out, first ? "" : ",");
            first = false;
            json_put_string(out, cut(bytes_make(trace + blanks, len - blanks)));
        }
        trace += len + (trace[len] == '\n');
    }
    buf_add_char(out, ']');
}

static void put_trap(buf *out, const weir_plugin *p, const trap_note *n)
{
    buf why;
    buf_init(&why, SIZE_MAX);
    mask_text(p->mask, bytes_of(n->result->why), &why);
    buf_add_char(out, '{');
    put_time(out, "time", clock_real());
    json_put_member(out, "plugin", bytes_of(weir_plugin_id(p)));
    json_put_member(out, "version", bytes_of(p->meta ? p->meta->version : ""));
    json_put_member(out, "file", bytes_of(p->name));
    json_put_key(out, "stream");
    buf_add_bytes(out, n->key.len ? n->key : BYTES("null"));
    json_put_member(out, "topic", n->topic);
    json_put_member(out, "export", bytes_of(n->task ? n->task->export_name : ""));
    json_put_member(out, "code", bytes_of(weir_code_name(n->result->code)));
    json_put_member(out, "trap", cut(buf_bytes(&why)));
    json_put_member(out, "then", bytes_of(n->then));
    json_put_key(out, "again_s");
    json_put_f64(out, (double)n->again_ns * 1e-9);
    put_input(out, p, n);
    put_masked(out, p, "message", n->message);
    put_calls(out, n->task);
    put_frames(out, n->result->trace);
    buf_add_char(out, '}');
    out->failed |= why.failed;
    buf_fini(&why);
}

void why_keep(void *plugin, const trap_note *n)
{
    weir_plugin *p = plugin;
    buf line;
    buf_init(&line, SIZE_MAX);
    put_trap(&line, p, n);
    char *text = line.failed ? NULL : bytes_dup(buf_bytes(&line));
    buf_fini(&line);
    if (!text) {
        log_warn("host", "plugin '%s': its trap is not kept: out of memory", p->name);
        return;
    }
    char **place = &p->traps[p->trap_count++ % WHY_KEPT];
    free(*place);
    *place = text;
    if (p->host->traps)
        traps_keep(p->host->traps, weir_plugin_id(p), text);
}

void why_free(weir_plugin *p)
{
    for (size_t i = 0; i < WHY_KEPT; i++)
        free(p->traps[i]);
    buf_fini(&p->why);
    mask_free(p->mask);
}

const char *weir_plugin_why(weir_plugin *p)
{
    buf_clear(&p->why);
    buf_add_char(&p->why, '[');
    for (uint64_t i = 0; i < WHY_KEPT && i < p->trap_count; i++) {
        buf_add_text(&p->why, i ? "," : "");
        buf_add_text(&p->why, p->traps[(p->trap_count - 1 - i) % WHY_KEPT]);
    }
    buf_add_text(&p->why, "]");
    buf_add_char(&p->why, '\0');
    return p->why.failed ? "[]" : p->why.at;
}
