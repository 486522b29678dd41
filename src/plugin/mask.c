/* One pass over the text: at each octet a known value, longest first, else a name that says "secret" with a
 * value behind it. What was passed is in `out`; nothing is looked at twice. */
#include "plugin/mask.h"

#include <ctype.h>
#include <stdlib.h>

#define SECRETS_MAX 64
#define VALUE_MIN 4 /* shorter ones would mask half of any text; beside their names they are masked all the same */

struct mask {
    size_t count;
    char *secrets[SECRETS_MAX]; /* the longest first */
};

/* ---- Names ---- */

/* Lower case, without what separates words: "X-API_Key" is "xapikey". */
static size_t plain_name(bytes name, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < name.len && n + 1 < size; i++)
        if (isalnum((unsigned char)name.at[i]))
            out[n++] = (char)tolower((unsigned char)name.at[i]);
    out[n] = '\0';
    return n;
}

bool mask_is_secret(bytes name)
{
    static const char *const parts[] = {"secret", "password", "passphrase", "passwd", "token", "apikey", "privatekey", "accesskey",
                                        "listenkey", "signature", "authorization", "credential", "cookie"};
    static const char *const whole[] = {"sign", "sig", "pwd", "auth", "jwt", "pin", "otp"};
    char plain[64];
    plain_name(name, plain, sizeof plain);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(plain, parts[i]))
            return true;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(plain, whole[i]))
            return true;
    return false;
}

/* ---- Values ---- */

/* Takes the text over. */
static bool add(mask *m, char *text)
{
    if (!text)
        return false;
    size_t len = strlen(text), at = 0;
    while (at < m->count && strlen(m->secrets[at]) > len)
        at++;
    if (len < VALUE_MIN || m->count == SECRETS_MAX || (at < m->count && !strcmp(m->secrets[at], text))) {
        free(text);
        return true;
    }
    memmove(m->secrets + at + 1, m->secrets + at, (m->count - at) * sizeof *m->secrets);
    m->secrets[at] = text;
    m->count++;
    return true;
}

/* As it is, and as JSON writes it. */
static bool add_value(mask *m, json value)
{
    if (value.type == JSON_STRING) {
        bytes inner = bytes_make(value.raw.at + 1, value.raw.len - 2);
        char *text = json_string_dup(value);
        return (!text || add(m, text)) && add(m, bytes_dup(inner));
    }
    return value.type != JSON_NUMBER || add(m, bytes_dup(value.raw));
}

static bool declared_secret(json fields, const char *name)
{
    json key, item;
    bool yes = false;
    for (json_iter it = json_each(fields); fields.type == JSON_ARRAY && json_next(&it, &key, &item);)
        if (json_is(json_member(item, "name"), name)) {
            json type = json_member(item, "type");
            bool secret = false;
            json_bool(json_member(item, "secret"), &secret);
            yes |= secret || json_is(type, "password") || json_is(type, "secret");
        }
    return yes;
}

weir_code mask_new(mask **out, bytes config, bytes fields, weir_error *err)
{
    json doc = {0}, list = {0}, key, value;
    mask *m = calloc(1, sizeof *m);
    bool fine = m != NULL;
    if (config.len)
        json_read(&doc, config, NULL);
    if (fields.len)
        json_read(&list, fields, NULL);
    for (json_iter it = json_each(doc); fine && doc.type == JSON_OBJECT && json_next(&it, &key, &value);) {
        char *name = json_string_dup(key);
        if (name && (mask_is_secret(bytes_of(name)) || declared_secret(list, name)))
            fine = add_value(m, value);
        free(name);
    }
    if (!fine) {
        mask_free(m);
        return error_set(err, WEIR_NOMEM, "configuration: out of memory");
    }
    *out = m;
    return WEIR_OK;
}

void mask_free(mask *m)
{
    for (size_t i = 0; m && i < m->count; i++)
        free(m->secrets[i]);
    free(m);
}

/* ---- Texts ---- */

static size_t value_here(const mask *m, bytes rest)
{
    for (size_t i = 0; m && i < m->count; i++) {
        size_t len = strlen(m->secrets[i]);
        if (rest.len >= len && rest.at[0] == m->secrets[i][0] && !memcmp(rest.at, m->secrets[i], len))
            return len;
    }
    return 0;
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Behind a quoted value whose quote has so many backslashes before it: JSON within JSON has one. */
static const char *quoted_end(const char *at, const char *end, size_t slashes)
{
    for (size_t run = 0; at < end; at++) {
        if (*at == '"' && (slashes ? run <= slashes : run % 2 == 0))
            return at - (slashes && run == slashes ? run : 0);
        run = *at == '\\' ? run + 1 : 0;
    }
    return end;
}

static const char *bare_end(const char *at, const char *end, bool line)
{
    while (at < end && *at != '"' && *at != '\\' && *at != '\n' && *at != '\r' && (line || (!strchr("&,;}])' \t", *at) || !*at)))
        at++;
    return at;
}

/* Where the value begins that stands behind a name's end, and where it ends; false: there is none. */
static bool value_behind(const char *at, const char *end, const char **from, const char **to)
{
    const char *name_end = at;
    size_t slashes = 0;
    while (at < end && (*at == '\\' || *at == '"' || *at == '\''))
        at++;
    while (at < end && blank(*at))
        at++;
    if (at == end || (*at != ':' && *at != '='))
        return false;
    bool header = at == name_end && *at == ':';
    at++;
    while (at < end && blank(*at))
        at++;
    while (at < end && *at == '\\') {
        slashes++;
        at++;
    }
    if (at == end || *at == '{' || *at == '[')
        return false;
    bool quoted = *at == '"';
    *from = at + quoted;
    *to = quoted ? quoted_end(*from, end, slashes) : bare_end(*from, end, header);
    return true;
}

void mask_text(const mask *m, bytes text, buf *out)
{
    const char *at = text.at, *end = at + text.len, *from = NULL, *to = NULL; /* the value that comes next */
    bool inside = false;                                                      /* a name that has begun before */
    while (at < end) {
        size_t known = value_here(m, bytes_make(at, (size_t)(end - at)));
        const char *name_end = at;
        if (known || (from && at >= from)) {
            const char *behind = at + known;
            if (from && behind >= from) {
                behind = behind > to ? behind : to;
                from = NULL;
            }
            if (behind > at)
                buf_add_text(out, MASKED);
            at = behind;
            inside = false;
            continue;
        }
        while (!inside && !from && name_end < end && in_name(*name_end))
            name_end++;
        if (name_end > at && mask_is_secret(bytes_make(at, (size_t)(name_end - at))) && !value_behind(name_end, end, &from, &to))
            from = NULL;
        inside = in_name(*at);
        buf_add_char(out, *at++);
    }
}
