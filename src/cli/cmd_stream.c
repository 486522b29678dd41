/* weir stream: the streams that a running daemon keeps alive. */
#include <stdlib.h>
#include <string.h>

#include "cli/noun.h"

static const char help[] =
    "usage: weir stream VERB [ARGUMENTS] [OPTIONS]\n\n"
    "The streams that a running weir serve keeps alive. STREAM is its number or its\n"
    "topic; where two connections stream one topic, TOPIC@CONNECTION.\n\n"
    "verbs\n"
    "  list                   all of them\n"
    "  show STREAM            one\n"
    "  add SPEC               want one: TYPE:IDENTIFIER[:TIMEFRAME][,NAME=VALUE...], as for 'weir run --stream'\n"
    "  start STREAM, stop STREAM\n"
    "  restart STREAM         begin it anew; what is missed meanwhile is told as a gap\n"
    "  remove STREAM          its history stays\n\n"
    "options\n"
    "  --connection WHICH     add: on this connection, by number or name; needed if there are several\n"
    "  --plugin ID            add: on the first connection of this plugin, which is made if it needs no configuration\n"
    "  -y, --yes              remove: do not ask\n"
    "  -j, --json             the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir stream add ohlcv:SPOT_BTC_USDT:1m\n"
    "  weir stream add orderbook:SPOT_ETH_USDT,depth=50 --connection main\n"
    "  weir stream restart trades.woox-datasource.SPOT_BTC_USDT\n"
    "  weir stream list --json | jq '.streams[] | select(.state != \"live\")'\n";

static const column in_list[] = {
    {"ID", "id", COLUMN_COUNT, 0},
    {"TOPIC", "topic", COLUMN_TEXT, 48},
    {"CONN", "connection", COLUMN_COUNT, 0},
    {"STATE", "state", COLUMN_TEXT, 10},
    {"RECORDS", "figures.records", COLUMN_COUNT, 0},
    {"GAPS", "figures.gaps", COLUMN_COUNT, 0},
    {"LAST", "figures.last_ts_recv", COLUMN_AGE, 0},
    {"WHY", "why", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column one_by_one[] = {
    {"id", "id", COLUMN_TEXT, 0},
    {"topic", "topic", COLUMN_TEXT, 0},
    {"plugin", "plugin", COLUMN_TEXT, 0},
    {"connection", "connection", COLUMN_TEXT, 0},
    {"parameters", "parameters", COLUMN_TEXT, 0},
    {"wanted", "wanted", COLUMN_TEXT, 0},
    {"state", "state", COLUMN_TEXT, 0},
    {"why", "why", COLUMN_TEXT, 0},
    {"since", "since", COLUMN_TIME, 0},
    {"messages", "figures.received", COLUMN_COUNT, 0},
    {"records", "figures.records", COLUMN_COUNT, 0},
    {"gaps", "figures.gaps", COLUMN_COUNT, 0},
    {"restarts", "figures.restarts", COLUMN_COUNT, 0},
    {"waiting", "figures.waiting", COLUMN_COUNT, 0},
    {"last message", "figures.last_ts_recv", COLUMN_TIME, 0},
    {"last event", "figures.last_ts_event", COLUMN_TIME, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static void print_stream(asked *a, json doc)
{
    (void)a;
    columns_print_one(stdout, doc, one_by_one);
}

static int list_all(asked *a)
{
    return asked_list(a, "/v1/streams", "streams", in_list, "there are no streams yet; weir stream add TYPE:IDENTIFIER[:TIMEFRAME] wants one");
}

static int about(asked *a, const char *method, const char *behind, bytes body, void (*print)(asked *a, json doc))
{
    char id[24];
    int code = EXIT_FAILED;
    if (!asked_stream(a, a->args[0], id, &code))
        return code;
    char *path = asked_path("/v1/streams/", id, behind);
    if (path)
        code = asked_print(a, method, path, body, print);
    free(path);
    return code;
}

static int show(asked *a)
{
    return about(a, "GET", "", (bytes){0}, print_stream);
}

/* ---- Added ---- */

/* How many there are, and the one if there is one: {"connection":1} or {"plugin":"id"}. */
static size_t only_one(asked *a, const char *path, const char *member, const char *name, buf *out, int *code)
{
    remote_answer answer;
    json key, item;
    size_t count = 0, before = out->len;
    if (!(*code = remote_ask(a->remote, &answer, "GET", path, (bytes){0})))
        for (json_iter it = json_each(json_member(answer.doc, member)); json_next(&it, &key, &item); count++) {
            out->len = before;
            json_put_key(out, name);
            buf_add_bytes(out, json_member(item, "id").raw);
        }
    remote_answer_free(&answer);
    return count;
}

/* On which connection: as said, or the only one there is, or that of the only plugin. */
static bool put_where(asked *a, buf *out, int *code)
{
    const char *connection = asked_option(a, ON_CONNECTION), *plugin = asked_option(a, ON_PLUGIN);
    char id[24];
    if (connection && plugin)
        return *code = cli_usage("stream", "--connection or --plugin, not both"), false;
    if (plugin)
        return json_put_member(out, "plugin", bytes_of(plugin)), true;
    if (connection) {
        if (asked_connection(a, connection, id, code))
            json_put_key(out, "connection"), buf_add_text(out, id);
        return !*code;
    }
    size_t count = only_one(a, "/v1/connections", "connections", "connection", out, code);
    if (!*code && count > 1)
        *code = cli_usage("stream", "there are %zu connections: --connection WHICH; weir connection list shows them", count);
    if (*code || count)
        return !*code;
    count = only_one(a, "/v1/plugins", "plugins", "plugin", out, code);
    if (!*code && count != 1)
        *code = count ? cli_usage("stream", "there are %zu plugins and no connection: --plugin ID, or weir connection create PLUGIN first", count)
                      : cli_fail(EXIT_FAILED, "there is no plugin yet; weir plugin install FILE brings one");
    return !*code;
}

static int add(asked *a)
{
    cli_spec spec = {0};
    buf body;
    int code = EXIT_FINE;
    if (!cli_is_spec(a->args[0]))
        return cli_usage("stream", "'%s' is no stream; TYPE:IDENTIFIER[:TIMEFRAME] is, such as ohlcv:SPOT_BTC_USDT:1m", a->args[0]);
    buf_init(&body, 1 << 20);
    buf_add_char(&body, '{');
    if (put_where(a, &body, &code) && !cli_spec_read(&spec, a->args[0]))
        code = cli_fail(EXIT_FAILED, "out of memory");
    if (!code) {
        json_put_member(&body, "type", bytes_of(spec.type));
        json_put_member(&body, "identifier", bytes_of(spec.identifier));
        json_put_key(&body, "parameters");
        buf_add_text(&body, spec.parameters);
        buf_add_char(&body, '}');
        code = asked_print(a, "POST", "/v1/streams", buf_bytes(&body), print_stream);
    }
    cli_spec_free(&spec);
    buf_fini(&body);
    return code;
}

/* ---- Changed ---- */

static int start(asked *a)
{
    return about(a, "PATCH", "", BYTES("{\"wanted\":\"on\"}"), print_stream);
}

static int stop(asked *a)
{
    return about(a, "PATCH", "", BYTES("{\"wanted\":\"off\"}"), print_stream);
}

static int restart(asked *a)
{
    return about(a, "POST", "/restart", (bytes){0}, print_stream);
}

static int take_away(asked *a)
{
    char question[256];
    snprintf(question, sizeof question, "remove stream '%.100s'?", a->args[0]);
    if (!asked_sure(a, question))
        return EXIT_FAILED;
    int code = about(a, "DELETE", "", (bytes){0}, NULL);
    if (!code && !a->json)
        printf("stream '%s' is gone; its history stays\n", a->args[0]);
    return code;
}

static const verb verbs[] = {
    {"list", "no more", 0, 0, 0, list_all},
    {"show", "the stream's number or topic", 1, 1, 0, show},
    {"add", "TYPE:IDENTIFIER[:TIMEFRAME]", 1, 1, WITH(CONNECTION) | WITH(PLUGIN), add},
    {"start", "the stream's number or topic", 1, 1, 0, start},
    {"stop", "the stream's number or topic", 1, 1, 0, stop},
    {"restart", "the stream's number or topic", 1, 1, 0, restart},
    {"remove", "the stream's number or topic", 1, 1, WITH(YES), take_away},
    {NULL, NULL, 0, 0, 0, NULL},
};

int cmd_stream(int argc, char **argv)
{
    return noun_run("stream", verbs, help, argc, argv);
}
