#include "plugin/limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RATE_MAX 1e9

static bool refuse(limits *l, size_t place, const char *what, json value)
{
    bytes is = value.type == JSON_NONE ? BYTES("missing") : value.raw;
    if (l->refused++ == 0)
        snprintf(l->why, sizeof l->why, "limit %zu: \"%s\" is %.*s", place + 1, what, (int)(is.len < 60 ? is.len : 60), is.at);
    return false;
}

/* Decoded it is no longer than it was, and there is room for that: nothing moves. */
static bytes keep(buf *text, json string)
{
    size_t start = text->len;
    if (!json_string_add(string, text))
        return (bytes){0};
    return bytes_make(text->at + start, text->len - start);
}

static bool add_scope(limits *l, limit *out, json scope)
{
    bytes word = keep(&l->text, scope);
    if (!word.len || out->scope_count == LIMIT_SCOPES)
        return false;
    for (size_t i = 0; i < out->scope_count; i++)
        if (bytes_equal(out->scopes[i], word))
            return true;
    out->scopes[out->scope_count++] = word;
    return true;
}

static bool read_scopes(limits *l, limit *out, json scope, size_t place)
{
    json key, item;
    bool good = scope.type == JSON_NONE || scope.type == JSON_NULL || scope.type == JSON_ARRAY || scope.type == JSON_STRING;
    if (scope.type == JSON_STRING && scope.raw.len > 2)
        good = add_scope(l, out, scope);
    for (json_iter it = json_each(scope); good && scope.type == JSON_ARRAY && json_next(&it, &key, &item);)
        good = add_scope(l, out, item);
    if (good && out->scope_count == 0)
        out->scopes[out->scope_count++] = BYTES("ip");
    return good || refuse(l, place, "scope", scope);
}

/* A number from 0 on; `missing` stands for none. */
static bool read_amount(limits *l, double *out, json row, const char *name, double missing, size_t place)
{
    json value = json_member(row, name);
    *out = missing;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return true;
    if (json_f64(value, out) && *out >= 0 && *out <= RATE_MAX)
        return true;
    return refuse(l, place, name, value);
}

static bool read_limit(limits *l, json row, size_t place)
{
    limit one = {0};
    json command = json_member(row, "command");
    if (row.type != JSON_OBJECT)
        return refuse(l, place, "limit", row);
    if (!read_amount(l, &one.rps, row, "rps", -1, place) || !read_amount(l, &one.burst, row, "burst", 1, place) ||
        !read_amount(l, &one.cost, row, "cost", 1, place) || !read_scopes(l, &one, json_member(row, "scope"), place))
        return false;
    if (one.rps < 0)
        return refuse(l, place, "rps", json_member(row, "rps"));
    one.command = keep(&l->text, command);
    if (!one.command.len)
        return refuse(l, place, "command", command);
    if (one.rps == 0) /* as libraries write "none" */
        return false;
    if (one.cost == 0)
        one.cost = 1;
    if (one.burst < one.cost)
        one.burst = one.cost;
    l->list[l->count++] = one;
    return true;
}

weir_code limits_read(limits *out, bytes text, weir_error *err)
{
    json list, key, row;
    size_t rows = 0, place = 0;
    *out = (limits){0};
    if (json_read(&list, text, err))
        return error_wrap(err, "the plugin's rate limits");
    if (list.type == JSON_NULL)
        return WEIR_OK;
    if (list.type != JSON_ARRAY)
        return error_set(err, WEIR_INVALID, "the plugin's rate limits are no list: " BYTES_FMT, BYTES_ARG(list.raw));
    for (json_iter it = json_each(list); json_next(&it, &key, &row);)
        rows++;
    buf_init(&out->text, SIZE_MAX);
    out->list = calloc(rows ? rows : 1, sizeof *out->list);
    if (!out->list || !buf_reserve(&out->text, text.len)) {
        limits_fini(out);
        return error_set(err, WEIR_NOMEM, "the plugin's rate limits: out of memory");
    }
    for (json_iter it = json_each(list); json_next(&it, &key, &row); place++)
        read_limit(out, row, place);
    return WEIR_OK;
}

void limits_fini(limits *l)
{
    free(l->list);
    buf_fini(&l->text);
    *l = (limits){0};
}

const limit *limits_next(const limits *l, bytes command, size_t *at)
{
    bool own = false;
    for (size_t i = 0; i < l->count; i++)
        own |= bytes_equal(l->list[i].command, command);
    for (; *at < l->count; ++*at)
        if (own ? bytes_equal(l->list[*at].command, command) : bytes_is(l->list[*at].command, "*"))
            return &l->list[(*at)++];
    return NULL;
}

void limit_text(buf *out, const limit *l, bytes command)
{
    static const struct {
        const char *name;
        double seconds;
    } spans[] = {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}};
    double rate = l->rps / l->cost; /* calls */
    size_t i = 0;
    while (i < 3 && rate * spans[i].seconds < 0.999)
        i++;
    double calls = rate * spans[i].seconds;
    buf_add_bytes(out, command.len > 80 ? bytes_make(command.at, 80) : command);
    if (fabs(calls - round(calls)) < 0.01)
        buf_add_fmt(out, ": %.0f a %s", calls, spans[i].name);
    else
        buf_add_fmt(out, ": %.3g a %s", calls, spans[i].name);
}
