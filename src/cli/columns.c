/* Things of a daemon as aligned columns. */
#include "cli/columns.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/chart.h"
#include "sink/text.h"

#define COLUMNS_MAX 16
#define LEAST 8 /* what the last column gets, however narrow the terminal */

json column_member(json row, const char *path)
{
    char name[64];
    while (*path) {
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        row = json_member(row, name);
        path += len + (path[len] == '.');
    }
    return row;
}

void columns_put_age(buf *out, uint64_t then_ns, uint64_t now_ns)
{
    uint64_t s = now_ns > then_ns ? (now_ns - then_ns) / NS_PER_S : 0;
    if (!then_ns)
        buf_add_char(out, '-');
    else if (s < 120)
        buf_add_fmt(out, "%llus", (unsigned long long)s);
    else if (s < 120 * 60)
        buf_add_fmt(out, "%llum", (unsigned long long)(s / 60));
    else if (s < UINT64_C(48) * 3600)
        buf_add_fmt(out, "%lluh", (unsigned long long)(s / 3600));
    else
        buf_add_fmt(out, "%llud", (unsigned long long)(s / 86400));
}

void columns_put_octets(buf *out, uint64_t octets)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double size = (double)octets / 1024;
    int i = 0;
    if (octets < 1024) {
        buf_add_fmt(out, "%llu", (unsigned long long)octets);
        return;
    }
    for (; size >= 1024 && i < 3; i++)
        size /= 1024;
    buf_add_fmt(out, size < 100 ? "%.1f %s" : "%.0f %s", size, units[i]);
}

static void put_count(buf *out, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buf_add_char(out, ',');
        buf_add_char(out, digits[i]);
    }
}

static void put_plain(buf *out, json value)
{
    buf raw;
    buf_init(&raw, 1 << 22);
    if (value.type == JSON_STRING)
        json_string_add(value, &raw);
    else if (value.type == JSON_TRUE || value.type == JSON_FALSE)
        buf_add_text(&raw, value.type == JSON_TRUE ? "yes" : "no");
    else if (value.type != JSON_NONE && value.type != JSON_NULL)
        json_put_compact(&raw, value);
    log_escape(out, buf_bytes(&raw));
    buf_fini(&raw);
}

static void put_text(buf *out, json value)
{
    json key, item;
    const char *comma = "";
    if (value.type != JSON_ARRAY) {
        put_plain(out, value);
        return;
    }
    for (json_iter it = json_each(value); json_next(&it, &key, &item); comma = ", ") {
        buf_add_text(out, comma);
        put_plain(out, item);
    }
}

void column_text(buf *out, json row, const column *c, uint64_t now_ns)
{
    char when[CLOCK_RFC3339_SIZE];
    json value = column_member(row, c->path);
    uint64_t n;
    bool number = json_u64(value, &n) || json_text_u64(value, &n);
    if (c->kind == COLUMN_TEXT || !number) {
        put_text(out, value);
    } else if (c->kind == COLUMN_COUNT) {
        put_count(out, n);
    } else if (c->kind == COLUMN_OCTETS) {
        columns_put_octets(out, n);
    } else if (c->kind == COLUMN_AGE) {
        columns_put_age(out, n, now_ns);
    } else if (n) {
        clock_rfc3339(when, n, 0);
        buf_add_text(out, when);
    }
}

/* ---- Many ---- */

typedef struct layout {
    const column *columns;
    size_t count, widths[COLUMNS_MAX];
    size_t line; /* columns of the terminal; 0: it is none */
    uint64_t now;
    buf line_text, cell;
} layout;

static void measure(layout *l, json list)
{
    json key, row;
    for (size_t i = 0; i < l->count; i++)
        l->widths[i] = text_width(bytes_of(l->columns[i].title));
    for (json_iter it = json_each(list); json_next(&it, &key, &row);)
        for (size_t i = 0; i < l->count; i++) {
            buf_clear(&l->cell);
            column_text(&l->cell, row, &l->columns[i], l->now);
            size_t width = text_width(buf_bytes(&l->cell)), most = l->columns[i].most;
            width = most && width > most ? most : width;
            l->widths[i] = width > l->widths[i] ? width : l->widths[i];
        }
    size_t before = 0;
    for (size_t i = 0; i + 1 < l->count; i++)
        before += l->widths[i] + 2;
    size_t *last = &l->widths[l->count - 1];
    if (l->line && before + *last > l->line)
        *last = before + LEAST < l->line ? l->line - before : LEAST;
}

static bool to_the_right(column_kind kind)
{
    return kind == COLUMN_COUNT || kind == COLUMN_OCTETS || kind == COLUMN_AGE;
}

static void put_cell(layout *l, size_t i, bytes text)
{
    size_t width = text_width(text), room = l->widths[i];
    bool right = to_the_right(l->columns[i].kind);
    width = width > room ? room : width;
    if (i)
        text_pad(&l->line_text, 2);
    if (right)
        text_pad(&l->line_text, room - width);
    text_put(&l->line_text, text, room);
    if (!right && i + 1 < l->count)
        text_pad(&l->line_text, room - width);
}

static void end_line(layout *l, FILE *out)
{
    while (l->line_text.len && l->line_text.at[l->line_text.len - 1] == ' ')
        l->line_text.len--;
    fwrite(l->line_text.at ? l->line_text.at : "", 1, l->line_text.len, out);
    fputc('\n', out);
    buf_clear(&l->line_text);
}

static void layout_init(layout *l, const column *columns)
{
    *l = (layout){.columns = columns, .now = clock_real()};
    l->line = isatty(STDOUT_FILENO) ? (size_t)chart_size_now().columns : 0;
    while (l->count < COLUMNS_MAX && columns[l->count].title)
        l->count++;
    buf_init(&l->line_text, 1 << 22);
    buf_init(&l->cell, 1 << 22);
}

static void layout_fini(layout *l)
{
    buf_fini(&l->line_text);
    buf_fini(&l->cell);
}

void columns_print(FILE *out, json list, const column *columns)
{
    layout l;
    json key, row;
    layout_init(&l, columns);
    measure(&l, list);
    for (size_t i = 0; i < l.count; i++)
        put_cell(&l, i, bytes_of(columns[i].title));
    end_line(&l, out);
    for (json_iter it = json_each(list); json_next(&it, &key, &row);) {
        for (size_t i = 0; i < l.count; i++) {
            buf_clear(&l.cell);
            column_text(&l.cell, row, &columns[i], l.now);
            put_cell(&l, i, buf_bytes(&l.cell));
        }
        end_line(&l, out);
    }
    layout_fini(&l);
}

/* ---- One ---- */

void columns_print_one(FILE *out, json thing, const column *columns)
{
    layout l;
    size_t widest = 0;
    layout_init(&l, columns);
    for (size_t i = 0; i < l.count; i++)
        widest = text_width(bytes_of(columns[i].title)) > widest ? text_width(bytes_of(columns[i].title)) : widest;
    for (size_t i = 0; i < l.count; i++) {
        buf_clear(&l.cell);
        column_text(&l.cell, thing, &columns[i], l.now);
        if (!l.cell.len)
            continue;
        text_put(&l.line_text, bytes_of(columns[i].title), widest);
        text_pad(&l.line_text, widest - text_width(bytes_of(columns[i].title)) + 2);
        text_put(&l.line_text, buf_bytes(&l.cell), SIZE_MAX);
        end_line(&l, out);
    }
    layout_fini(&l);
}
