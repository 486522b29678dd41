/* weir history: what a running daemon has recorded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/history.h"
#include "cli/noun.h"

#define PAGE "5000"

static const char help[] =
    "usage: weir history topics [PATTERN] [OPTIONS]\n"
    "       weir history PATTERN [OPTIONS]\n\n"
    "What a running weir serve has recorded: of which topics there is any, or the records themselves, oldest first. PATTERN\n"
    "selects topics: '*' is one token, '>' at its end all that follow.\n\n"
    "options\n"
    "  --from TIME, --to TIME  2024-05-01, 2024-05-01T12:00:00Z, 2h (so long ago), now; --to is not in it\n"
    "  --limit N              so many at most\n"
    "  --kinds KINDS          data, gap, status, with commas between; all\n"
    "  --connection WHICH     only of this connection, by number or name. One topic of two connections is not one series:\n"
    "                         PATTERN without '*' or '>' then needs it; any: of all, each record with its own\n"
    "  --format FORMAT        ndjson (the default): records as they were published; csv\n"
    "  -j, --json             topics: the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir history topics\n"
    "  weir history 'trades.>' --from 1h > trades.ndjson\n"
    "  weir history ohlcv.woox-datasource.SPOT_BTC_USDT.1m --from 2026-11-01 --format csv > btc.csv\n"
    "  weir history '>' --kinds gap --from 1d\n";

static const column in_topics[] = {
    {"TOPIC", "topic", COLUMN_TEXT, 56},
    {"CONN", "connection", COLUMN_COUNT, 0},
    {"RECORDS", "records", COLUMN_COUNT, 0},
    {"SIZE", "octets", COLUMN_OCTETS, 0},
    {"FIRST", "first", COLUMN_TIME, 0},
    {"LAST", "last", COLUMN_TIME, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

/* "&connection=7" behind the path; empty: of any. False: it has said why. */
static bool take_connection(asked *a, char out[48], int *code)
{
    const char *which = asked_option(a, ON_CONNECTION);
    char id[24] = "any";
    *out = '\0';
    if (!which)
        return true;
    if (strcmp(which, "any") && !asked_connection(a, which, id, code))
        return false;
    snprintf(out, 48, "&connection=%s", id);
    return true;
}

static int topics(asked *a)
{
    char connection[48];
    int code = EXIT_FAILED;
    if (!take_connection(a, connection, &code))
        return code;
    char *path = asked_path("/v1/history/topics?pattern=", a->count ? a->args[0] : ">", strcmp(connection, "&connection=any") ? connection : "");
    code = path ? asked_list(a, path, "topics", in_topics, a->count ? "there is no history of such a topic" : "there is no history yet") : EXIT_FAILED;
    free(path);
    return code;
}

/* ---- Records ---- */

static bool put_time(buf *path, const asked *a, noun_option option, const char *name)
{
    uint64_t ns;
    const char *text = asked_option(a, option);
    if (!text)
        return true;
    if (!history_time(text, clock_real(), &ns))
        return cli_usage("history", "--%s '%s': a time such as 2024-05-01, 2024-05-01T12:00:00Z or 2h (so long ago) is wanted", name, text), false;
    buf_add_fmt(path, "&%s=%llu", name, (unsigned long long)ns);
    return true;
}

static bool read_limit(const asked *a, uint64_t *limit)
{
    char *end;
    const char *text = asked_option(a, ON_LIMIT);
    *limit = 0;
    if (!text)
        return true;
    errno = 0;
    *limit = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *limit;
}

/* Page by page, each record as it came. */
static int print_pages(asked *a, const char *query, uint64_t limit, uint64_t *printed)
{
    char *cursor = strdup("");
    uint64_t left = limit;
    int code = cursor ? EXIT_FINE : cli_fail(EXIT_FAILED, "out of memory");
    while (!code && cursor) {
        remote_answer page;
        json key, record;
        buf path;
        buf_init(&path, 1 << 20);
        buf_add_fmt(&path, "%s&format=json&limit=" PAGE "%s%s", query, *cursor ? "&cursor=" : "", cursor);
        buf_add_char(&path, '\0');
        free(cursor);
        cursor = NULL;
        code = remote_ask(a->remote, &page, "GET", path.at, (bytes){0});
        for (json_iter it = json_each(json_member(page.doc, "records")); !code && (!limit || left) && json_next(&it, &key, &record); left--) {
            fwrite(record.raw.at, 1, record.raw.len, stdout);
            putchar('\n');
            ++*printed;
        }
        if (!code && (!limit || left) && !ferror(stdout))
            cursor = json_string_dup(json_member(page.doc, "next"));
        remote_answer_free(&page);
        buf_fini(&path);
    }
    return code;
}

static int print_csv(asked *a, buf *query, uint64_t limit)
{
    remote_answer answer;
    buf_add_text(query, "&format=csv");
    if (limit)
        buf_add_fmt(query, "&limit=%llu", (unsigned long long)limit);
    buf_add_char(query, '\0');
    int code = remote_fetch(a->remote, &answer, query->at);
    if (!code)
        fwrite(answer.body.at ? answer.body.at : "", 1, answer.body.len, stdout);
    remote_answer_free(&answer);
    return code;
}

static int records(asked *a)
{
    buf query;
    uint64_t limit;
    const char *format = asked_option(a, ON_FORMAT) ? asked_option(a, ON_FORMAT) : "ndjson";
    if (!read_limit(a, &limit))
        return cli_usage("history", "--limit '%s': a number from 1 is wanted", asked_option(a, ON_LIMIT));
    if (strcmp(format, "ndjson") && strcmp(format, "csv"))
        return cli_usage("history", "--format '%s': ndjson and csv are there", format);
    buf_init(&query, 1 << 20);
    buf_add_text(&query, "/v1/history?pattern=");
    remote_put_piece(&query, a->args[0]);
    if (asked_option(a, ON_KINDS)) {
        buf_add_text(&query, "&kinds=");
        remote_put_piece(&query, asked_option(a, ON_KINDS));
    }
    char connection[48];
    int code = EXIT_FINE;
    if (!take_connection(a, connection, &code)) {
        buf_fini(&query);
        return code;
    }
    buf_add_text(&query, connection);
    code = put_time(&query, a, ON_FROM, "from") && put_time(&query, a, ON_TO, "to") ? EXIT_FINE : EXIT_USAGE;
    if (!code && !strcmp(format, "csv")) {
        code = print_csv(a, &query, limit);
    } else if (!code) {
        buf_add_char(&query, '\0');
        uint64_t printed = 0;
        code = print_pages(a, query.at, limit, &printed);
        if (!code && !printed) /* where there is nothing, a pattern that is mistyped looks the same */
            fprintf(stderr, "weir: the history has no such records; weir history topics lists what there is\n");
    }
    buf_fini(&query);
    return code;
}

static const verb verbs[] = {
    {"topics", "a pattern, if any", 0, 1, WITH(CONNECTION), topics},
    {"records", "a pattern of topics", 1, 1, WITH(FROM) | WITH(TO) | WITH(LIMIT) | WITH(KINDS) | WITH(FORMAT) | WITH(CONNECTION), records},
    {NULL, NULL, 0, 0, 0, NULL},
};

/* The verb "records" needs not be said: what is no verb is a pattern. */
int cmd_history(int argc, char **argv)
{
    return noun_run_unsaid("history", verbs, "records", help, argc, argv);
}
