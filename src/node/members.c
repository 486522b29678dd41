/* What the files of node/ write and read again and again: members of JSON objects, copies of texts. */
#include <stdlib.h>

#include "node/inside.h"

bool text_replace(char **at, const char *with)
{
    char *copy = with ? strdup(with) : NULL;
    if (with && !copy)
        return false;
    free(*at);
    *at = copy;
    return true;
}

bool is_number(const char *text)
{
    size_t n = 0;
    while (text[n] >= '0' && text[n] <= '9')
        n++;
    return n && n < 20 && !text[n];
}

weir_code row_text(char **out, json row, const char *member, weir_error *err)
{
    json v = json_member(row, member);
    if (v.type != JSON_STRING)
        return error_set(err, WEIR_INVALID, "a row of the store has no \"%s\"", member);
    return (*out = json_string_dup(v)) ? WEIR_OK : error_set(err, WEIR_NOMEM, "out of memory");
}

char *json_text(json object, const char *member)
{
    return json_string_dup(json_member(object, member));
}

void member_time(buf *out, const char *member, uint64_t ns)
{
    json_put_key(out, member);
    if (ns)
        buf_add_fmt(out, "\"%llu\"", (unsigned long long)ns);
    else
        buf_add_text(out, "null");
}

void member_u64(buf *out, const char *member, uint64_t value)
{
    json_put_key(out, member);
    buf_add_u64(out, value);
}

void member_bool(buf *out, const char *member, bool value)
{
    json_put_key(out, member);
    buf_add_text(out, value ? "true" : "false");
}

void member_raw(buf *out, const char *member, const char *json)
{
    json_put_key(out, member);
    buf_add_text(out, json ? json : "null");
}

void member_text(buf *out, const char *member, const char *text)
{
    json_put_member(out, member, bytes_of(text ? text : ""));
}

size_t list_count(const list *l)
{
    size_t count = 0;
    for (const list_node *at = l->head.next; at != &l->head; at = at->next)
        count++;
    return count;
}
