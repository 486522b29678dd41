/* Patterns for hosts. One pass with a single point to come back to: the last "*" tries one more
 * character each time the rest does not fit, so a match costs at most pattern times text. */
#include "extism/glob.h"

typedef struct glob_set {
    size_t end; /* index behind the "]" */
    bool known; /* the set is closed */
} glob_set;

/* A "]" right behind "[" or "[!" is a member, not the end. */
static glob_set set_bounds(bytes p, size_t at)
{
    size_t i = at + 1;
    if (i < p.len && p.at[i] == '!')
        i++;
    for (i++; i < p.len; i++)
        if (p.at[i] == ']')
            return (glob_set){i + 1, true};
    return (glob_set){p.len, false};
}

static bool set_has(bytes p, size_t at, size_t end, char c)
{
    size_t i = at + 1;
    bool negated = p.at[i] == '!', has = false;
    for (i += negated; i < end - 1; i++) {
        if (i + 2 < end - 1 && p.at[i + 1] == '-') {
            has |= (unsigned char)p.at[i] <= (unsigned char)c && (unsigned char)c <= (unsigned char)p.at[i + 2];
            i += 2;
        } else {
            has |= p.at[i] == c;
        }
    }
    return has != negated;
}

static bool pattern_valid(bytes p)
{
    for (size_t i = 0; i < p.len; i++) {
        if (p.at[i] == '[') {
            glob_set s = set_bounds(p, i);
            if (!s.known)
                return false;
            i = s.end - 1;
        } else if (p.at[i] == '*' && i + 1 < p.len && p.at[i + 1] == '*') {
            size_t end = i;
            while (end < p.len && p.at[end] == '*')
                end++;
            bool whole = (i == 0 || p.at[i - 1] == '/') && (end == p.len || p.at[end] == '/');
            if (end - i != 2 || !whole)
                return false;
            i = end - 1;
        }
    }
    return true;
}

static size_t char_len(bytes b, size_t at)
{
    size_t n = 1;
    while (at + n < b.len && ((unsigned char)b.at[at + n] & 0xC0) == 0x80)
        n++;
    return n;
}

/* One step without "*": how far pattern and text move on; false if they differ here. */
static bool step(bytes p, size_t *pi, bytes t, size_t *ti)
{
    if (*pi >= p.len || *ti >= t.len)
        return false;
    char c = p.at[*pi];
    if (c == '?') {
        ++*pi;
        *ti += char_len(t, *ti);
        return true;
    }
    if (c == '[') {
        glob_set s = set_bounds(p, *pi);
        if (!set_has(p, *pi, s.end, t.at[*ti]))
            return false;
        *pi = s.end;
        *ti += char_len(t, *ti);
        return true;
    }
    if (c != t.at[*ti])
        return false;
    ++*pi;
    ++*ti;
    return true;
}

bool glob_match(bytes p, bytes t)
{
    if (!pattern_valid(p))
        return bytes_equal(p, t);
    size_t pi = 0, ti = 0, star = SIZE_MAX, star_ti = 0;
    while (ti < t.len || pi < p.len) {
        if (pi < p.len && p.at[pi] == '*') {
            while (pi < p.len && p.at[pi] == '*')
                pi++;
            star = pi;
            star_ti = ti;
        } else if (!step(p, &pi, t, &ti)) {
            if (star == SIZE_MAX || star_ti >= t.len)
                return false;
            pi = star;
            ti = ++star_ti;
        }
    }
    return true;
}
