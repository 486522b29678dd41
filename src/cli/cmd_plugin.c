/* weir plugin: the plugins of a running daemon. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/noun.h"

static const char help[] =
    "usage: weir plugin VERB [ARGUMENTS] [OPTIONS]\n\n"
    "The plugins of a running weir serve.\n\n"
    "verbs\n"
    "  list                   all of them\n"
    "  show ID                one: what it asks for, what it is granted, its versions, its figures\n"
    "  install FILE           upload a module: a new plugin, or a new version of one\n"
    "  approve ID             grant what the waiting version asks for, and run it; with --sha256 an earlier one\n"
    "  reject ID              drop the waiting version\n"
    "  enable ID, disable ID  its streams run, or stop\n"
    "  reload ID              load it anew\n"
    "  rollback ID            back to the version before; one that asks for more than is granted needs approve\n"
    "  remove ID              take it away\n"
    "  traps ID               why its instances died, the newest first\n\n"
    "options\n"
    "  --allow PATTERN        approve: grant only this target; repeat\n"
    "  --sha256 SHA           approve, rollback: this version; 'show' lists them\n"
    "  --force                remove: its connections and streams, too\n"
    "  -y, --yes              approve, remove: do not ask\n"
    "  -j, --json             the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir plugin install woox.wasm\n"
    "  weir plugin show woox-datasource\n"
    "  weir plugin approve woox-datasource --allow 'wss://wss.woox.io/*'\n"
    "  weir plugin list --json | jq -r '.plugins[].id'\n\n"
    "exit codes: 4 a permission refuses it; others as in 'weir --help'\n";

static const column in_list[] = {
    {"ID", "id", COLUMN_TEXT, 28},
    {"VERSION", "version", COLUMN_TEXT, 12},
    {"STATE", "state", COLUMN_TEXT, 10},
    {"STREAMS", "figures.streams", COLUMN_COUNT, 0},
    {"RECORDS", "figures.records", COLUMN_COUNT, 0},
    {"TRAPS", "figures.traps", COLUMN_COUNT, 0},
    {"MEMORY", "figures.memory_octets", COLUMN_OCTETS, 0},
    {"PENDING", "pending.version", COLUMN_TEXT, 12},
    {"WHY", "why", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column one_by_one[] = {
    {"id", "id", COLUMN_TEXT, 0},
    {"name", "name", COLUMN_TEXT, 0},
    {"description", "description", COLUMN_TEXT, 0},
    {"version", "version", COLUMN_TEXT, 0},
    {"state", "state", COLUMN_TEXT, 0},
    {"why", "why", COLUMN_TEXT, 0},
    {"sha256", "sha256", COLUMN_TEXT, 0},
    {"size", "size", COLUMN_OCTETS, 0},
    {"asks for", "asks", COLUMN_TEXT, 0},
    {"is granted", "grants", COLUMN_TEXT, 0},
    {"streams of", "stream_types", COLUMN_TEXT, 0},
    {"time frames", "timeframes", COLUMN_TEXT, 0},
    {"commands", "commands", COLUMN_TEXT, 0},
    {"connections", "connections", COLUMN_COUNT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column figures[] = {
    {"streams", "figures.streams", COLUMN_COUNT, 0},
    {"messages", "figures.messages", COLUMN_COUNT, 0},
    {"records", "figures.records", COLUMN_COUNT, 0},
    {"gaps", "figures.gaps", COLUMN_COUNT, 0},
    {"restarts", "figures.restarts", COLUMN_COUNT, 0},
    {"traps", "figures.traps", COLUMN_COUNT, 0},
    {"calls", "figures.calls", COLUMN_COUNT, 0},
    {"call p50 us", "figures.call_p50_us", COLUMN_TEXT, 0},
    {"call p99 us", "figures.call_p99_us", COLUMN_TEXT, 0},
    {"cpu ms", "figures.cpu_ms", COLUMN_COUNT, 0},
    {"memory", "figures.memory_octets", COLUMN_OCTETS, 0},
    {"memory limit", "figures.memory_limit_octets", COLUMN_OCTETS, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column versions[] = {
    {"VERSION", "version", COLUMN_TEXT, 12},
    {"ACTIVE", "active", COLUMN_TEXT, 6},
    {"INSTALLED", "installed_at", COLUMN_TIME, 0},
    {"SIZE", "size", COLUMN_OCTETS, 0},
    {"SHA256", "sha256", COLUMN_TEXT, 64},
    {"FILE", "file_name", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static const column fields[] = {
    {"FIELD", "name", COLUMN_TEXT, 24},
    {"LABEL", "label", COLUMN_TEXT, 30},
    {"TYPE", "type", COLUMN_TEXT, 10},
    {"REQUIRED", "required", COLUMN_TEXT, 8},
    {"SECRET", "mask", COLUMN_TEXT, 6},
    {"DEFAULT", "default", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

/* ---- Said of one ---- */

static void print_text(json value)
{
    buf text;
    static const column whole[] = {{"", "", COLUMN_TEXT, 0}};
    buf_init(&text, 1 << 22);
    column_text(&text, value, whole, 0);
    printf("%.*s", (int)text.len, text.at ? text.at : "");
    buf_fini(&text);
}

static void print_each(const char *mark, json list)
{
    json key, item;
    for (json_iter it = json_each(list); json_next(&it, &key, &item);) {
        printf("  %s ", mark);
        print_text(item);
        putchar('\n');
    }
}

static bool any(json list)
{
    json key, item;
    json_iter it = json_each(list);
    return list.type == JSON_ARRAY && json_next(&it, &key, &item);
}

/* What a version asks for beyond what is granted, and what it does without. */
static void print_difference(json version)
{
    print_each("+", json_member(version, "adds"));
    print_each("-", json_member(version, "removes"));
    if (!any(json_member(version, "adds")) && !any(json_member(version, "removes")))
        puts("  nothing new");
}

static void print_pending(json doc)
{
    json pending = json_member(doc, "pending");
    if (pending.type != JSON_OBJECT)
        return;
    fputs("version ", stdout);
    print_text(json_member(pending, "version"));
    puts(" waits for approval. It asks for");
    print_difference(pending);
    fputs("weir plugin approve ", stdout);
    print_text(json_member(doc, "id"));
    puts(" grants it");
}

static void print_plugin(asked *a, json doc)
{
    (void)a;
    columns_print_one(stdout, doc, one_by_one);
    puts("\nfigures");
    columns_print_one(stdout, doc, figures);
    if (any(json_member(doc, "fields"))) {
        puts("\nits form, for 'weir connection create'");
        columns_print(stdout, json_member(doc, "fields"), fields);
    }
    if (any(json_member(doc, "versions"))) {
        puts("\nversions");
        columns_print(stdout, json_member(doc, "versions"), versions);
    }
    if (json_member(doc, "pending").type == JSON_OBJECT)
        putchar('\n');
    print_pending(doc);
}

static void print_state(asked *a, json doc)
{
    json why = json_member(doc, "why");
    (void)a;
    if (doc.type != JSON_OBJECT)
        return;
    print_text(json_member(doc, "id"));
    putchar(' ');
    print_text(json_member(doc, "version"));
    fputs(" is ", stdout);
    print_text(json_member(doc, "state"));
    if (why.type == JSON_STRING && why.raw.len > 2) {
        fputs(": ", stdout);
        print_text(why);
    }
    putchar('\n');
    print_pending(doc);
}

/* ---- Verbs ---- */

static int list_all(asked *a)
{
    return asked_list(a, "/v1/plugins", "plugins", in_list, "there are no plugins yet; weir plugin install FILE brings one");
}

/* A question about args[0], without a body. */
static int about(asked *a, const char *method, const char *behind, void (*print)(asked *a, json doc))
{
    char *path = asked_path("/v1/plugins/", a->args[0], behind);
    int code = path ? asked_print(a, method, path, (bytes){0}, print) : EXIT_FAILED;
    free(path);
    return code;
}

static int show(asked *a)
{
    return about(a, "GET", "", print_plugin);
}

static int act(asked *a)
{
    char behind[32];
    snprintf(behind, sizeof behind, "/%s", a->verb);
    return about(a, "POST", behind, print_state);
}

static int install(asked *a)
{
    weir_error err = WEIR_ERROR_INIT;
    remote_answer answer;
    buf module;
    const char *name = strrchr(a->args[0], '/') ? strrchr(a->args[0], '/') + 1 : a->args[0];
    buf_init(&module, 256u << 20);
    if (file_read(&module, a->args[0], &err)) {
        buf_fini(&module);
        return cli_fail(EXIT_FAILED, "%s", err.text);
    }
    char *path = module.len ? asked_path("/v1/plugins?file_name=", name, "") : NULL;
    int code = EXIT_FAILED;
    if (!module.len)
        code = cli_fail(EXIT_PLUGIN, "'%s' is empty", a->args[0]);
    if (path) {
        code = remote_upload(a->remote, &answer, path, buf_bytes(&module));
        if (!code && a->json)
            printf("%.*s\n", (int)answer.body.len, answer.body.at);
        else if (!code)
            print_state(a, answer.doc);
        remote_answer_free(&answer);
    }
    free(path);
    buf_fini(&module);
    return code;
}

/* {"sha256":"...","allow":[...]}. */
static void put_choice(buf *out, const asked *a, const char *sha256)
{
    const cli_list *allow = &a->given[ON_ALLOW];
    buf_add_char(out, '{');
    if (sha256)
        json_put_member(out, "sha256", bytes_of(sha256));
    if (allow->count) {
        json_put_key(out, "allow");
        for (size_t i = 0; i < allow->count; i++) {
            buf_add_char(out, i ? ',' : '[');
            json_put_text(out, allow->at[i]);
        }
        buf_add_char(out, ']');
    }
    buf_add_char(out, '}');
}

static int choose(asked *a, const char *behind, const char *sha256)
{
    buf body;
    char *path = asked_path("/v1/plugins/", a->args[0], behind);
    buf_init(&body, 1 << 20);
    put_choice(&body, a, sha256);
    int code = path ? asked_print(a, "POST", path, buf_bytes(&body), print_state) : EXIT_FAILED;
    buf_fini(&body);
    free(path);
    return code;
}

/* Of the version that has this hash, as of one that waits. */
static void print_version(json doc, const char *sha256)
{
    json key, item, all = json_member(doc, "versions");
    if (all.type != JSON_ARRAY)
        return;
    for (json_iter it = json_each(all); json_next(&it, &key, &item);) {
        if (!json_is(json_member(item, "sha256"), sha256))
            continue;
        fputs("version ", stdout);
        print_text(json_member(item, "version"));
        puts(" asks for");
        print_difference(item);
    }
}

/* What was seen is what is approved: by its hash, not by what may wait a moment later. */
static int approve(asked *a)
{
    remote_answer answer;
    char question[128];
    char *path = asked_path("/v1/plugins/", a->args[0], "");
    int code = path ? remote_ask(a->remote, &answer, "GET", path, (bytes){0}) : EXIT_FAILED;
    if (!path)
        return code;
    free(path);
    char *sha256 = code ? NULL : json_string_dup(column_member(answer.doc, "pending.sha256"));
    const char *wanted = asked_option(a, ON_SHA256) ? asked_option(a, ON_SHA256) : sha256;
    if (!code && !a->json && wanted && wanted != sha256)
        print_version(answer.doc, wanted);
    else if (!code && !a->json)
        print_pending(answer.doc);
    fflush(stdout);
    remote_answer_free(&answer);
    snprintf(question, sizeof question, "approve it%s?", a->given[ON_ALLOW].count ? ", and grant only what --allow says" : "");
    if (!code && !wanted)
        code = cli_fail(EXIT_FAILED, "plugin '%s': no version waits for approval; --sha256 names one of those that 'weir plugin show' lists", a->args[0]);
    else if (!code && !asked_sure(a, question))
        code = EXIT_FAILED;
    if (!code)
        code = choose(a, "/approve", wanted);
    free(sha256);
    return code;
}

static int rollback(asked *a)
{
    int code = choose(a, "/rollback", asked_option(a, ON_SHA256));
    if (code == EXIT_REFUSED && !remote_token_refused(a->remote))
        fprintf(stderr, "weir: 'weir plugin approve %s --sha256 SHA' shows what a version asks for, grants it and goes over to it\n", a->args[0]);
    return code;
}

static int take_away(asked *a)
{
    char question[256];
    bool force = a->given[ON_FORCE].count > 0;
    snprintf(question, sizeof question, "remove plugin '%.100s'%s?", a->args[0], force ? " with its connections and streams" : "");
    if (!asked_sure(a, question))
        return EXIT_FAILED;
    int code = about(a, "DELETE", force ? "?force=1" : "", NULL);
    if (!code && !a->json)
        printf("plugin '%s' is gone\n", a->args[0]);
    return code;
}

/* ---- Traps ---- */

static const column trap[] = {
    {"time", "time", COLUMN_TEXT, 0},
    {"version", "version", COLUMN_TEXT, 0},
    {"stream", "topic", COLUMN_TEXT, 0},
    {"export", "export", COLUMN_TEXT, 0},
    {"trap", "trap", COLUMN_TEXT, 0},
    {"then", "then", COLUMN_TEXT, 0},
    {"back-trace", "backtrace", COLUMN_TEXT, 0},
    {"message", "message", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static void print_traps(asked *a, json doc)
{
    json key, item, all = json_member(doc, "traps");
    const char *between = "";
    (void)a;
    for (json_iter it = json_each(all); json_next(&it, &key, &item); between = "\n") {
        fputs(between, stdout);
        columns_print_one(stdout, item, trap);
    }
    if (!any(all))
        fputs("weir: none of its instances died\n", stderr);
}

static int traps(asked *a)
{
    return about(a, "GET", "/traps", print_traps);
}

static const verb verbs[] = {
    {"list", "no more", 0, 0, 0, list_all},
    {"show", "the plugin's id", 1, 1, 0, show},
    {"install", "the module's file", 1, 1, 0, install},
    {"approve", "the plugin's id", 1, 1, WITH(YES) | WITH(ALLOW) | WITH(SHA256), approve},
    {"reject", "the plugin's id", 1, 1, 0, act},
    {"enable", "the plugin's id", 1, 1, 0, act},
    {"disable", "the plugin's id", 1, 1, 0, act},
    {"reload", "the plugin's id", 1, 1, 0, act},
    {"rollback", "the plugin's id", 1, 1, WITH(SHA256), rollback},
    {"remove", "the plugin's id", 1, 1, WITH(YES) | WITH(FORCE), take_away},
    {"traps", "the plugin's id", 1, 1, 0, traps},
    {NULL, NULL, 0, 0, 0, NULL},
};

int cmd_plugin(int argc, char **argv)
{
    return noun_run("plugin", verbs, help, argc, argv);
}
