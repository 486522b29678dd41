/* weir sink: the ways out of a running daemon. */
#include <stdlib.h>

#include "cli/noun.h"

static const char help[] =
    "usage: weir sink VERB [ARGUMENTS] [OPTIONS]\n\n"
    "Where the records of a running weir serve go besides its own readers (docs/sinks.md). SINK is its number.\n\n"
    "verbs\n"
    "  list                   all of them\n"
    "  show SINK              one, with its account: queued waits here, buffered was sent or is to be, and nobody has acknowledged\n"
    "                         it yet, written is what the other end has\n"
    "  add SPEC               ndjson:FILE, csv:FOLDER, redis://..., nats://..., kafka://..., unix:PATH, udp://...\n"
    "  enable SINK, disable SINK\n"
    "  remove SINK\n\n"
    "options\n"
    "  --name NAME            add: what it is called\n"
    "  --pattern PATTERN      add: of which topics; '>' for all, which is the default\n"
    "  --connection WHICH     add: only of this connection, by number or name\n"
    "  --policy POLICY        add: when it is slow: drop_oldest (the default), newest_per_key, disconnect\n"
    "  -y, --yes              remove: do not ask\n"
    "  -j, --json             the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir sink add redis://127.0.0.1:6379/weir --name redis --pattern 'trades.>'\n"
    "  weir sink add csv:/srv/second.csv --connection second\n"
    "  weir sink list\n";

static const column in_list[] = {
    {"ID", "id", COLUMN_COUNT, 0},
    {"NAME", "name", COLUMN_TEXT, 20},
    {"SPEC", "spec", COLUMN_TEXT, 36},
    {"PATTERN", "pattern", COLUMN_TEXT, 24},
    {"CONN", "connection", COLUMN_COUNT, 0},
    {"STATE", "state", COLUMN_TEXT, 8},
    {"WRITTEN", "account.written", COLUMN_COUNT, 0},
    {"QUEUED", "account.queued", COLUMN_COUNT, 0},
    {"BUFFERED", "account.buffered", COLUMN_COUNT, 0},
    {"DROPPED", "account.dropped", COLUMN_COUNT, 0},
    {"LOST", "account.lost", COLUMN_COUNT, 0},
    {"WHY", "why", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column one_by_one[] = {
    {"id", "id", COLUMN_TEXT, 0},
    {"name", "name", COLUMN_TEXT, 0},
    {"spec", "spec", COLUMN_TEXT, 0},
    {"pattern", "pattern", COLUMN_TEXT, 0},
    {"connection", "connection", COLUMN_TEXT, 0},
    {"policy", "policy", COLUMN_TEXT, 0},
    {"state", "state", COLUMN_TEXT, 0},
    {"why", "why", COLUMN_TEXT, 0},
    {"offered", "account.offered", COLUMN_COUNT, 0},
    {"delivered", "account.delivered", COLUMN_COUNT, 0},
    {"dropped", "account.dropped", COLUMN_COUNT, 0},
    {"queued", "account.queued", COLUMN_COUNT, 0},
    {"accepted", "account.accepted", COLUMN_COUNT, 0},
    {"written", "account.written", COLUMN_COUNT, 0},
    {"buffered", "account.buffered", COLUMN_COUNT, 0},
    {"sent again", "account.again", COLUMN_COUNT, 0},
    {"doubles", "account.doubles", COLUMN_COUNT, 0},
    {"lost", "account.lost", COLUMN_COUNT, 0},
    {"octets", "account.octets", COLUMN_OCTETS, 0},
    {"lag ms", "account.lag_ms", COLUMN_COUNT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static void print_sink(asked *a, json doc)
{
    (void)a;
    columns_print_one(stdout, doc, one_by_one);
}

static int list_all(asked *a)
{
    return asked_list(a, "/v1/sinks", "sinks", in_list, "there are no sinks; weir sink add SPEC makes one");
}

static int about(asked *a, const char *method, bytes body, void (*print)(asked *a, json doc))
{
    char *path = asked_path("/v1/sinks/", a->args[0], "");
    int code = path ? asked_print(a, method, path, body, print) : EXIT_FAILED;
    free(path);
    return code;
}

static int show(asked *a)
{
    return about(a, "GET", (bytes){0}, print_sink);
}

static int add(asked *a)
{
    static const struct {
        noun_option option;
        const char *name;
    } members[] = {{ON_NAME, "name"}, {ON_PATTERN, "pattern"}, {ON_POLICY, "policy"}};
    buf body;
    char connection[24];
    int code;
    if (asked_option(a, ON_CONNECTION) && !asked_connection(a, asked_option(a, ON_CONNECTION), connection, &code))
        return code;
    buf_init(&body, 1 << 20);
    buf_add_char(&body, '{');
    json_put_member(&body, "spec", bytes_of(a->args[0]));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (asked_option(a, members[i].option))
            json_put_member(&body, members[i].name, bytes_of(asked_option(a, members[i].option)));
    if (asked_option(a, ON_CONNECTION)) {
        json_put_key(&body, "connection");
        buf_add_text(&body, connection);
    }
    buf_add_char(&body, '}');
    code = asked_print(a, "POST", "/v1/sinks", buf_bytes(&body), print_sink);
    buf_fini(&body);
    return code;
}

static int enable(asked *a)
{
    return about(a, "PATCH", BYTES("{\"enabled\":true}"), print_sink);
}

static int disable(asked *a)
{
    return about(a, "PATCH", BYTES("{\"enabled\":false}"), print_sink);
}

static int take_away(asked *a)
{
    char question[256];
    snprintf(question, sizeof question, "remove sink '%.100s'?", a->args[0]);
    if (!asked_sure(a, question))
        return EXIT_FAILED;
    int code = about(a, "DELETE", (bytes){0}, NULL);
    if (!code && !a->json)
        printf("sink '%s' is gone\n", a->args[0]);
    return code;
}

static const verb verbs[] = {
    {"list", "no more", 0, 0, 0, list_all},
    {"show", "the sink's number", 1, 1, 0, show},
    {"add", "what the sink is, such as ndjson:FILE", 1, 1, WITH(NAME) | WITH(PATTERN) | WITH(CONNECTION) | WITH(POLICY), add},
    {"enable", "the sink's number", 1, 1, 0, enable},
    {"disable", "the sink's number", 1, 1, 0, disable},
    {"remove", "the sink's number", 1, 1, WITH(YES), take_away},
    {NULL, NULL, 0, 0, 0, NULL},
};

int cmd_sink(int argc, char **argv)
{
    return noun_run("sink", verbs, help, argc, argv);
}
