#include "plugin/timeframe.h"

/* How users and venues write units; the first that fits. One letter is a month or a minute by its case alone. */
static const struct {
    const char *word;
    char unit;
} words[] = {
    {"m", 'm'}, {"min", 'm'}, {"minute", 'm'}, {"minutes", 'm'}, {"h", 'h'}, {"H", 'h'}, {"hour", 'h'}, {"hours", 'h'}, {"d", 'D'}, {"D", 'D'}, {"day", 'D'}, {"days", 'D'}, {"w", 'W'}, {"W", 'W'}, {"week", 'W'}, {"weeks", 'W'}, {"M", 'M'}, {"mo", 'M'}, {"mon", 'M'}, {"month", 'M'}, {"months", 'M'}, {"y", 'Y'}, {"Y", 'Y'}, {"year", 'Y'}, {"years", 'Y'}};

static const struct {
    char unit;
    uint64_t seconds;
    const char *styles[3]; /* by timeframe_style */
} units[] = {
    {'m', 60, {"m", "m", "m"}},
    {'h', 3600, {"h", "h", "h"}},
    {'D', 86400, {"D", "d", "d"}},
    {'W', 604800, {"W", "w", "w"}},
    {'M', 2592000, {"M", "M", "mon"}},
    {'Y', 31536000, {"Y", "y", "y"}},
};
#define UNITS (sizeof units / sizeof *units)

bool timeframe_read(timeframe *out, bytes text)
{
    timeframe t = {0};
    size_t i = 0;
    for (; i < text.len && text.at[i] >= '0' && text.at[i] <= '9' && t.value < 1000000; i++)
        t.value = t.value * 10 + (uint32_t)(text.at[i] - '0');
    const char *colon = memchr(text.at + i, ':', text.len - i);
    size_t end = colon ? (size_t)(colon - text.at) : text.len;
    if (!t.value || i == end || (colon && end + 1 == text.len))
        return false;
    for (size_t w = 0; w < sizeof words / sizeof *words && !t.unit; w++)
        if (bytes_is(bytes_make(text.at + i, end - i), words[w].word))
            t.unit = words[w].unit;
    if (colon)
        t.zone = bytes_make(colon + 1, text.len - end - 1);
    if (t.unit)
        *out = t;
    return t.unit != 0;
}

static bool from_seconds(timeframe *out, uint64_t seconds)
{
    for (size_t i = UNITS; seconds && i-- > 0;)
        if (seconds % units[i].seconds == 0 && seconds / units[i].seconds <= UINT32_MAX) {
            *out = (timeframe){.value = (uint32_t)(seconds / units[i].seconds), .unit = units[i].unit};
            return true;
        }
    return false;
}

bool timeframe_read_row(timeframe *out, json row)
{
    json value = json_member(row, "value"), unit = json_member(row, "unit");
    uint64_t n;
    bytes text;
    if (unit.type == JSON_STRING && json_u64(value, &n) && n && n <= UINT32_MAX)
        for (size_t i = 0; i < UNITS; i++)
            if (json_is(unit, (const char[]){units[i].unit, '\0'})) {
                *out = (timeframe){.value = (uint32_t)n, .unit = units[i].unit};
                return true;
            }
    if (json_string_slice(json_member(row, "apiValue"), &text) && timeframe_read(out, text))
        return true;
    if (json_string_slice(value, &text) && timeframe_read(out, text))
        return true;
    return json_u64(json_member(row, "interval"), &n) && from_seconds(out, n);
}

uint64_t timeframe_seconds(const timeframe *t)
{
    for (size_t i = 0; i < UNITS; i++)
        if (units[i].unit == t->unit)
            return units[i].seconds * t->value;
    return 0;
}

void timeframe_put(buf *out, const timeframe *t, timeframe_style style)
{
    buf_add_u64(out, t->value);
    for (size_t i = 0; i < UNITS; i++)
        if (units[i].unit == t->unit)
            buf_add_text(out, units[i].styles[style]);
    if (t->zone.len) {
        buf_add_char(out, ':');
        buf_add_bytes(out, t->zone);
    }
}

static void put_spelt(buf *out, json value, timeframe_style style)
{
    timeframe t;
    bytes text;
    if (!json_string_slice(value, &text)) {
        buf_add_bytes(out, value.raw);
    } else if (text.len > 1 && text.at[0] == '=') {
        buf_add_char(out, '"');
        buf_add(out, text.at + 1, text.len - 1);
        buf_add_char(out, '"');
    } else if (timeframe_read(&t, text)) {
        buf_add_char(out, '"');
        timeframe_put(out, &t, style);
        buf_add_char(out, '"');
    } else {
        buf_add_bytes(out, value.raw);
    }
}

json timeframe_params(json params, timeframe_style style, buf *room)
{
    json key, value, made;
    bool any = false;
    if (params.type != JSON_OBJECT)
        return params;
    buf_clear(room);
    for (json_iter it = json_each(params); json_next(&it, &key, &value); any = true) {
        buf_add_char(room, any ? ',' : '{');
        buf_add_bytes(room, key.raw);
        buf_add_char(room, ':');
        if (json_is(key, "timeframe") || json_is(key, "interval"))
            put_spelt(room, value, style);
        else
            buf_add_bytes(room, value.raw);
    }
    buf_add_text(room, any ? "}" : "{}");
    return room->failed || json_read(&made, buf_bytes(room), NULL) ? params : made;
}
