/* Order books' guards: see guard.h. The checksum is made anew only when one of the levels under it changed. */
#include "book/guard.h"

#include <zlib.h>

#define SHORT 24 /* octets of a price or a size that are copied all at once */
_Static_assert(2 * SHORT <= BOOK_LEVEL_TEXT, "a short price and what is read behind it lie within a level");

/* ---- The declaration ---- */

static weir_code add_kind(guard *g, json name, weir_error *err)
{
    if (json_is(name, "crc32"))
        g->kinds |= GUARD_CRC32;
    else if (json_is(name, "sequence"))
        g->kinds |= GUARD_SEQUENCE;
    else if (json_is(name, "previous_sequence"))
        g->kinds |= GUARD_PREVIOUS;
    else if (!json_is(name, "none"))
        return error_set(err, WEIR_INVALID, "\"guard\" is " BYTES_FMT "; it is \"crc32\", \"sequence\", \"previous_sequence\", \"none\" or a list of these", BYTES_ARG(name.raw));
    return WEIR_OK;
}

static weir_code read_flag(json object, const char *name, bool *out, weir_error *err)
{
    json value = json_member(object, name);
    if (value.type != JSON_NONE && !json_bool(value, out))
        return error_set(err, WEIR_INVALID, "\"%s\" of \"checksum\" is " BYTES_FMT "; it is true or false", name, BYTES_ARG(value.raw));
    return WEIR_OK;
}

static weir_code read_form(guard *g, json form, weir_error *err)
{
    uint64_t levels = 0;
    bytes text = {"", 0};
    json order = json_member(form, "order"), separator = json_member(form, "separator");
    if (!json_u64(json_member(form, "levels"), &levels) || levels < 1 || levels > GUARD_LEVELS)
        return error_set(err, WEIR_INVALID, "\"guard\" is \"crc32\", so \"checksum\" says how many \"levels\" of a side it covers, 1 to %d", GUARD_LEVELS);
    g->form.interleaved = json_is(order, "interleaved");
    if (!g->form.interleaved && !json_is(order, "asks_then_bids"))
        return error_set(err, WEIR_INVALID, "\"order\" of \"checksum\" is " BYTES_FMT "; it is \"interleaved\" or \"asks_then_bids\"", BYTES_ARG(order.type ? order.raw : BYTES("missing")));
    if (separator.type != JSON_NONE && (!json_string_slice(separator, &text) || text.len > sizeof g->form.separator))
        return error_set(err, WEIR_INVALID, "\"separator\" of \"checksum\" is " BYTES_FMT "; it is a text of at most %zu characters", BYTES_ARG(separator.raw), sizeof g->form.separator);
    if (read_flag(form, "strip", &g->form.strip, err) || read_flag(form, "signed", &g->form.is_signed, err))
        return err ? err->code : WEIR_INVALID;
    g->form.levels = (uint32_t)levels;
    memcpy(g->form.separator, text.at, text.len);
    g->form.separator_len = (uint8_t)text.len;
    size_t octets = 2 * levels * (BOOK_LEVEL_TEXT + 2 * text.len) + 2 * SHORT; /* what is copied beyond the end */
    buf_init(&g->text, octets);
    if (!buf_reserve(&g->text, octets))
        return error_set(err, WEIR_NOMEM, "a checksum of %zu octets: out of memory", octets);
    return WEIR_OK;
}

weir_code guard_read(guard *g, json declaration, weir_error *err)
{
    json key, item, kind = json_member(declaration, "guard"), depth = json_member(declaration, "depth");
    weir_code code = WEIR_OK;
    uint64_t levels = 0;
    *g = (guard){0};
    if (declaration.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "it is " BYTES_FMT "; it is an object", BYTES_ARG(declaration.raw));
    if (kind.type == JSON_ARRAY) {
        for (json_iter it = json_each(kind); !code && json_next(&it, &key, &item);)
            code = add_kind(g, item, err);
    } else if (kind.type != JSON_NONE) {
        code = add_kind(g, kind, err);
    }
    if (!code && depth.type != JSON_NONE && !json_u64(depth, &levels))
        code = error_set(err, WEIR_INVALID, "\"depth\" is " BYTES_FMT "; it is a number of levels, 0 for all", BYTES_ARG(depth.raw));
    g->depth = levels;
    if (!code && (g->kinds & GUARD_CRC32))
        code = read_form(g, json_member(declaration, "checksum"), err);
    if (code)
        guard_fini(g);
    return code;
}

void guard_fini(guard *g)
{
    buf_fini(&g->text);
    *g = (guard){0};
}

/* ---- Marks ---- */

static bool read_number(json value, int64_t *out)
{
    bytes text;
    if (json_string_slice(value, &text))
        value = (json){JSON_NUMBER, text};
    return json_i64(value, out);
}

static weir_code read_mark(json value, const char *name, bool *has, uint64_t *out, weir_error *err)
{
    int64_t number = 0;
    *has = false;
    if (value.type == JSON_NONE || value.type == JSON_NULL)
        return WEIR_OK;
    if (!read_number(value, &number))
        return error_set(err, WEIR_INVALID, "\"%s\" is " BYTES_FMT "; it is a whole number", name, BYTES_ARG(value.raw));
    *has = number >= 0; /* -1: there is none before */
    *out = (uint64_t)number;
    return WEIR_OK;
}

enum { FIELD_BIDS = 4,
       FIELD_ASKS };

/* (json_known) */
static const char *read_levels(void *arg, size_t field, const char *at, const char *end)
{
    levels *into = arg;
    if (field == FIELD_BIDS || field == FIELD_ASKS)
        return levels_read(&into[field - FIELD_BIDS], at, end);
    return NULL;
}

/* `data` was read before, or is a text to be validated in the same pass. */
static weir_code read_marks(guard_marks *m, levels *into, json data, bytes text, weir_error *err)
{
    json first, sequence, previous, checksum;
    const json_field want[] = {{"first_sequence", &first}, {"sequence", &sequence}, {"previous_sequence", &previous}, {"checksum", &checksum}, {"bids", &m->bids}, {"asks", &m->asks}, {"flags", &m->flags}, {"type", &m->type}};
    *m = (guard_marks){.levels = into};
    if (into)
        into[0].of = into[1].of = NULL;
    weir_code code = data.type ? json_fields(data, want, 8, err)
                     : into    ? json_read_fields_with(text, want, 8, read_levels, into, err)
                               : json_read_fields(text, want, 8, err);
    if (!code)
        code = read_mark(first, "first_sequence", &m->has_first, &m->first, err);
    if (!code)
        code = read_mark(sequence, "sequence", &m->has_sequence, &m->sequence, err);
    if (!code)
        code = read_mark(previous, "previous_sequence", &m->has_previous, &m->previous, err);
    if (code)
        return code;
    if (!m->has_first)
        m->first = m->sequence;
    m->has_checksum = checksum.type != JSON_NONE && checksum.type != JSON_NULL;
    if (m->has_checksum && !read_number(checksum, &m->checksum))
        return error_set(err, WEIR_INVALID, "\"checksum\" is " BYTES_FMT "; it is a whole number", BYTES_ARG(checksum.raw));
    return WEIR_OK;
}

weir_code guard_read_marks(guard_marks *out, json data, weir_error *err)
{
    if (data.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "an order book is " BYTES_FMT "; it is an object", BYTES_ARG(data.raw));
    return read_marks(out, NULL, data, data.raw, err);
}

weir_code guard_read_text(guard_marks *out, bytes text, weir_error *err)
{
    return read_marks(out, NULL, (json){0}, text, err);
}

weir_code guard_read_levels(guard_marks *out, levels *into, bytes text, weir_error *err)
{
    return read_marks(out, into, (json){0}, text, err);
}

weir_code guard_apply(const guard_marks *m, book *b, weir_error *err)
{
    const json lists[] = {m->bids, m->asks};
    weir_code code = WEIR_OK;
    for (int side = 0; !code && side < 2; side++) {
        const levels *l = m->levels ? &m->levels[side] : NULL;
        if (levels_are(l, lists[side]))
            code = book_apply_levels(b, (book_side)side, l, err);
        else
            code = book_apply(b, (book_side)side, lists[side], err);
    }
    book_truncate(b);
    return code;
}

/* ---- Checks ---- */

void guard_snapshot(guard *g, const guard_marks *m)
{
    g->has_last = m->has_sequence;
    g->last = m->sequence;
}

guard_finding guard_order(guard *g, const guard_marks *m, bool first)
{
    if ((g->kinds & GUARD_PREVIOUS) && m->has_previous && g->has_last) {
        if (m->previous != g->last && first && m->has_sequence && m->sequence <= g->last)
            return GUARD_STALE;
        if (m->previous != g->last)
            return m->has_sequence && m->sequence <= g->last ? GUARD_MISMATCH : GUARD_HOLE;
    }
    if ((g->kinds & GUARD_SEQUENCE) && m->has_sequence && g->has_last) {
        if (m->sequence <= g->last)
            return first ? GUARD_STALE : GUARD_MISMATCH;
        if (first ? m->first > g->last + 1 : m->first != g->last + 1)
            return m->first > g->last + 1 ? GUARD_HOLE : GUARD_MISMATCH;
    }
    if (m->has_sequence) {
        g->has_last = true;
        g->last = m->sequence;
    }
    return GUARD_GOOD;
}

/* The text without the point and the zeros in front; all zeros leave nothing. */
static char *put_stripped(char *to, bytes text)
{
    const char *at = text.at, *end = at + text.len;
    while (at < end && (*at == '0' || *at == '.'))
        at++;
    for (; at < end; at++)
        if (*at != '.')
            *to++ = *at;
    return to;
}

static char *put_level(const guard *g, char *to, const book_level *l, bool begun)
{
    size_t between = g->form.separator_len;
    if (begun) {
        memcpy(to, g->form.separator, sizeof g->form.separator);
        to += between;
    }
    if (g->form.strip) {
        to = put_stripped(to, book_price(l));
        memcpy(to, g->form.separator, between);
        return put_stripped(to + between, book_size(l));
    }
    if (l->price_len <= SHORT && l->size_len <= SHORT) { /* lengths known to the compiler cost less than calls */
        memcpy(to, l->text, SHORT);
        to += l->price_len;
        memcpy(to, g->form.separator, sizeof g->form.separator);
        to += between;
        memcpy(to, l->text + l->price_len, SHORT);
        return to + l->size_len;
    }
    memcpy(to, l->text, l->price_len);
    memcpy(to + l->price_len, g->form.separator, between);
    to += l->price_len + between;
    memcpy(to, l->text + l->price_len, l->size_len);
    return to + l->size_len;
}

uint32_t guard_checksum(guard *g, book *b)
{
    const book_level *bids[GUARD_LEVELS], *asks[GUARD_LEVELS];
    char *to = g->text.at;
    if (g->has_crc && b->half[0].touched >= g->form.levels && b->half[1].touched >= g->form.levels)
        return g->crc;
    size_t bid_count = book_top(b, BOOK_BIDS, bids, g->form.levels), ask_count = book_top(b, BOOK_ASKS, asks, g->form.levels);
    if (g->form.interleaved) {
        for (size_t i = 0; i < bid_count || i < ask_count; i++) {
            if (i < bid_count)
                to = put_level(g, to, bids[i], to != g->text.at);
            if (i < ask_count)
                to = put_level(g, to, asks[i], to != g->text.at);
        }
    } else {
        for (size_t i = 0; i < ask_count; i++)
            to = put_level(g, to, asks[i], to != g->text.at);
        for (size_t i = 0; i < bid_count; i++)
            to = put_level(g, to, bids[i], to != g->text.at);
    }
    g->text.len = (size_t)(to - g->text.at);
    g->crc = (uint32_t)crc32(0, (const Bytef *)g->text.at, (uInt)g->text.len);
    g->has_crc = true;
    book_settle(b);
    return g->crc;
}

guard_finding guard_check(guard *g, book *b, const guard_marks *m)
{
    if (!(g->kinds & GUARD_CRC32) || !m->has_checksum)
        return GUARD_GOOD;
    uint32_t crc = guard_checksum(g, b);
    int64_t want = g->form.is_signed ? (int64_t)(int32_t)crc : (int64_t)crc;
    return want == m->checksum ? GUARD_GOOD : GUARD_MISMATCH;
}
