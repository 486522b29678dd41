/* A sink's spec, taken apart: see spec.h. */
#include "sink/spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                        : c >= 'A' && c <= 'F'   ? c - 'A' + 10
                                                                 : -1;
}

/* In place; false: a '%' without two digits, or a control character. */
static bool decode(char *text)
{
    char *to = text;

    for (char *at = text; *at; at++) {
        char c = *at;
        if (c == '%') {
            int high = hex(at[1]), low = high < 0 ? -1 : hex(at[2]);
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            at += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7F)
            return false;
        *to++ = c;
    }
    *to = '\0';
    return true;
}

bool spec_take_options(spec *s, char *query)
{
    for (char *item = query, *next; item && *item; item = next) {
        if ((next = strchr(item, '&')))
            *next++ = '\0';
        char *equals = strchr(item, '=');
        if (!equals || equals == item || s->options == SPEC_OPTIONS)
            return false;
        *equals++ = '\0';
        if (!decode(item) || !decode(equals))
            return false;
        s->name[s->options] = item;
        s->value[s->options++] = equals;
    }
    return true;
}

static weir_code check_options(const spec *s, const spec_rules *rules, weir_error *err)
{
    char known[256] = "";

    for (size_t k = 0; rules->options[k]; k++) {
        size_t len = strlen(known);
        snprintf(known + len, sizeof known - len, "%s%s", k ? ", " : "", rules->options[k]);
    }
    for (size_t i = 0; i < s->options && !rules->any_option; i++) {
        size_t k = 0;
        while (rules->options[k] && strcmp(rules->options[k], s->name[i]) != 0)
            k++;
        if (!rules->options[k])
            return error_set(err, WEIR_INVALID, "'%s': there is no option '%.60s'; there are %s", s->shown, s->name[i], known);
    }
    return WEIR_OK;
}

static weir_code read_password(spec *s, weir_error *err)
{
    const char *path = spec_option(s, "password_file");
    FILE *in = path ? fopen(path, "re") : NULL;

    if (!path)
        return WEIR_OK;
    if (!in)
        return error_set(err, WEIR_SYSTEM, "'%s': password_file '%.200s' cannot be read: %s", s->shown, path, strerror(errno));
    if (!fgets(s->secret, sizeof s->secret, in))
        *s->secret = '\0';
    fclose(in);
    s->secret[strcspn(s->secret, "\r\n")] = '\0';
    s->password = s->secret;
    return *s->secret ? WEIR_OK : error_set(err, WEIR_INVALID, "'%s': the first line of password_file '%.200s' is empty", s->shown, path);
}

/* "user:password@": the last @ ends it. */
static char *take_user(spec *s, char *authority)
{
    char *at = strrchr(authority, '@'), *colon;

    if (!at)
        return authority;
    *at = '\0';
    s->user = authority;
    if ((colon = strchr(authority, ':'))) {
        *colon = '\0';
        s->password = colon + 1;
        return decode(authority) && decode(colon + 1) ? at + 1 : NULL;
    }
    return decode(authority) ? at + 1 : NULL;
}

static bool take_port(spec *s, const char *text, uint16_t usual)
{
    char *end;

    s->port = usual;
    if (!text)
        return usual != 0;
    unsigned long port = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    s->port = (uint16_t)port;
    return port > 0 && port < 65536 && !*end;
}

/* "host", "host:port", "[::1]:port" */
static bool take_host(spec *s, char *text, uint16_t usual)
{
    char *port;

    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        *end = '\0';
        s->host = text + 1;
        port = end[1] ? end + 2 : NULL;
    } else {
        s->host = text;
        if ((port = strchr(text, ':')))
            *port++ = '\0';
    }
    return *s->host && decode((char *)s->host) && take_port(s, port, usual);
}

weir_code spec_read(spec *out, const spec_rules *rules, const char *rest, weir_error *err)
{
    char whole[SPEC_MAX];

    *out = (spec){.user = "", .password = "", .host = "", .path = ""};
    if ((size_t)snprintf(whole, sizeof whole, "%s:%s", rules->scheme, rest) >= sizeof whole)
        return error_set(err, WEIR_INVALID, "'%s:...': more than %d characters", rules->scheme, SPEC_MAX - 1);
    spec_mask(out->shown, sizeof out->shown, whole);
    if (strncmp(rest, "//", 2) != 0)
        return error_set(err, WEIR_INVALID, "'%s': expected %s://HOST:PORT", out->shown, rules->scheme);
    snprintf(out->text, sizeof out->text, "%s", rest + 2);
    char *query = strchr(out->text, '?'), *last = strrchr(out->text, '@');
    if (last && query && last > query && !memchr(query, '=', (size_t)(last - query)))
        query = NULL; /* a '?' in a password: said below */
    if (query)
        *query++ = '\0';
    char *slash = strpbrk(out->text, "/?#");
    if (slash && strchr(slash, '@'))
        return error_set(err, WEIR_INVALID, "'%s': write '/', '?', '#' and '@' in a name or password as %%2F, %%3F, %%23 and %%40", out->shown);
    if (slash)
        *slash++ = '\0';
    char *host = take_user(out, out->text);
    if (!host || !take_host(out, host, rules->port))
        return error_set(err, WEIR_INVALID, "'%s': no host and port can be read in it; expected %s://HOST%s", out->shown, rules->scheme,
                         rules->port ? "[:PORT]" : ":PORT");
    if (slash && (!decode(slash) || (*slash && !rules->path)))
        return error_set(err, WEIR_INVALID, "'%s': nothing sensible stands behind the host", out->shown);
    out->path = slash ? slash : "";
    if (!spec_take_options(out, query))
        return error_set(err, WEIR_INVALID, "'%s': options are NAME=VALUE with '&' between them, at most %d", out->shown, SPEC_OPTIONS);
    weir_code code = check_options(out, rules, err);
    return code ? code : read_password(out, err);
}

weir_code spec_read_path(spec *out, const spec_rules *rules, const char *rest, weir_error *err)
{
    char *query;

    *out = (spec){.user = "", .password = "", .host = ""};
    out->path = out->text;
    snprintf(out->shown, sizeof out->shown, "%s:%.200s", rules->scheme, rest);
    if ((size_t)snprintf(out->text, sizeof out->text, "%s", rest) >= sizeof out->text)
        return error_set(err, WEIR_INVALID, "'%s:...': more than %d characters", rules->scheme, SPEC_MAX - 1);
    if ((query = strchr(out->text, '?')))
        *query++ = '\0';
    if (!spec_take_options(out, query))
        return error_set(err, WEIR_INVALID, "'%s': options are NAME=VALUE with '&' between them, at most %d", out->shown, SPEC_OPTIONS);
    return check_options(out, rules, err);
}

const char *spec_option(const spec *s, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < s->options; i++)
        if (strcmp(s->name[i], name) == 0)
            value = s->value[i];
    return value;
}

weir_code spec_number(const spec *s, const char *name, uint64_t min, uint64_t max, uint64_t *out, weir_error *err)
{
    const char *text = spec_option(s, name);
    char *end = NULL;

    if (!text)
        return WEIR_OK;
    uint64_t value = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;
    unsigned shift = !end ? 0 : *end == 'k' ? 10
                            : *end == 'M'   ? 20
                            : *end == 'G'   ? 30
                                            : 0;
    if (!end || end[shift != 0] || value > max >> shift || (value <<= shift) < min)
        return error_set(err, WEIR_INVALID, "'%s': %s is '%.40s'; expected a number from %llu to %llu", s->shown, name, text,
                         (unsigned long long)min, (unsigned long long)max);
    *out = value;
    return WEIR_OK;
}

static bool secret_name(const char *name, size_t len)
{
    static const char *const words[] = {"password", "passwd", "secret", "token", "key.pem", "oauthbearer.config"};

    if (len > 5 && strncmp(name + len - 5, "_file", 5) == 0)
        return false;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        size_t n = strlen(words[w]);
        for (size_t i = 0; i + n <= len; i++)
            if (strncasecmp(name + i, words[w], n) == 0)
                return true;
    }
    return false;
}

/* A ceiling of `size`, control characters as '?'. */
typedef struct masked {
    char *out;
    size_t size, len;
} masked;

static void put(masked *m, const char *at, size_t len)
{
    for (size_t i = 0; i < len && m->len + 1 < m->size; i++)
        m->out[m->len++] = (unsigned char)at[i] < 0x20 || at[i] == 0x7F ? '?' : at[i];
    m->out[m->len] = '\0';
}

/* Up to and behind the last @ there: whatever a password has in it, none of it is shown. */
static const char *mask_user(masked *m, const char *text)
{
    const char *begin = strstr(text, "://"), *at = begin ? strrchr(begin, '@') : NULL;

    if (!at)
        return text;
    begin += 3;
    bool token = strncmp(text, "nats", 4) == 0;
    const char *colon = memchr(begin, ':', (size_t)(at - begin));
    put(m, text, (size_t)((colon ? colon + 1 : token ? begin
                                                     : at) -
                          text));
    if (colon || token)
        put(m, "***", 3);
    return at;
}

void spec_mask(char *out, size_t size, const char *text)
{
    masked m = {out, size, 0};

    if (!size)
        return;
    *out = '\0';
    text = mask_user(&m, text);
    const char *query = strchr(text, '?');
    if (!query) {
        put(&m, text, strlen(text));
        return;
    }
    put(&m, text, (size_t)(query + 1 - text));
    for (const char *item = query + 1; *item;) {
        size_t len = strcspn(item, "&"), name = strcspn(item, "=&");
        bool hide = name < len && secret_name(item, name);
        put(&m, item, hide ? name + 1 : len);
        if (hide)
            put(&m, "***", 3);
        item += len;
        if (*item)
            put(&m, item++, 1);
    }
}
