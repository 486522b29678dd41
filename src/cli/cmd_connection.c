/* weir connection: the connections of a running daemon, each a plugin with a configuration. */
#include <stdlib.h>
#include <string.h>

#include "cli/config.h"
#include "cli/noun.h"

static const char help[] =
    "usage: weir connection VERB [ARGUMENTS] [OPTIONS]\n\n"
    "The connections of a running weir serve: a plugin with a configuration. CONNECTION is its number or its name.\n\n"
    "verbs\n"
    "  list                   all of them\n"
    "  show CONNECTION        one; of its secrets only which are set\n"
    "  create PLUGIN          make one; what the plugin's form wants and nobody gave is asked for on a terminal\n"
    "  set CONNECTION [NAME=VALUE ...]  change values, or its name\n"
    "  test CONNECTION        try it\n"
    "  enable CONNECTION, disable CONNECTION\n"
    "  remove CONNECTION      with its streams; their history stays\n\n"
    "options\n"
    "  --config NAME=VALUE    create, set: a value of the form; repeat. Or WEIR_CONFIG_NAME in the environment (create)\n"
    "  --config @FILE         the same from a JSON object, lines NAME=VALUE, or FILE.toml (also --config-file FILE)\n"
    "  --unset NAME           set: take this value away; repeat\n"
    "  --name NAME            create, set: what it is called\n"
    "  -y, --yes              remove: do not ask\n"
    "  -j, --json             the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir connection create woox-datasource --name main\n"
    "  weir connection set main depth=50 --unset proxy\n"
    "  weir connection test main\n"
    "  weir secret set main api_key\n\n"
    "exit codes: 5 it was tried and failed; others as in 'weir --help'\n";

static const column in_list[] = {
    {"ID", "id", COLUMN_COUNT, 0},
    {"NAME", "name", COLUMN_TEXT, 24},
    {"PLUGIN", "plugin", COLUMN_TEXT, 24},
    {"STATE", "state", COLUMN_TEXT, 10},
    {"STREAMS", "streams", COLUMN_COUNT, 0},
    {"WHY", "why", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column one_by_one[] = {
    {"id", "id", COLUMN_TEXT, 0},
    {"name", "name", COLUMN_TEXT, 0},
    {"plugin", "plugin", COLUMN_TEXT, 0},
    {"enabled", "enabled", COLUMN_TEXT, 0},
    {"state", "state", COLUMN_TEXT, 0},
    {"why", "why", COLUMN_TEXT, 0},
    {"streams", "streams", COLUMN_COUNT, 0},
    {"config", "config", COLUMN_TEXT, 0},
    {"secrets set", "secrets_set", COLUMN_TEXT, 0},
    {"created", "created_at", COLUMN_TIME, 0},
    {"updated", "updated_at", COLUMN_TIME, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static void print_connection(asked *a, json doc)
{
    (void)a;
    columns_print_one(stdout, doc, one_by_one);
}

static int list_all(asked *a)
{
    return asked_list(a, "/v1/connections", "connections", in_list, "there are no connections yet; weir connection create PLUGIN makes one");
}

static int about(asked *a, const char *method, const char *behind, bytes body, void (*print)(asked *a, json doc))
{
    char id[24];
    int code = EXIT_FAILED;
    if (!asked_connection(a, a->args[0], id, &code))
        return code;
    char *path = asked_path("/v1/connections/", id, behind);
    if (path)
        code = asked_print(a, method, path, body, print);
    free(path);
    return code;
}

static int show(asked *a)
{
    return about(a, "GET", "", (bytes){0}, print_connection);
}

/* ---- Made ---- */

/* The form's values: given, from the environment, asked for. NULL after an error that it has reported. */
static char *filled(asked *a, int *code)
{
    remote_answer answer;
    char *given = cli_config(&a->given[ON_CONFIG], asked_option(a, ON_CONFIG_FILE)), *text = NULL;
    char *path = given ? asked_path("/v1/plugins/", a->args[0], "") : NULL;
    *code = EXIT_USAGE;
    if (path && !(*code = remote_ask(a->remote, &answer, "GET", path, (bytes){0}))) {
        text = cli_config_fill(json_member(answer.doc, "fields"), given);
        *code = text ? EXIT_FINE : EXIT_FAILED;
    }
    if (path)
        remote_answer_free(&answer);
    free(path);
    free(given);
    return text;
}

static int create(asked *a)
{
    int code;
    buf body;
    char *config = filled(a, &code);
    if (!config)
        return code;
    buf_init(&body, 4 << 20);
    buf_add_char(&body, '{');
    json_put_member(&body, "plugin", bytes_of(a->args[0]));
    if (asked_option(a, ON_NAME))
        json_put_member(&body, "name", bytes_of(asked_option(a, ON_NAME)));
    json_put_key(&body, "config");
    buf_add_text(&body, *config ? config : "{}");
    buf_add_char(&body, '}');
    code = body.failed ? cli_fail(EXIT_USAGE, "the configuration is too large") : asked_print(a, "POST", "/v1/connections", buf_bytes(&body), print_connection);
    explicit_bzero(config, strlen(config));
    free(config);
    if (body.at)
        explicit_bzero(body.at, body.cap);
    buf_fini(&body);
    return code;
}

/* ---- Changed ---- */

/* NAME=VALUE as arguments are --config, too. */
static bool gather(asked *a)
{
    for (int i = 1; i < a->count; i++) {
        const char *equals = strchr(a->args[i], '=');
        if (!equals || equals == a->args[i])
            return cli_usage("connection", "'%s' is not NAME=VALUE", a->args[i]), false;
        cli_add(&a->given[ON_CONFIG], a->args[i]);
    }
    return true;
}

static void put_changes(buf *out, const asked *a, const char *config)
{
    const cli_list *unset = &a->given[ON_UNSET];
    const char *name = asked_option(a, ON_NAME);
    buf_add_char(out, '{');
    if (name)
        json_put_member(out, "name", bytes_of(name));
    if (*config || unset->count) {
        json_put_key(out, "config");
        buf_add(out, *config ? config : "{", *config ? strlen(config) - 1 : 1); /* without its last brace */
        for (size_t i = 0; i < unset->count; i++) {
            json_put_key(out, unset->at[i]);
            buf_add_text(out, "null");
        }
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
}

static int set(asked *a)
{
    buf body;
    if (!gather(a))
        return EXIT_USAGE;
    char *config = cli_config(&a->given[ON_CONFIG], asked_option(a, ON_CONFIG_FILE));
    if (!config)
        return EXIT_USAGE;
    if (!*config && !a->given[ON_UNSET].count && !asked_option(a, ON_NAME)) {
        free(config);
        return cli_usage("connection", "what shall be set? NAME=VALUE, --unset NAME or --name NAME");
    }
    buf_init(&body, 4 << 20);
    put_changes(&body, a, config);
    int code = about(a, "PATCH", "", buf_bytes(&body), print_connection);
    buf_fini(&body);
    free(config);
    return code;
}

static int enable(asked *a)
{
    return about(a, "PATCH", "", BYTES("{\"enabled\":true}"), print_connection);
}

static int disable(asked *a)
{
    return about(a, "PATCH", "", BYTES("{\"enabled\":false}"), print_connection);
}

static int take_away(asked *a)
{
    char question[256];
    snprintf(question, sizeof question, "remove connection '%.100s' with its streams?", a->args[0]);
    if (!asked_sure(a, question))
        return EXIT_FAILED;
    int code = about(a, "DELETE", "", (bytes){0}, NULL);
    if (!code && !a->json)
        printf("connection '%s' is gone\n", a->args[0]);
    return code;
}

/* ---- Tried ---- */

static int test(asked *a)
{
    char id[24];
    remote_answer answer;
    int code = EXIT_FAILED;
    uint64_t ms = 0;
    static const column why[] = {{"", "why", COLUMN_TEXT, 0}};
    if (!asked_connection(a, a->args[0], id, &code))
        return code;
    char *path = asked_path("/v1/connections/", id, "/test");
    if (!path)
        return EXIT_FAILED;
    code = remote_ask(a->remote, &answer, "POST", path, (bytes){0});
    bool ok = json_member(answer.doc, "ok").type == JSON_TRUE;
    buf text;
    buf_init(&text, 1 << 20);
    column_text(&text, answer.doc, why, 0);
    json_u64(json_member(answer.doc, "took_ms"), &ms);
    if (!code && a->json)
        printf("%.*s\n", (int)answer.body.len, answer.body.at);
    else if (!code && ok)
        printf("it works (%llu ms)\n", (unsigned long long)ms);
    else if (!code)
        cli_fail(EXIT_GUEST, "connection '%s': %.*s", a->args[0], (int)text.len, text.at ? text.at : "");
    buf_fini(&text);
    remote_answer_free(&answer);
    free(path);
    return code ? code : ok ? EXIT_FINE
                            : EXIT_GUEST;
}

static const verb verbs[] = {
    {"list", "no more", 0, 0, 0, list_all},
    {"show", "the connection's number or name", 1, 1, 0, show},
    {"create", "the plugin's id", 1, 1, WITH(NAME) | WITH(CONFIG) | WITH(CONFIG_FILE), create},
    {"set", "the connection's number or name, and NAME=VALUE", 1, 1000, WITH(NAME) | WITH(CONFIG) | WITH(CONFIG_FILE) | WITH(UNSET), set},
    {"test", "the connection's number or name", 1, 1, 0, test},
    {"enable", "the connection's number or name", 1, 1, 0, enable},
    {"disable", "the connection's number or name", 1, 1, 0, disable},
    {"remove", "the connection's number or name", 1, 1, WITH(YES), take_away},
    {NULL, NULL, 0, 0, 0, NULL},
};

int cmd_connection(int argc, char **argv)
{
    return noun_run("connection", verbs, help, argc, argv);
}
