/* Records as lines, to a file, a pipe or stdout.
 *
 * A record's line is copied into one buffer, which goes out when it is full or the queue is empty: a
 * write() for some hundred records. A line longer than the buffer is kept as a reference and written
 * from the record itself. A write that went half is continued at the octet where it stopped.
 *
 * What can go wrong: the other end is slow; then the buffer fills and write answers WOULD_BLOCK. The
 * other end goes away or the disk is full; then what is buffered counts as lost, and `why` says so. */
#include "sink/sink_impl.h"

#include <stdlib.h>

#define BUFFER (64u << 10)

typedef struct ndjson {
    sink base;
    outlet out;
    size_t from, len; /* of `buffer`: gone until `from`, filled until `len` */
    record *big;      /* behind the buffer */
    size_t big_from;
    sink_account account;
    char buffer[BUFFER];
} ndjson;

static weir_code ndjson_open(sink **out, const sink_options *options, weir_error *err)
{
    ndjson *n = malloc(sizeof *n);

    if (!n)
        return error_set(err, WEIR_NOMEM, "out of memory");
    memset(n, 0, offsetof(ndjson, buffer));
    n->base.ops = &sink_ndjson_ops;
    weir_code code = outlet_open(&n->out, options, err);
    if (code) {
        free(n);
        return code;
    }
    *out = &n->base;
    return WEIR_OK;
}

static uint64_t count_lines(bytes text)
{
    uint64_t lines = 0;
    const char *end = text.at + text.len;

    for (const char *at = text.at; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        lines++;
    return lines;
}

static sink_result fail(ndjson *n)
{
    n->account.lost = n->account.accepted - n->account.written;
    n->from = n->len = 0;
    record_unref(n->big);
    n->big = NULL;
    return SINK_ERROR;
}

/* Writes `from` on; *done moves by what went. */
static sink_result push(ndjson *n, bytes from, size_t *done)
{
    while (from.len) {
        ssize_t went = outlet_write(&n->out, from, &n->base.why);
        if (went < 0)
            return SINK_ERROR;
        if (went == 0)
            return SINK_WOULD_BLOCK;
        n->account.octets += (uint64_t)went;
        n->account.written += count_lines(bytes_make(from.at, (size_t)went));
        *done += (size_t)went;
        from = bytes_make(from.at + went, from.len - (size_t)went);
    }
    return SINK_ACCEPTED;
}

static sink_result ndjson_flush(sink *s)
{
    ndjson *n = (ndjson *)s;
    sink_result result;

    if (s->why.code)
        return SINK_ERROR;
    result = push(n, bytes_make(n->buffer + n->from, n->len - n->from), &n->from);
    if (result == SINK_ACCEPTED) {
        n->from = n->len = 0;
        if (n->big)
            result = push(n, bytes_make(n->big->line.at + n->big_from, n->big->line.len + 1 - n->big_from), &n->big_from);
        if (result == SINK_ACCEPTED && n->big) {
            record_unref(n->big);
            n->big = NULL;
        }
    }
    return result == SINK_ERROR ? fail(n) : result;
}

static bool has_room(const ndjson *n, size_t len)
{
    return !n->big && len <= BUFFER - n->len;
}

/* Room for `len` octets, or for a big one behind an empty buffer. */
static sink_result make_room(ndjson *n, size_t len)
{
    sink_result result = ndjson_flush(&n->base);

    if (result == SINK_WOULD_BLOCK && n->from) {
        n->len -= n->from;
        memmove(n->buffer, n->buffer + n->from, n->len);
        n->from = 0;
    }
    return result == SINK_WOULD_BLOCK && has_room(n, len) ? SINK_ACCEPTED : result;
}

static sink_result ndjson_write(sink *s, record *r)
{
    ndjson *n = (ndjson *)s;
    size_t len = r->line.len + 1; /* the newline lies behind the line */

    if (s->why.code)
        return SINK_ERROR;
    if (!has_room(n, len)) {
        sink_result result = make_room(n, len);
        if (result != SINK_ACCEPTED)
            return result;
    }
    n->account.accepted++;
    if (len > BUFFER) {
        n->big = record_ref(r);
        n->big_from = 0;
        ndjson_flush(s); /* an error shows at the next call: this one was accepted */
        return SINK_ACCEPTED;
    }
    memcpy(n->buffer + n->len, r->line.at, len);
    n->len += len;
    return SINK_ACCEPTED;
}

static void ndjson_close(sink *s)
{
    ndjson *n = (ndjson *)s;

    ndjson_flush(s);
    record_unref(n->big);
    outlet_close(&n->out);
    free(n);
}

static void ndjson_account(const sink *s, sink_account *out)
{
    *out = ((const ndjson *)s)->account;
    out->buffered = out->accepted - out->written - out->lost;
}

static int ndjson_fd(const sink *s)
{
    const ndjson *n = (const ndjson *)s;
    return n->out.way == OUTLET_PLAIN ? -1 : n->out.fd;
}

static bool ndjson_wants_write(const sink *s)
{
    const ndjson *n = (const ndjson *)s;
    return n->from < n->len || n->big;
}

const sink_ops sink_ndjson_ops = {
    .name = "ndjson",
    .help = "one JSON line for each record, to stdout or a file",
    .open = ndjson_open,
    .write = ndjson_write,
    .flush = ndjson_flush,
    .close = ndjson_close,
    .account = ndjson_account,
    .fd = ndjson_fd,
    .wants_write = ndjson_wants_write,
};
