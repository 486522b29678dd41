/* Flags and levels in text: see text.h. Nothing is allocated once the buffer has grown. */
#include "book/text.h"

static const struct {
    const char *name;
    unsigned bit;
} names[] = {{"snapshot", BOOK_SNAPSHOT}, {"last", BOOK_LAST}, {"maybe_bad", BOOK_MAYBE_BAD}};
#define NAMES (sizeof names / sizeof *names)

unsigned book_flags(const guard_marks *m)
{
    json key, flag;
    unsigned found = 0;
    if (m->flags.type != JSON_ARRAY)
        return 0;
    for (json_iter it = json_each(m->flags); json_next(&it, &key, &flag);)
        for (size_t i = 0; i < NAMES; i++)
            found |= json_is(flag, names[i].name) ? names[i].bit : 0;
    return found;
}

bool book_is_snapshot(const guard_marks *m)
{
    return m->flags.type == JSON_ARRAY ? book_flags(m) & BOOK_SNAPSHOT : json_is(m->type, "snapshot");
}

void book_put_flags(buf *out, unsigned flags, bool first)
{
    for (size_t i = 0; i < NAMES; i++)
        if (flags & names[i].bit) {
            buf_add_fmt(out, "%s\"%s\"", first ? "" : ",", names[i].name);
            first = false;
        }
}

static void put_side(buf *out, const book *b, book_side side)
{
    book_cursor at = {0};
    bool first = true;
    for (const book_level *l; (l = book_next(b, side, &at)); first = false) {
        buf_add_text(out, first ? "[\"" : ",[\"");
        buf_add_bytes(out, book_price(l));
        buf_add_text(out, "\",\"");
        buf_add_bytes(out, book_size(l));
        buf_add_text(out, "\"]");
    }
}

static bool is_of_a_change(json key)
{
    static const char *const members[] = {"bids", "asks", "flags", "type", "first_sequence", "previous_sequence"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_is(key, members[i]))
            return true;
    return false;
}

void book_put_whole(buf *out, const book *b, json change, const guard_marks *marks)
{
    json key, value;
    buf_add_char(out, '{');
    for (json_iter it = json_each(change); json_next(&it, &key, &value);)
        if (!is_of_a_change(key)) {
            buf_add_bytes(out, key.raw);
            buf_add_char(out, ':');
            buf_add_bytes(out, value.raw);
            buf_add_char(out, ',');
        }
    buf_add_text(out, "\"bids\":[");
    put_side(out, b, BOOK_BIDS);
    buf_add_text(out, "],\"asks\":[");
    put_side(out, b, BOOK_ASKS);
    buf_add_text(out, "],\"flags\":[");
    book_put_flags(out, BOOK_SNAPSHOT | (book_flags(marks) & BOOK_LAST), true);
    buf_add_text(out, "]}");
}
