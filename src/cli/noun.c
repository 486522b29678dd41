/* `weir NOUN VERB`: from the command line to the daemon's answer. */
#include "cli/noun.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define FIRST_OPTION 2000

static const struct option options[] = {
    [ON_NAME] = {"name", required_argument, 0, FIRST_OPTION + ON_NAME},
    [ON_CONFIG] = {"config", required_argument, 0, FIRST_OPTION + ON_CONFIG},
    [ON_CONFIG_FILE] = {"config-file", required_argument, 0, FIRST_OPTION + ON_CONFIG_FILE},
    [ON_UNSET] = {"unset", required_argument, 0, FIRST_OPTION + ON_UNSET},
    [ON_YES] = {"yes", no_argument, 0, FIRST_OPTION + ON_YES},
    [ON_ALLOW] = {"allow", required_argument, 0, FIRST_OPTION + ON_ALLOW},
    [ON_SHA256] = {"sha256", required_argument, 0, FIRST_OPTION + ON_SHA256},
    [ON_FORCE] = {"force", no_argument, 0, FIRST_OPTION + ON_FORCE},
    [ON_CONNECTION] = {"connection", required_argument, 0, FIRST_OPTION + ON_CONNECTION},
    [ON_PLUGIN] = {"plugin", required_argument, 0, FIRST_OPTION + ON_PLUGIN},
    [ON_FROM] = {"from", required_argument, 0, FIRST_OPTION + ON_FROM},
    [ON_TO] = {"to", required_argument, 0, FIRST_OPTION + ON_TO},
    [ON_LIMIT] = {"limit", required_argument, 0, FIRST_OPTION + ON_LIMIT},
    [ON_FORMAT] = {"format", required_argument, 0, FIRST_OPTION + ON_FORMAT},
    [ON_KINDS] = {"kinds", required_argument, 0, FIRST_OPTION + ON_KINDS},
    [ON_PATTERN] = {"pattern", required_argument, 0, FIRST_OPTION + ON_PATTERN},
    [ON_POLICY] = {"policy", required_argument, 0, FIRST_OPTION + ON_POLICY},
    [ON_SCOPE] = {"scope", required_argument, 0, FIRST_OPTION + ON_SCOPE},
    [ON_EXPIRES] = {"expires", required_argument, 0, FIRST_OPTION + ON_EXPIRES},
    [ON_OPTIONS] = {"json", no_argument, 0, 'j'},
    REMOTE_OPTIONS,
    {0, 0, 0, 0},
};

const char *asked_option(const asked *a, noun_option option)
{
    const cli_list *l = &a->given[option];
    return l->count ? l->at[l->count - 1] : NULL;
}

/* ---- The command line ---- */

static const verb *find_verb(const verb *verbs, const char *name)
{
    for (; verbs->name; verbs++)
        if (!strcmp(verbs->name, name))
            return verbs;
    return NULL;
}

static int unknown_verb(const char *noun, const verb *verbs, const char *given)
{
    buf all;
    buf_init(&all, 4096);
    for (const verb *v = verbs; v->name; v++)
        buf_add_fmt(&all, "%s%s", v == verbs ? "" : v[1].name ? ", "
                                                              : " and ",
                    v->name);
    int code = given ? cli_usage(noun, "weir %s has no '%s'; %.*s are there", noun, given, (int)all.len, all.at)
                     : cli_usage(noun, "weir %s what? %.*s are there", noun, (int)all.len, all.at);
    buf_fini(&all);
    return code;
}

static int check(const asked *a, const verb *v)
{
    for (int i = 0; i < ON_OPTIONS; i++)
        if (a->given[i].count && !(v->options & 1u << i))
            return cli_usage(a->noun, "option '--%s' does not belong to 'weir %s %s'", options[i].name, a->noun, v->name);
    if (a->count < v->least)
        return cli_usage(a->noun, "'weir %s %s' needs %s", a->noun, v->name, v->wants);
    if (a->count > v->most)
        return cli_usage(a->noun, "'%s' is too much: 'weir %s %s' takes %s", a->args[v->most], a->noun, v->name, v->most ? v->wants : "no more");
    for (int i = 0; i < a->count; i++)
        if (!*a->args[i])
            return cli_usage(a->noun, "an argument is empty; %s %s", v->wants, v->most > 1 ? "are wanted" : "is wanted");
    return EXIT_FINE;
}

static int read_options(asked *a, remote_options *where, bool *helped, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "jhy", options, NULL)) != -1) {
        option = option == 'y' ? FIRST_OPTION + ON_YES : option;
        if (option == 'h')
            *helped = true;
        else if (option == 'j')
            a->json = true;
        else if (option >= FIRST_OPTION)
            cli_add(&a->given[option - FIRST_OPTION], optarg ? optarg : "");
        else if (!remote_option(where, option, optarg))
            return cli_wrong_option(a->noun, argv);
    }
    return EXIT_FINE;
}

static int run_verb(asked *a, const remote_options *where, const verb *verbs, const char *unsaid, int argc, char **argv)
{
    int code;
    const verb *said = optind < argc ? find_verb(verbs, argv[optind]) : NULL, *v = said || !unsaid ? said : find_verb(verbs, unsaid);
    if (!v)
        return unknown_verb(a->noun, verbs, optind < argc ? argv[optind] : NULL);
    a->verb = v->name;
    a->args = argv + optind + (said != NULL);
    a->count = argc - optind - (said != NULL);
    if ((code = check(a, v)) || !(a->remote = remote_open(where, &code)))
        return code;
    code = v->run(a);
    remote_close(a->remote);
    return code;
}

int noun_run(const char *noun, const verb *verbs, const char *help, int argc, char **argv)
{
    return noun_run_unsaid(noun, verbs, NULL, help, argc, argv);
}

int noun_run_unsaid(const char *noun, const verb *verbs, const char *unsaid, const char *help, int argc, char **argv)
{
    asked a = {.noun = noun};
    remote_options where = {0};
    bool helped = false;
    int code = read_options(&a, &where, &helped, argc, argv);
    if (!code && helped)
        fputs(help, stdout);
    else if (!code)
        code = run_verb(&a, &where, verbs, unsaid, argc, argv);
    for (int i = 0; i < ON_OPTIONS; i++)
        free(a.given[i].at);
    return code;
}

/* ---- Asking ---- */

char *asked_path(const char *before, const char *id, const char *behind)
{
    buf path;
    buf_init(&path, 1 << 20);
    buf_add_text(&path, before);
    remote_put_piece(&path, id);
    buf_add_text(&path, behind);
    char *text = path.failed ? NULL : bytes_dup(buf_bytes(&path));
    buf_fini(&path);
    if (!text)
        cli_fail(EXIT_FAILED, "out of memory, or a name is too long");
    return text;
}

static void print_raw(const remote_answer *answer)
{
    fwrite(answer->body.at ? answer->body.at : "", 1, answer->body.len, stdout);
    if (answer->body.len && answer->body.at[answer->body.len - 1] != '\n')
        putchar('\n');
}

int asked_print(asked *a, const char *method, const char *path, bytes body, void (*print)(asked *a, json doc))
{
    remote_answer answer;
    int code = remote_ask(a->remote, &answer, method, path, body);
    if (!code && a->json)
        print_raw(&answer);
    else if (!code && print)
        print(a, answer.doc);
    remote_answer_free(&answer);
    return code;
}

int asked_list(asked *a, const char *path, const char *member, const column *columns, const char *none)
{
    remote_answer answer;
    json key, item;
    int code = remote_ask(a->remote, &answer, "GET", path, (bytes){0});
    json list = json_member(answer.doc, member);
    json_iter it = json_each(list);
    if (!code && a->json)
        print_raw(&answer);
    else if (!code && (list.type != JSON_ARRAY || !json_next(&it, &key, &item)))
        fprintf(stderr, "weir: %s\n", none);
    else if (!code)
        columns_print(stdout, list, columns);
    remote_answer_free(&answer);
    return code;
}

bool asked_sure(const asked *a, const char *question)
{
    char *line = NULL;
    size_t room = 0;
    if (a->given[ON_YES].count)
        return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        cli_fail(EXIT_USAGE, "%s nobody is there to answer; --yes would", question);
        return false;
    }
    fprintf(stderr, "%s [y/N] ", question);
    bool yes = getline(&line, &room, stdin) > 0 && (*line == 'y' || *line == 'Y');
    free(line);
    if (!yes)
        fprintf(stderr, "weir: nothing is changed\n");
    return yes;
}

/* ---- Which one ---- */

static bool is_number(const char *text)
{
    size_t n = strlen(text);
    for (const char *c = text; *c; c++)
        if (!isdigit((unsigned char)*c))
            return false;
    return n > 0 && n < 20;
}

/* The member is this text; of a stream also with its connection behind it: TOPIC@CONNECTION. */
static bool is_meant(json item, const char *by, const char *given)
{
    uint64_t number, connection;
    char *end, *topic;
    const char *at = strrchr(given, '@');
    if (json_is(json_member(item, by), given))
        return true;
    if (!at || at[1] < '0' || at[1] > '9' || !json_u64(json_member(item, "connection"), &connection))
        return false;
    number = strtoull(at + 1, &end, 10);
    if (*end || number != connection || !(topic = bytes_dup(bytes_make(given, (size_t)(at - given)))))
        return false;
    bool is = json_is(json_member(item, by), topic);
    free(topic);
    return is;
}

/* By a member that is this text: exactly one. */
static bool find_by(asked *a, const char *given, char id[24], const char *path, const char *member, const char *by, int *code)
{
    remote_answer answer;
    json key, item;
    size_t found = 0;
    uint64_t number;
    buf shown;
    if ((*code = remote_ask(a->remote, &answer, "GET", path, (bytes){0}))) {
        remote_answer_free(&answer);
        return false;
    }
    for (json_iter it = json_each(json_member(answer.doc, member)); json_next(&it, &key, &item);)
        if (is_meant(item, by, given) && json_u64(json_member(item, "id"), &number)) {
            snprintf(id, 24, "%llu", (unsigned long long)number);
            found++;
        }
    remote_answer_free(&answer);
    buf_init(&shown, 1 << 16);
    log_escape(&shown, bytes_of(given));
    const char *noun = by[0] == 't' ? "stream" : "connection";
    if (!found)
        *code = cli_fail(EXIT_FAILED, "there is no %s '%.*s'; weir %s list shows their numbers and %ss", noun, (int)shown.len, shown.at, noun, by);
    if (found > 1)
        *code = cli_fail(EXIT_USAGE, "%zu %ss have the %s '%.*s'; say its number, which weir %s list shows%s", found, noun, by, (int)shown.len, shown.at, noun, by[0] == 't' ? ", or TOPIC@CONNECTION" : "");
    buf_fini(&shown);
    return found == 1;
}

bool asked_connection(asked *a, const char *given, char id[24], int *code)
{
    if (is_number(given))
        return snprintf(id, 24, "%s", given) > 0;
    return find_by(a, given, id, "/v1/connections", "connections", "name", code);
}

bool asked_stream(asked *a, const char *given, char id[24], int *code)
{
    if (is_number(given))
        return snprintf(id, 24, "%s", given) > 0;
    return find_by(a, given, id, "/v1/streams", "streams", "topic", code);
}
