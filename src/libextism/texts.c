/* Errors in Extism's words. Programs compare them, so what upstream says comes first, whole and on lines of its own;
 * what only we know follows. */
#include <stdio.h>
#include <stdlib.h>

#include "libextism/inside.h"

static void types(buf *out, const char *what, const char *letters, size_t count)
{
    static const char *const names[] = {['i'] = "i32", ['I'] = "i64", ['f'] = "f32", ['F'] = "f64", ['V'] = "v128", ['r'] = "(ref)"};
    if (!count)
        return;
    buf_add_fmt(out, " (%s", what);
    for (size_t i = 0; i < count; i++)
        buf_add_fmt(out, " %s", (unsigned char)letters[i] < sizeof names / sizeof *names && names[(unsigned char)letters[i]] ? names[(unsigned char)letters[i]] : "?");
    buf_add_char(out, ')');
}

void text_functype(buf *out, const char *type)
{
    const char *open = strchr(type, '('), *close = strchr(type, ')');
    buf_add_text(out, "(func");
    if (open && close) {
        types(out, "param", open + 1, (size_t)(close - open - 1));
        types(out, "result", type, (size_t)(open - type));
    }
    buf_add_char(out, ')');
}

/* Our texts that begin with a sentence of upstream's and go on. */
static const char *const sentences[] = {
    "No wasm files specified in Extism manifest",
    "Vars are disabled by this host",
    "Variable store is full",
    "failed to allocate extism memory",
};

void text_translate(buf *out, const char *text)
{
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        size_t len = strlen(sentences[i]);
        if (strncmp(text, sentences[i], len) == 0 && text[len] == ':') {
            buf_add_fmt(out, "%s\n%s", sentences[i], text + len + 2);
            return;
        }
    }
    if (strncmp(text, "manifest: ", 10) == 0)
        buf_add_fmt(out, "Unknown manifest format\n%s", text + 10);
    else
        buf_add_text(out, text);
}

/* "  3: 0x1977 woox.wasm!main.parse" back to upstream's "    3:   0x1977 - woox.wasm!main.parse" */
static void frame(buf *out, bytes line)
{
    size_t at = 0;
    while (at < line.len && line.at[at] == ' ')
        at++;
    const char *colon = memchr(line.at + at, ':', line.len - at);
    const char *space = colon && colon + 2 < line.at + line.len ? memchr(colon + 2, ' ', (size_t)(line.at + line.len - colon - 2)) : NULL;
    if (!space) {
        buf_add_fmt(out, "\n  " BYTES_FMT, BYTES_ARG(line));
        return;
    }
    bytes name = bytes_make(space + 1, (size_t)(line.at + line.len - space - 1));
    char place[24];
    snprintf(place, sizeof place, "%.*s", (int)(space - colon - 2), colon + 2);
    buf_add_fmt(out, "\n%5.*s: ", (int)(colon - line.at - (long)at), line.at + at);
    if (strcmp(place, "?") != 0) /* it has just been entered */
        buf_add_fmt(out, "%8s - ", place);
    buf_add_text(out, memchr(name.at, '!', name.len) ? "" : "<unknown>!");
    buf_add_bytes(out, name);
}

void text_backtrace(buf *out, const char *trace, const char *cause)
{
    buf_add_text(out, "error while executing at wasm backtrace:");
    for (const char *line = trace; *line;) {
        const char *end = strchrnul(line, '\n');
        frame(out, bytes_make(line, (size_t)(end - line)));
        line = *end ? end + 1 : end;
    }
    if (*cause)
        buf_add_fmt(out, "\n\nCaused by:\n    %s", cause);
}

char *text_errmsg(char **errmsg, const char *prefix, const char *text)
{
    if (errmsg) {
        size_t len = strlen(prefix) + strlen(text) + 1;
        char *whole = malloc(len);
        if (whole)
            snprintf(whole, len, "%s%s", prefix, text);
        *errmsg = whole;
    }
    return NULL;
}

void extism_plugin_new_error_free(char *err)
{
    free(err);
}
