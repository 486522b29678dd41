/* Records as rows of CSV (RFC 4180, lines end in \n): csv:FILE[?rotate=100M|1h], csv:+FILE appends.
 *
 * FILE with {type} in it: a file for each type of record, with that type's columns. Else one file with the columns of all
 * types. They are the envelope's, those of the type's normal form (docs/records.md), those of gaps and states, and last
 * `other`, a JSON object of the members that have no column: nothing is left out. Decimals are the venue's digits. Lists
 * (the levels of a book) are JSON. Control characters in texts are escaped as in JSON, so a row is a line, and a text that a
 * spreadsheet would take for a formula gets a ' in front.
 *
 * Rows gather in one buffer for each file and go out when that is full or the queue is empty. What can go wrong: as for
 * ndjson (slow, gone, full); a row for which there is no memory is lost and counted. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "sink/sink_impl.h"
#include "sink/spec.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 64
#define COLUMNS_MAX 96
#define ROWS (64u << 10)
#define FILE_NAME 1024

static const char *const envelope[] = {"seq", "kind", "type", "source", "identifier", "parameters", "connection", "ts_event", "ts_recv", "ts_out", "backfill", NULL};
static const char *const common[] = {"symbol", "timestamp", "sequence", NULL};
static const char *const behind[] = {"gap_cause", "gap_from", "gap_to", "gap_count", "gap_from_seq", "gap_to_seq", "state", "why", "other", NULL};
static const struct form {
    const char *type;
    const char *columns[18];
} forms[] = {
    {"trades", {"price", "size", "side", "id"}},
    {"bbo", {"bid", "bid_size", "ask", "ask_size"}},
    {"orderbook", {"bids", "asks", "flags", "first_sequence", "previous_sequence", "checksum"}},
    {"ticker", {"last", "close", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "amount", "count", "contracts", "mark_price", "index_price"}},
    {"ohlcv", {"open", "high", "low", "close", "volume", "interval", "amount", "count", "closed"}},
    {"funding", {"rate", "predicted_rate", "ts_funding", "interval_hours", "mark_price", "index_price"}},
    {"open_interest", {"open_interest", "value"}},
    {"liquidation", {"price", "size", "side", "id"}},
    {"event", {"title", "startDate", "endDate", "notes", "timezone", "tags"}},
};

typedef struct csv_file {
    char type[64]; /* as in its name; "" for all */
    char path[FILE_NAME];
    outlet out;
    const char *columns[COLUMNS_MAX]; /* of the data */
    size_t column_count;
    buf rows;
    size_t sent;      /* of the rows */
    uint64_t headers; /* lines in the rows that are no records */
    bool regular;
    uint64_t size, period; /* octets in it; when it was begun, in units of the rotation */
} csv_file;

typedef struct csv {
    sink base;
    spec spec;
    bool append, by_type;
    uint64_t rotate_octets, rotate_ns;
    csv_file *files[FILES_MAX];
    size_t file_count;
    buf text, other;
    sink_account account;
} csv;

/* ---- Cells ---- */

static bool plain_number(bytes t)
{
    size_t i = t.len && t.at[0] == '-';

    for (; i < t.len; i++)
        if (!isdigit((unsigned char)t.at[i]) && !strchr(".eE+-", t.at[i]))
            return false;
    return t.len > 1 && isdigit((unsigned char)t.at[t.at[0] == '-']);
}

static void put_escaped(buf *out, bytes t)
{
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        if (c == '"')
            buf_add_text(out, "\"\"");
        else if (c == '\n')
            buf_add_text(out, "\\n");
        else if (c < 0x20 || c == 0x7F)
            buf_add_fmt(out, "\\u%04x", c);
        else
            buf_add_char(out, (char)c);
    }
}

/* A text of a guest. */
static void put_text(buf *out, bytes t)
{
    bool formula = t.len && strchr("=+-@", t.at[0]) && !plain_number(t);
    bool quote = formula || (t.len && (t.at[0] == ' ' || t.at[t.len - 1] == ' ')), escape = false;

    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        quote |= (c == ',') | (c == '"');
        escape |= (c < 0x20) | (c == 0x7F) | (c == '"');
    }
    if (quote)
        buf_add_char(out, '"');
    if (formula)
        buf_add_char(out, '\'');
    if (escape)
        put_escaped(out, t);
    else
        buf_add_bytes(out, t);
    if (quote)
        buf_add_char(out, '"');
}

static void put_value(csv *c, buf *out, json value)
{
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return;
    bytes as_is = value.raw;
    if (value.type != JSON_STRING || json_string_slice(value, &as_is)) {
        put_text(out, as_is);
        return;
    }
    buf_clear(&c->text);
    json_string_add(value, &c->text);
    put_text(out, buf_bytes(&c->text));
    out->failed |= c->text.failed;
}

static void put_ns(buf *out, uint64_t ns)
{
    buf_add_char(out, ',');
    if (ns)
        buf_add_u64(out, ns);
}

/* ---- Rows ---- */

static void put_envelope(buf *out, const record *r)
{
    static const char *const kinds[] = {[RECORD_DATA] = "data", [RECORD_GAP] = "gap", [RECORD_STATUS] = "status"};
    bool data = r->kind == RECORD_DATA;
    uint64_t connection;

    if (r->seq)
        buf_add_u64(out, r->seq);
    buf_add_fmt(out, ",%s,", kinds[r->kind]);
    put_text(out, record_stream_type(r->stream));
    buf_add_char(out, ',');
    put_text(out, record_stream_source(r->stream));
    buf_add_char(out, ',');
    put_text(out, record_stream_identifier(r->stream));
    buf_add_char(out, ',');
    if (record_stream_parameters(r->stream).len > 2) /* {} */
        put_text(out, record_stream_parameters(r->stream));
    buf_add_char(out, ',');
    if (record_stream_connection(r->stream, &connection))
        buf_add_u64(out, connection);
    put_ns(out, data ? r->ts_event : 0);
    put_ns(out, data ? r->ts_recv : 0);
    put_ns(out, r->ts_out);
    buf_add_text(out, r->backfill ? ",true" : ",");
}

static size_t column_of(const csv_file *f, bytes name)
{
    size_t i = 0;
    while (i < f->column_count && !bytes_is(name, f->columns[i]))
        i++;
    return i;
}

/* Members with a column, and the others as one JSON object. */
static void put_data(csv *c, csv_file *f, buf *out, const record *r)
{
    json values[COLUMNS_MAX] = {0}, key, value;
    bool object = r->kind == RECORD_DATA && r->data.at[0] == '{';
    json_iter it = json_each(object ? (json){JSON_OBJECT, r->data} : (json){JSON_OBJECT, BYTES("{}")});
    bytes name;

    buf_clear(&c->other);
    if (r->kind == RECORD_DATA && !object)
        buf_add_bytes(&c->other, r->data);
    while (json_next(&it, &key, &value)) {
        size_t column = json_string_slice(key, &name) ? column_of(f, name) : f->column_count;
        if (column < f->column_count) {
            values[column] = value;
        } else if (!json_is(key, "ts_event") || !r->ts_event) { /* that one is the envelope's */
            buf_add_char(&c->other, c->other.len ? ',' : '{');
            buf_add_bytes(&c->other, key.raw);
            buf_add_char(&c->other, ':');
            buf_add_bytes(&c->other, value.raw);
        }
    }
    if (c->other.len && object)
        buf_add_char(&c->other, '}');
    for (size_t i = 0; i < f->column_count; i++) {
        buf_add_char(out, ',');
        put_value(c, out, values[i]);
    }
    out->failed |= c->other.failed;
}

/* What gaps and states say stands in the line. */
static void put_behind(csv *c, buf *out, const record *r)
{
    json v[8];
    const json_field fields[] = {{"cause", &v[0]}, {"from", &v[1]}, {"to", &v[2]}, {"count", &v[3]}, {"from_seq", &v[4]}, {"to_seq", &v[5]}, {"state", &v[6]}, {"why", &v[7]}};

    if (r->kind == RECORD_DATA || json_read_fields(r->line, fields, 8, NULL)) {
        buf_add_text(out, ",,,,,,,,");
    } else {
        for (size_t i = 0; i < 8; i++) {
            buf_add_char(out, ',');
            put_value(c, out, v[i]);
        }
    }
    buf_add_char(out, ',');
    if (c->other.len)
        put_text(out, buf_bytes(&c->other));
    buf_add_char(out, '\n');
}

static void put_names(buf *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count && names[i]; i++) {
        if (out->len)
            buf_add_char(out, ',');
        buf_add_text(out, names[i]);
    }
}

static void put_header(const csv_file *f, buf *out)
{
    put_names(out, envelope, SIZE_MAX);
    put_names(out, f->columns, f->column_count);
    put_names(out, behind, SIZE_MAX);
    buf_add_char(out, '\n');
}

static void add_columns(csv_file *f, const char *const *names, size_t max)
{
    for (size_t i = 0; i < max && names[i]; i++)
        if (f->column_count < COLUMNS_MAX && column_of(f, bytes_of(names[i])) == f->column_count)
            f->columns[f->column_count++] = names[i];
}

static void choose_columns(csv_file *f, bool all)
{
    add_columns(f, common, SIZE_MAX);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (all || strcmp(forms[i].type, f->type) == 0)
            add_columns(f, forms[i].columns, sizeof forms[i].columns / sizeof *forms[i].columns);
}

/* ---- Files ---- */

static uint64_t period_of(const csv *c, uint64_t real_ns)
{
    return c->rotate_ns ? real_ns / c->rotate_ns : 0;
}

/* A file that is appended to must have our columns. */
static weir_code check_header(csv_file *f, bytes want, weir_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *in = fopen(f->path, "re");
    ssize_t n = in ? getline(&line, &cap, in) : -1;
    bool same = n >= 0 && bytes_equal(bytes_make(line, (size_t)n), want);

    free(line);
    if (in)
        fclose(in);
    return same ? WEIR_OK : error_set(err, WEIR_INVALID, "'%s': its first row is not that of our columns, so nothing is appended to it", f->path);
}

/* Opens (again, behind a rotation), and puts the header where it is needed. */
static weir_code file_open(csv *c, csv_file *f, const sink_options *options, bool append, weir_error *err)
{
    sink_options own = *options;
    struct stat info;
    buf header;
    weir_code code;

    if (*f->path)
        own.path = f->path;
    own.append = append;
    code = outlet_open(&f->out, &own, err);
    if (code)
        return code;
    f->regular = fstat(f->out.fd, &info) == 0 && S_ISREG(info.st_mode);
    f->size = f->regular ? (uint64_t)info.st_size : 0;
    f->period = period_of(c, f->size ? (uint64_t)info.st_mtime * NS_PER_S : clock_real());
    buf_init(&header, 1 << 16);
    put_header(f, &header);
    if (header.failed)
        code = error_set(err, WEIR_NOMEM, "out of memory");
    else if (f->size && append)
        code = check_header(f, buf_bytes(&header), err);
    if (!code && !(f->size && append)) {
        buf_add_bytes(&f->rows, buf_bytes(&header));
        f->headers++;
    }
    buf_fini(&header);
    if (!code && !f->regular && (c->rotate_ns || c->rotate_octets))
        code = error_set(err, WEIR_INVALID, "'%s': rotate needs a file", f->out.name);
    if (code)
        outlet_close(&f->out);
    return code;
}

static void file_free(csv_file *f)
{
    if (!f)
        return;
    outlet_close(&f->out);
    buf_fini(&f->rows);
    free(f);
}

/* {type} in the path stands for the type, with what no file name should have as %XX. */
static bool name_file(const csv *c, csv_file *f)
{
    const char *at = strstr(c->spec.path, "{type}");
    int len = at ? snprintf(f->path, sizeof f->path, "%.*s%s%s", (int)(at - c->spec.path), c->spec.path, f->type, at + 6)
                 : snprintf(f->path, sizeof f->path, "%s", c->spec.path);
    return len >= 0 && (size_t)len < sizeof f->path;
}

static void name_type(char out[64], bytes type)
{
    size_t len = 0;

    for (size_t i = 0; i < type.len && len + 4 < 64; i++) {
        unsigned char b = (unsigned char)type.at[i];
        if (isalnum(b) || b == '_' || b == '-')
            out[len++] = (char)b;
        else
            len += (size_t)snprintf(out + len, 4, "%%%02X", b);
    }
    out[len] = '\0';
}

static weir_code add_file(csv *c, const char *type, const sink_options *options, weir_error *err)
{
    csv_file *f = calloc(1, sizeof *f);

    if (!f || c->file_count == FILES_MAX) {
        free(f);
        return f ? error_set(err, WEIR_LIMIT, "more than %d types of records", FILES_MAX) : error_set(err, WEIR_NOMEM, "out of memory");
    }
    f->out.fd = -1;
    buf_init(&f->rows, 1u << 30);
    snprintf(f->type, sizeof f->type, "%s", type);
    choose_columns(f, !c->by_type);
    weir_code code = WEIR_OK;
    if (!name_file(c, f))
        code = error_set(err, WEIR_INVALID, "the file's name is too long");
    else if (!buf_reserve(&f->rows, 2 * ROWS))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    else
        code = file_open(c, f, options, c->append, err);
    if (code) {
        file_free(f);
        return code;
    }
    c->files[c->file_count++] = f;
    return WEIR_OK;
}

/* ---- Out ---- */

static sink_result file_push(csv *c, csv_file *f)
{
    while (f->sent < f->rows.len) {
        ssize_t n = outlet_write(&f->out, bytes_make(f->rows.at + f->sent, f->rows.len - f->sent), &c->base.why);
        if (n <= 0)
            return n < 0 ? SINK_ERROR : SINK_WOULD_BLOCK;
        for (const char *at = f->rows.at + f->sent, *end = at + n; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
            if (f->headers)
                f->headers--;
            else
                c->account.written++;
            if (at + 1 == end)
                break;
        }
        f->sent += (size_t)n;
        f->size += (uint64_t)n;
        c->account.octets += (uint64_t)n;
    }
    f->sent = 0;
    buf_clear(&f->rows);
    return SINK_ACCEPTED;
}

static sink_result csv_flush(sink *s)
{
    csv *c = (csv *)s;
    sink_result result = SINK_ACCEPTED;

    for (size_t i = 0; i < c->file_count && !s->why.code; i++) {
        sink_result one = file_push(c, c->files[i]);
        result = one == SINK_ACCEPTED ? result : one;
    }
    if (!s->why.code)
        return result;
    c->account.lost = c->account.accepted - c->account.written;
    for (size_t i = 0; i < c->file_count; i++) {
        buf_clear(&c->files[i]->rows);
        c->files[i]->sent = 0;
    }
    return SINK_ERROR;
}

/* The file gets the time of its beginning (by time) or end (by size) into its name, and a new one takes its place. */
static weir_code rotate(csv *c, csv_file *f, weir_error *err)
{
    char when[CLOCK_RFC3339_SIZE], stamp[32], moved[FILE_NAME + 64];
    const char *slash = strrchr(f->path, '/'), *dot = strrchr(slash ? slash : f->path, '.');
    size_t len = 0, base = dot && dot != f->path ? (size_t)(dot - f->path) : strlen(f->path);
    sink_options options = SINK_OPTIONS_INIT;

    clock_rfc3339(when, c->rotate_ns ? f->period * c->rotate_ns : clock_real(), 0);
    for (const char *at = when; *at && len + 1 < sizeof stamp; at++)
        if (*at != '-' && *at != ':')
            stamp[len++] = *at;
    stamp[len] = '\0';
    for (int i = 1; i < 10000; i++) {
        char more[16] = "";
        if (i > 1)
            snprintf(more, sizeof more, "-%d", i);
        snprintf(moved, sizeof moved, "%.*s-%s%s%s", (int)base, f->path, stamp, more, f->path + base);
        if (link(f->path, moved) == 0) {
            unlink(f->path);
            outlet_close(&f->out);
            return file_open(c, f, &options, false, err);
        }
        if (errno != EEXIST)
            break;
    }
    return error_set(err, WEIR_SYSTEM, "'%s': cannot be rotated to '%s': %s", f->path, moved, strerror(errno));
}

static bool is_due(const csv *c, const csv_file *f, const record *r)
{
    uint64_t full = f->size + f->rows.len - f->sent;
    if (c->rotate_ns)
        return period_of(c, r->ts_out) > f->period;
    return c->rotate_octets && full >= c->rotate_octets && full > 0;
}

static csv_file *file_of(csv *c, const record *r, weir_error *err)
{
    char type[64] = "";
    sink_options options = SINK_OPTIONS_INIT;

    if (!c->by_type)
        return c->files[0];
    name_type(type, record_stream_type(r->stream));
    for (size_t i = 0; i < c->file_count; i++)
        if (strcmp(c->files[i]->type, type) == 0)
            return c->files[i];
    return add_file(c, type, &options, err) ? NULL : c->files[c->file_count - 1];
}

static sink_result csv_write(sink *s, record *r)
{
    csv *c = (csv *)s;
    weir_error err = WEIR_ERROR_INIT;
    csv_file *f = s->why.code ? NULL : file_of(c, r, &err);

    if (!s->why.code && f && f->rows.len - f->sent >= ROWS && csv_flush(s) == SINK_WOULD_BLOCK && f->rows.len - f->sent >= ROWS)
        return SINK_WOULD_BLOCK;
    if (!s->why.code && f && is_due(c, f, r) && csv_flush(s) == SINK_ACCEPTED)
        rotate(c, f, &err);
    if (err.code && !s->why.code) {
        s->why = err;
        csv_flush(s);
    }
    if (s->why.code)
        return SINK_ERROR;
    size_t before = f->rows.len;
    c->account.accepted++;
    put_envelope(&f->rows, r);
    put_data(c, f, &f->rows, r);
    put_behind(c, &f->rows, r);
    if (f->rows.failed) {
        f->rows.failed = false;
        f->rows.len = before;
        c->account.lost++;
        log_warn("sink", "'%s': out of memory: a row is lost", f->out.name);
    }
    return SINK_ACCEPTED;
}

/* ---- Open and close ---- */

static weir_code read_rotate(csv *c, weir_error *err)
{
    const char *text = spec_option(&c->spec, "rotate");
    char *end = NULL;
    uint64_t n = text && isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;

    if (!text)
        return WEIR_OK;
    if (!*c->spec.path || strcmp(c->spec.path, "-") == 0)
        return error_set(err, WEIR_INVALID, "'%s': rotate needs a file", c->spec.shown);
    if (n && n <= 366 * 24 && (*end == 'h' || *end == 'd') && !end[1]) {
        c->rotate_ns = n * (*end == 'h' ? 3600 : 86400) * NS_PER_S;
        return WEIR_OK;
    }
    return !n || strchr("hd", *end ? *end : 'x') || spec_number(&c->spec, "rotate", 1 << 10, UINT64_C(1) << 40, &c->rotate_octets, err)
               ? error_set(err, WEIR_INVALID, "'%s': rotate is '%.40s'; expected a size (100M) or a time (1h, 1d)", c->spec.shown, text)
               : WEIR_OK;
}

/* Files for types come later; that they cannot be is said now. */
static weir_code check_folder(const csv *c, weir_error *err)
{
    char folder[FILE_NAME];
    const char *type = strstr(c->spec.path, "{type}");

    snprintf(folder, sizeof folder, "%.*s", (int)(type - c->spec.path), c->spec.path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    else
        snprintf(folder, sizeof folder, ".");
    if (access(folder, W_OK | X_OK) == 0)
        return WEIR_OK;
    return error_set(err, WEIR_SYSTEM, "'%s': no file can be made in '%s': %s", c->spec.shown, folder, strerror(errno));
}

static weir_code read_spec(csv *c, const sink_options *options, weir_error *err)
{
    static const char *const names[] = {"rotate", NULL};
    static const spec_rules rules = {.scheme = "csv", .options = names};
    weir_code code = spec_read_path(&c->spec, &rules, options->path ? options->path : "", err);

    if (!code)
        code = read_rotate(c, err);
    c->append = options->append;
    c->by_type = strstr(c->spec.path, "{type}") != NULL;
    if (!code && strlen(c->spec.path) + 64 >= FILE_NAME)
        return error_set(err, WEIR_INVALID, "'%s': the file's name is too long", c->spec.shown);
    return code || !c->by_type ? code : check_folder(c, err);
}

static void csv_free(csv *c)
{
    for (size_t i = 0; i < c->file_count; i++)
        file_free(c->files[i]);
    buf_fini(&c->text);
    buf_fini(&c->other);
    free(c);
}

static weir_code csv_open(sink **out, const sink_options *options, weir_error *err)
{
    sink_options own = *options;
    csv *c = calloc(1, sizeof *c);
    weir_code code;

    if (!c)
        return error_set(err, WEIR_NOMEM, "out of memory");
    c->base.ops = &sink_csv_ops;
    buf_init(&c->text, 1u << 30);
    buf_init(&c->other, 1u << 30);
    code = read_spec(c, options, err);
    if (!code && (!buf_reserve(&c->text, 4096) || !buf_reserve(&c->other, 4096)))
        code = error_set(err, WEIR_NOMEM, "out of memory");
    if (options->path)
        own.path = strcmp(options->path, "-") == 0 ? "-" : c->spec.path;
    if (!code && !c->by_type)
        code = add_file(c, "", &own, err);
    if (code) {
        csv_free(c);
        return code;
    }
    *out = &c->base;
    return WEIR_OK;
}

static void csv_close(sink *s)
{
    csv_flush(s);
    csv_free((csv *)s);
}

static void csv_account(const sink *s, sink_account *out)
{
    *out = ((const csv *)s)->account;
    out->buffered = out->accepted - out->written - out->lost;
}

static int csv_fd(const sink *s)
{
    const csv *c = (const csv *)s;
    return c->by_type || c->files[0]->out.way == OUTLET_PLAIN ? -1 : c->files[0]->out.fd;
}

static bool csv_wants_write(const sink *s)
{
    const csv *c = (const csv *)s;
    for (size_t i = 0; i < c->file_count; i++)
        if (c->files[i]->sent < c->files[i]->rows.len)
            return true;
    return false;
}

const sink_ops sink_csv_ops = {
    .name = "csv",
    .help = "rows with a header, to stdout or a file; {type} in its name: a file for each type",
    .open = csv_open,
    .write = csv_write,
    .flush = csv_flush,
    .close = csv_close,
    .account = csv_account,
    .fd = csv_fd,
    .wants_write = csv_wants_write,
};
