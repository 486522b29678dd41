/* weir secret: what a connection keeps secret. It is typed unseen or comes by a pipe, never by the command line, where others
 * could read it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/noun.h"

#define SECRET_MAX (64 << 10)

static const char help[] =
    "usage: weir secret VERB CONNECTION [NAME] [OPTIONS]\n\n"
    "What a connection of a running weir serve keeps secret: the fields that its plugin's form masks. They are sealed on the disk,\n"
    "and nobody can read them back. CONNECTION is its number or its name.\n\n"
    "verbs\n"
    "  list CONNECTION        which there are, and which are set\n"
    "  set CONNECTION NAME    asked for unseen on a terminal, else one line of standard input\n"
    "  remove CONNECTION NAME\n\n"
    "options\n"
    "  -j, --json             the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir secret set main api_key\n"
    "  pass show woox/key | weir secret set main api_key\n";

static void print_set(asked *a, json doc)
{
    static const column set[] = {{"", "secrets_set", COLUMN_TEXT, 0}}, state[] = {{"", "state", COLUMN_TEXT, 0}};
    buf text;
    (void)a;
    buf_init(&text, 1 << 16);
    column_text(&text, doc, set, 0);
    printf("secrets set: %.*s", text.len ? (int)text.len : 4, text.len ? text.at : "none");
    buf_clear(&text);
    column_text(&text, doc, state, 0);
    printf("; the connection is %.*s\n", (int)text.len, text.at ? text.at : "");
    buf_fini(&text);
}

/* ---- Which there are ---- */

typedef struct form {
    remote_answer connection, plugin;
    json fields, set;
} form;

static void form_free(form *f)
{
    remote_answer_free(&f->connection);
    remote_answer_free(&f->plugin);
}

static int read_form(asked *a, form *f, const char *id)
{
    *f = (form){0};
    char *path = asked_path("/v1/connections/", id, ""), *plugin = NULL;
    int code = path ? remote_ask(a->remote, &f->connection, "GET", path, (bytes){0}) : EXIT_FAILED;
    free(path);
    if (code)
        return code;
    f->set = json_member(f->connection.doc, "secrets_set");
    plugin = json_string_dup(json_member(f->connection.doc, "plugin"));
    path = asked_path("/v1/plugins/", plugin ? plugin : "", "");
    code = path ? remote_ask(a->remote, &f->plugin, "GET", path, (bytes){0}) : EXIT_FAILED;
    f->fields = json_member(f->plugin.doc, "fields");
    free(path);
    free(plugin);
    return code;
}

static bool is_secret(json field)
{
    return json_member(field, "mask").type == JSON_TRUE || json_is(json_member(field, "type"), "password");
}

static bool is_set(const form *f, json name)
{
    json key, item;
    for (json_iter it = json_each(f->set); json_next(&it, &key, &item);)
        if (bytes_equal(item.raw, name.raw))
            return true;
    return false;
}

static int list_all(asked *a)
{
    static const column name[] = {{"", "name", COLUMN_TEXT, 0}};
    char id[24];
    form f;
    json key, field;
    int code = EXIT_FAILED;
    bool any = false;
    buf text;
    if (!asked_connection(a, a->args[0], id, &code) || (code = read_form(a, &f, id)))
        return code;
    buf_init(&text, 1 << 16);
    if (a->json)
        printf("{\"secrets_set\":%.*s}\n", (int)f.set.raw.len, f.set.raw.at);
    for (json_iter it = json_each(f.fields); !a->json && json_next(&it, &key, &field);) {
        if (!is_secret(field))
            continue;
        buf_clear(&text);
        column_text(&text, field, name, 0);
        printf("%.*s: %s\n", (int)text.len, text.at ? text.at : "", is_set(&f, json_member(field, "name")) ? "set" : "not set");
        any = true;
    }
    if (!any && !a->json)
        fputs("weir: its plugin's form has no secret fields\n", stderr);
    buf_fini(&text);
    form_free(&f);
    return code;
}

/* ---- Changed ---- */

/* What would be stored in the open, or nowhere, is refused. */
static int check_name(asked *a, const char *id)
{
    form f;
    json key, field;
    buf names;
    bool found = false;
    int code = read_form(a, &f, id);
    buf_init(&names, 1 << 16);
    for (json_iter it = json_each(f.fields); !code && json_next(&it, &key, &field);)
        if (is_secret(field)) {
            static const column name[] = {{"", "name", COLUMN_TEXT, 0}};
            found |= json_is(json_member(field, "name"), a->args[1]);
            buf_add_text(&names, names.len ? ", " : "");
            column_text(&names, field, name, 0);
        }
    if (!code && !found)
        code = names.len ? cli_usage("secret", "'%s' is no secret of connection '%s'; %.*s would be", a->args[1], a->args[0], (int)names.len, names.at)
                         : cli_usage("secret", "connection '%s' has no secrets; weir connection set %s NAME=VALUE sets what is none", a->args[0], a->args[0]);
    buf_fini(&names);
    form_free(&f);
    return code;
}

static int patch(asked *a, const char *id, const char *secret)
{
    buf body;
    char *path = asked_path("/v1/connections/", id, "");
    buf_init(&body, 8 * SECRET_MAX);
    buf_add_text(&body, "{\"config\":{");
    json_put_key(&body, a->args[1]);
    if (secret)
        json_put_text(&body, secret);
    else
        buf_add_text(&body, "null");
    buf_add_text(&body, "}}");
    int code = path ? asked_print(a, "PATCH", path, buf_bytes(&body), print_set) : EXIT_FAILED;
    if (body.at)
        explicit_bzero(body.at, body.cap);
    buf_fini(&body);
    free(path);
    return code;
}

/* NULL after an error that it has reported. */
static char *read_secret(const asked *a)
{
    char question[128], *line = NULL;
    size_t room = 0;
    ssize_t n = -1;
    if (isatty(STDIN_FILENO)) {
        snprintf(question, sizeof question, "%.80s, not shown", a->args[1]);
        line = cli_ask(question, true);
        n = line ? (ssize_t)strlen(line) : -1;
    } else {
        n = getline(&line, &room, stdin);
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
    }
    if (n > 0 && n <= SECRET_MAX && strlen(line) == (size_t)n)
        return line;
    cli_fail(EXIT_USAGE, n > SECRET_MAX ? "that is more than 64 KiB" : n > 0 ? "there is a NUL in it"
                                                                             : "nothing was given; nothing is changed");
    free(line);
    return NULL;
}

static int set(asked *a)
{
    char id[24];
    int code = EXIT_FAILED;
    if (!asked_connection(a, a->args[0], id, &code) || (code = check_name(a, id)))
        return code;
    char *secret = read_secret(a);
    if (!secret)
        return EXIT_USAGE;
    code = patch(a, id, secret);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    return code;
}

static int take_away(asked *a)
{
    char id[24];
    int code = EXIT_FAILED;
    if (!asked_connection(a, a->args[0], id, &code) || (code = check_name(a, id)))
        return code;
    return patch(a, id, NULL);
}

static const verb verbs[] = {
    {"list", "the connection's number or name", 1, 1, 0, list_all},
    {"set", "the connection's number or name, and the field's name; the secret itself is asked for", 2, 2, 0, set},
    {"remove", "the connection's number or name, and the field's name", 2, 2, 0, take_away},
    {NULL, NULL, 0, 0, 0, NULL},
};

int cmd_secret(int argc, char **argv)
{
    return noun_run("secret", verbs, help, argc, argv);
}
