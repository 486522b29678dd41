/* weir token: who may ask a running daemon what. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/history.h"
#include "cli/noun.h"

static const char help[] =
    "usage: weir token VERB [ARGUMENTS] [OPTIONS]\n\n"
    "The tokens by which a running weir serve knows who asks. The daemon keeps a hash; a token's text is seen once.\n\n"
    "verbs\n"
    "  list                   all of them, without their texts\n"
    "  create NAME            make one, for the person or program of this name; its text goes to standard output\n"
    "  remove ID              take it back; what is open by it is closed\n\n"
    "options\n"
    "  --scope SCOPE          create: read (the default), operate, admin\n"
    "  --expires TIME         create: 30d (from now), 2027-01-01, 2027-01-01T12:00:00Z; without it never\n"
    "  -y, --yes              remove: do not ask\n"
    "  -j, --json             the daemon's answer as it is\n" REMOTE_HELP
    "\nexamples\n"
    "  weir token create grafana --scope read > grafana.token\n"
    "  weir token create deploy --scope admin --expires 1d\n";

static const column in_list[] = {
    {"ID", "id", COLUMN_TEXT, 24},
    {"NAME", "name", COLUMN_TEXT, 32},
    {"SCOPE", "scope", COLUMN_TEXT, 8},
    {"CREATED", "created_at", COLUMN_TIME, 0},
    {"EXPIRES", "expires_at", COLUMN_TIME, 0},
    {"EXPIRED", "expired", COLUMN_TEXT, 0},
    {NULL, NULL, COLUMN_TEXT, 0},
};

static int list_all(asked *a)
{
    return asked_list(a, "/v1/tokens", "tokens", in_list, "there are no tokens");
}

/* The text alone, for a file or a pipe; what else is to be said goes to the terminal. */
static void print_token(asked *a, json doc)
{
    char *text = json_string_dup(json_member(doc, "token"));
    (void)a;
    fprintf(stderr, "weir: this is the only time that it is seen%s\n", isatty(STDOUT_FILENO) ? ":" : "");
    if (text) {
        puts(text);
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

/* "30d" is ahead here, where history_time looks back. */
static bool read_expiry(const char *text, uint64_t *ns)
{
    uint64_t now = clock_real(), at;
    if (!history_time(text, now, &at) || !strcmp(text, "now"))
        return false;
    size_t digits = strspn(text, "0123456789");
    bool span = digits && text[digits] && !strchr("-.:T", text[digits]);
    *ns = span ? now + (now - at) : at;
    return *ns > now;
}

static int create(asked *a)
{
    const char *scope = asked_option(a, ON_SCOPE), *expires = asked_option(a, ON_EXPIRES);
    uint64_t until = 0;
    buf body;
    if (expires && !read_expiry(expires, &until))
        return cli_usage("token", "--expires '%s': a time to come is wanted, such as 30d or 2027-01-01", expires);
    buf_init(&body, 1 << 20);
    buf_add_char(&body, '{');
    json_put_member(&body, "name", bytes_of(a->args[0]));
    json_put_member(&body, "scope", bytes_of(scope ? scope : "read"));
    if (until) {
        json_put_key(&body, "expires_at");
        buf_add_fmt(&body, "\"%llu\"", (unsigned long long)until);
    }
    buf_add_char(&body, '}');
    int code = asked_print(a, "POST", "/v1/tokens", buf_bytes(&body), print_token);
    buf_fini(&body);
    return code;
}

static int take_away(asked *a)
{
    char question[256];
    snprintf(question, sizeof question, "take back token '%.100s'?", a->args[0]);
    if (!asked_sure(a, question))
        return EXIT_FAILED;
    char *path = asked_path("/v1/tokens/", a->args[0], "");
    int code = path ? asked_print(a, "DELETE", path, (bytes){0}, NULL) : EXIT_FAILED;
    free(path);
    if (!code && !a->json)
        printf("token '%s' is taken back\n", a->args[0]);
    return code;
}

static const verb verbs[] = {
    {"list", "no more", 0, 0, 0, list_all},
    {"create", "a name: whose it is", 1, 1, WITH(SCOPE) | WITH(EXPIRES), create},
    {"remove", "the token's id, which 'weir token list' shows", 1, 1, WITH(YES), take_away},
    {NULL, NULL, 0, 0, 0, NULL},
};

int cmd_token(int argc, char **argv)
{
    return noun_run("token", verbs, help, argc, argv);
}
