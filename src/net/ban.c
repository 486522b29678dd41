/* The list of origins. Looked at before each dial and each request, changed when one is refused: so a
 * list, walked only when it is not empty. Entries outlive their ban, for what is counted over time. */
#include "net/ban.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/target_url.h"

#define DAY_S 86400u
#define BUSY_MAX_S 3600u /* what a 429 may ask for */
#define UNTOLD_MAX_S 60u /* what one without Retry-After grows to */
#define BAN_MIN_S 120u   /* the first 418 */
#define STRIKES_MAX 9    /* 120 s doubled so often is most of a day */

typedef struct entry {
    list_node node;
    uint64_t until;   /* clock_mono */
    uint16_t status;  /* what it was for */
    uint32_t untold;  /* 429 without Retry-After, in a row */
    uint32_t strikes; /* 418, each within a day of the one before */
    uint64_t struck;  /* the last of them */
    char origin[6 + 3 + 256 + 7];
} entry;

void bans_init(bans *b)
{
    list_init(&b->entries);
    b->count = 0;
}

void bans_fini(bans *b)
{
    list_node *n;
    while (b->entries.head.next && (n = list_pop(&b->entries)))
        free(LIST_OWNER(n, entry, node));
    b->count = 0;
}

static bool origin_of(char out[sizeof((entry *)0)->origin], bytes text)
{
    url u;
    buf b;
    if (url_read(&u, text, NULL))
        return false;
    buf_init(&b, sizeof((entry *)0)->origin);
    url_put_origin(&u, &b);
    bool ok = !b.failed && b.len < sizeof((entry *)0)->origin;
    if (ok) {
        memcpy(out, b.at, b.len);
        out[b.len] = '\0';
    }
    buf_fini(&b);
    url_fini(&u);
    return ok;
}

static entry *find(const bans *b, const char *origin)
{
    for (list_node *n = b->entries.head.next; n != &b->entries.head; n = n->next) {
        entry *e = LIST_OWNER(n, entry, node);
        if (!strcmp(e->origin, origin))
            return e;
    }
    return NULL;
}

static void forget_one(bans *b)
{
    entry *first = NULL;
    for (list_node *n = b->entries.head.next; n != &b->entries.head; n = n->next) {
        entry *e = LIST_OWNER(n, entry, node);
        if (!first || e->until < first->until)
            first = e;
    }
    list_remove(&first->node);
    free(first);
    b->count--;
}

/* Without memory the origin is not remembered: each stream still has its own back-off. */
static entry *add(bans *b, const char *origin)
{
    entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    if (b->count == BANS_MAX)
        forget_one(b);
    strcpy(e->origin, origin);
    list_push(&b->entries, &e->node);
    b->count++;
    return e;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* For how long, in seconds. `again`: it is not one of those that were under way when the last ban came. */
static uint32_t busy_s(entry *e, uint32_t retry_after_s, bool again)
{
    if (retry_after_s) {
        e->untold = 0;
        return least(retry_after_s, BUSY_MAX_S);
    }
    if (!again)
        return 0;
    return e->untold < 6 ? 1u << e->untold++ : UNTOLD_MAX_S;
}

static uint32_t ban_s(entry *e, uint32_t retry_after_s, bool again, uint64_t now)
{
    if (!again)
        return least(retry_after_s, DAY_S);
    if (e->strikes && now - e->struck > DAY_S * NS_PER_S)
        e->strikes = 0;
    uint32_t s = BAN_MIN_S << e->strikes;
    e->strikes += e->strikes < STRIKES_MAX;
    e->struck = now;
    return least(retry_after_s > s ? retry_after_s : s, DAY_S);
}

void bans_note(bans *b, bytes url_text, uint16_t status, uint32_t retry_after_s, uint64_t now)
{
    char origin[sizeof((entry *)0)->origin];
    bool asks = status == 429 || status == 418 || (status == 403 && retry_after_s);
    if ((!asks && !b->count) || !origin_of(origin, url_text))
        return;
    entry *e = find(b, origin);
    if (!asks) {
        if (e)
            e->untold = 0;
        return;
    }
    if (!e && !(e = add(b, origin)))
        return;
    bool again = now >= e->until;
    uint32_t s = status == 429   ? busy_s(e, retry_after_s, again)
                 : status == 418 ? ban_s(e, retry_after_s, again || e->status != 418, now)
                                 : least(retry_after_s, DAY_S);
    if (now + s * NS_PER_S <= e->until)
        return;
    e->until = now + s * NS_PER_S;
    e->status = status;
}

uint64_t bans_left(const bans *b, bytes url_text, uint64_t now, weir_error *err)
{
    char origin[sizeof((entry *)0)->origin], time[CLOCK_RFC3339_SIZE];
    const entry *e = b->count && origin_of(origin, url_text) ? find(b, origin) : NULL;
    if (!e || now >= e->until)
        return 0;
    uint64_t left = e->until - now;
    clock_rfc3339(time, clock_real() + left, 0);
    error_set(err, WEIR_LIMIT, "%s by %s until %s (HTTP status %u)", e->status == 429 ? "told to wait" : "banned", e->origin, time, e->status);
    return left;
}

uint32_t retry_after_read(bytes value)
{
    char text[64];
    if (value.len == 0 || value.len >= sizeof text)
        return 0;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    if (strspn(text, "0123456789") == value.len) {
        unsigned long long s = strtoull(text, NULL, 10);
        return s > DAY_S ? DAY_S : (uint32_t)s;
    }
    time_t then = curl_getdate(text, NULL), now = (time_t)(clock_real() / NS_PER_S);
    return then <= now ? 0 : then - now > DAY_S ? DAY_S
                                                : (uint32_t)(then - now);
}
