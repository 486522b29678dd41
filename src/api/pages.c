/* The web terminal's files, as they were embedded, with the headers that keep a page to itself: no scripts but its own files,
 * no frames around it, no other site asked. */
#include "api/inside.h"

#include <stdio.h>
#include <strings.h>

/* Scripts and styles come from files alone; what the pages' script sets on an element needs no exception. */
#define POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; " \
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

static const api_asset *find(const api *a, bytes path)
{
    for (size_t i = 0; i < a->options.asset_count; i++)
        if (bytes_is(path, a->options.assets[i].path))
            return &a->options.assets[i];
    return NULL;
}

/* Paths of pages, which the page itself takes apart, are index.html; those with a dot are files, there or not. */
static const api_asset *find_page(const api *a, bytes path)
{
    const api_asset *found = find(a, path);
    bool file = memchr(path.at, '.', path.len) || bytes_starts(path, BYTES("/v1/")) || bytes_is(path, "/v1") || bytes_starts(path, BYTES("/assets/"));
    return found || file ? found : find(a, BYTES("/index.html"));
}

/* Is one of the words of a list, such as "gzip, br;q=1", this one? Those with q=0 are not. */
static bool lists(bytes words, const char *word)
{
    size_t len = strlen(word);
    while (words.len) {
        const char *comma = memchr(words.at, ',', words.len);
        bytes one = {words.at, comma ? (size_t)(comma - words.at) : words.len};
        words = comma ? bytes_make(comma + 1, words.len - one.len - 1) : bytes_make(NULL, 0);
        while (one.len && *one.at == ' ')
            one.at++, one.len--;
        if (one.len >= len && !strncasecmp(one.at, word, len) && (one.len == len || one.at[len] == ';' || one.at[len] == ' '))
            return !memmem(one.at, one.len, "q=0", 3) || memmem(one.at, one.len, "q=0.", 4);
    }
    return false;
}

void pages_answer(asked *q)
{
    const api_asset *f = find_page(q->api, server_path(q->r));
    if (!f) {
        answer_error(q, 404, "NOT_FOUND", "there is no page '" BYTES_FMT "'; the API is under /v1", BYTES_ARG(server_path(q->r)));
        return;
    }
    bool gzip = f->gzip.len && lists(server_header(q->r, "accept-encoding"), "gzip");
    bytes known = server_header(q->r, "if-none-match");
    bool same = known.len && f->etag && memmem(known.at, known.len, f->etag, strlen(f->etag));
    http_header headers[12] = {
        {BYTES("Content-Type"), bytes_of(f->type)},
        {BYTES("ETag"), bytes_of(f->etag ? f->etag : "\"\"")},
        {BYTES("Cache-Control"), f->immutable ? BYTES("public, max-age=31536000, immutable") : BYTES("no-cache")},
        {BYTES("Vary"), BYTES("Accept-Encoding")},
        {BYTES("Content-Security-Policy"), BYTES(POLICY)},
        {BYTES("X-Content-Type-Options"), BYTES("nosniff")},
        {BYTES("X-Frame-Options"), BYTES("DENY")},
        {BYTES("Referrer-Policy"), BYTES("no-referrer")},
        {BYTES("Cross-Origin-Opener-Policy"), BYTES("same-origin")},
        {BYTES("Cross-Origin-Resource-Policy"), BYTES("same-origin")},
        {BYTES("Content-Encoding"), BYTES("gzip")},
    };
    answer_as(q, same ? 304 : 200, headers, gzip ? 11 : 10, gzip ? f->gzip : f->octets);
}
