/* Where a plugin's configuration comes from: --config, files, the environment, and the user at the terminal, the
 * earlier ones first. What a value must be is the plugin's own form (weir_plugin_fields); the host checks it.
 *
 * The user is asked for what is required and missing, only on a terminal, and nothing is shown of what the form
 * masks. */
#include "cli/config.h"

#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/toml.h"

#define ENVIRONMENT "WEIR_CONFIG_"
#define TRIES 3

extern char **environ;

/* The order in which sources win. */
typedef enum origin { FROM_TERMINAL,
                      FROM_ENVIRONMENT,
                      FROM_FILE,
                      FROM_FLAG } origin;

typedef struct pair {
    char *name, *value; /* JSON */
    origin origin;
} pair;

typedef struct pairs {
    pair *at;
    size_t count;
} pairs;

static void pairs_free(pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->at[i].name);
        free(p->at[i].value);
    }
    free(p->at);
    *p = (pairs){0};
}

/* A later value replaces an earlier one of the same name, unless that came from where more counts. */
static bool pairs_set(pairs *p, bytes name, bytes value, origin from)
{
    size_t i = 0;
    while (i < p->count && !bytes_is(name, p->at[i].name))
        i++;
    if (i < p->count && p->at[i].origin > from)
        return true;
    char *n = bytes_dup(name), *v = bytes_dup(value);
    pair *grown = i < p->count ? p->at : realloc(p->at, (p->count + 1) * sizeof *grown);
    if (!n || !v || !grown) {
        free(n);
        free(v);
        return false;
    }
    p->at = grown;
    if (i < p->count) {
        free(p->at[i].name);
        free(p->at[i].value);
    } else {
        p->count++;
    }
    p->at[i] = (pair){n, v, from};
    return true;
}

static bool pairs_set_text(pairs *p, bytes name, bytes text, origin from)
{
    buf json;
    buf_init(&json, SIZE_MAX);
    json_put_string(&json, text);
    bool good = !json.failed && pairs_set(p, name, buf_bytes(&json), from);
    buf_fini(&json);
    return good;
}

static bool pairs_set_members(pairs *p, json object, origin from)
{
    json key, value;
    for (json_iter it = json_each(object); json_next(&it, &key, &value);) {
        char *name = json_string_dup(key);
        bool good = name && pairs_set(p, bytes_of(name), value.raw, from);
        free(name);
        if (!good)
            return false;
    }
    return true;
}

/* As one JSON object, "" for none; NULL when out of memory. */
static char *pairs_json(const pairs *p)
{
    buf out;
    buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < p->count; i++) {
        buf_add_char(&out, i ? ',' : '{');
        json_put_text(&out, p->at[i].name);
        buf_add_char(&out, ':');
        buf_add_text(&out, p->at[i].value);
    }
    buf_add_text(&out, p->count ? "}" : "");
    char *text = out.failed ? NULL : bytes_dup(buf_bytes(&out));
    buf_fini(&out);
    return text;
}

/* ---- Files ---- */

static bytes trim(bytes line)
{
    while (line.len && (line.at[0] == ' ' || line.at[0] == '\t'))
        line = bytes_make(line.at + 1, line.len - 1);
    while (line.len && strchr(" \t\r", line.at[line.len - 1]))
        line.len--;
    return line;
}

/* KEY=VALUE, as shells and .env files write it: "export " before it, quotes around the value. */
static bool read_line(pairs *p, bytes line)
{
    if (bytes_starts(line, BYTES("export ")))
        line = trim(bytes_make(line.at + 7, line.len - 7));
    const char *equals = memchr(line.at, '=', line.len);
    if (!equals || equals == line.at)
        return false;
    bytes name = trim(bytes_make(line.at, (size_t)(equals - line.at)));
    bytes value = trim(bytes_make(equals + 1, line.len - (size_t)(equals + 1 - line.at)));
    if (value.len > 1 && (value.at[0] == '"' || value.at[0] == '\'') && value.at[value.len - 1] == value.at[0])
        value = bytes_make(value.at + 1, value.len - 2);
    return name.len && pairs_set_text(p, name, value, FROM_FILE);
}

static bool read_lines(pairs *p, bytes text, const char *file)
{
    size_t number = 0;
    while (text.len) {
        const char *end = memchr(text.at, '\n', text.len);
        size_t len = end ? (size_t)(end - text.at) : text.len;
        bytes line = trim(bytes_make(text.at, len));
        number++;
        if (line.len && line.at[0] != '#' && !read_line(p, line)) {
            cli_fail(EXIT_USAGE, "configuration '%s' line %zu: expected KEY=VALUE", file, number);
            return false;
        }
        text = end ? bytes_make(end + 1, text.len - len - 1) : (bytes){0};
    }
    return true;
}

static bool read_object(pairs *p, bytes text, const char *file)
{
    weir_error err = WEIR_ERROR_INIT;
    json doc;
    if (json_read(&doc, text, &err) || doc.type != JSON_OBJECT) {
        cli_fail(EXIT_USAGE, "configuration '%s': %s", file, *err.text ? err.text : "a JSON object of names and values is needed");
        return false;
    }
    return pairs_set_members(p, doc, FROM_FILE);
}

static bool read_toml(pairs *p, bytes text, const char *file)
{
    weir_error err = WEIR_ERROR_INIT;
    buf doc;
    buf_init(&doc, 1 << 20);
    bool good = toml_to_json(&doc, text, &err) == WEIR_OK;
    if (!good)
        cli_fail(EXIT_USAGE, "configuration '%s': %s", file, err.text);
    else
        good = read_object(p, buf_bytes(&doc), file);
    buf_fini(&doc);
    return good;
}

static bool read_file(pairs *p, const char *file)
{
    weir_error err = WEIR_ERROR_INIT;
    size_t len = strlen(file);
    buf text;
    buf_init(&text, 1 << 20);
    bool good = file_read(&text, file, &err) == WEIR_OK;
    bytes all = buf_bytes(&text);
    while (all.len && strchr(" \t\r\n", all.at[0]))
        all = bytes_make(all.at + 1, all.len - 1);
    if (!good)
        cli_fail(EXIT_USAGE, "configuration: %s", err.text);
    else if (len > 5 && !strcmp(file + len - 5, ".toml"))
        good = read_toml(p, buf_bytes(&text), file);
    else
        good = all.len && all.at[0] == '{' ? read_object(p, all, file) : read_lines(p, buf_bytes(&text), file);
    buf_fini(&text);
    return good;
}

/* --config KEY=VALUE, --config @FILE, --config-file FILE. */
static bool read_options(pairs *p, const cli_list *options, const char *file)
{
    if (file && !read_file(p, file))
        return false;
    for (size_t i = 0; i < options->count; i++) {
        const char *one = options->at[i], *equals = strchr(one, '=');
        if (*one == '@') {
            if (!read_file(p, one + 1))
                return false;
            continue;
        }
        if (!equals || equals == one) {
            cli_fail(EXIT_USAGE, "--config '%s': expected KEY=VALUE or @FILE", one);
            return false;
        }
        if (!pairs_set_text(p, bytes_make(one, (size_t)(equals - one)), bytes_of(equals + 1), FROM_FLAG))
            return false;
    }
    return true;
}

char *cli_config(const cli_list *options, const char *file)
{
    pairs p = {0};
    char *text = read_options(&p, options, file) ? pairs_json(&p) : NULL;
    pairs_free(&p);
    return text;
}

/* ---- The environment ---- */

/* WEIR_CONFIG_API_KEY is api_key, apiKey and ApiKEY: only letters and digits count. */
static bool same_name(bytes variable, const char *name)
{
    size_t i = 0;
    for (;; name++) {
        while (i < variable.len && variable.at[i] == '_')
            i++;
        while (*name && !isalnum((unsigned char)*name))
            name++;
        if (!*name || i == variable.len)
            return !*name && i == variable.len;
        if (tolower((unsigned char)variable.at[i++]) != tolower((unsigned char)*name))
            return false;
    }
}

/* The next variable of ours that says something; false at the end. */
static bool next_variable(char ***at, bytes *name, bytes *value)
{
    for (; **at; ++*at) {
        bytes all = bytes_of(**at);
        const char *equals = memchr(all.at, '=', all.len);
        size_t before = sizeof ENVIRONMENT - 1;
        if (!equals || !bytes_starts(all, BYTES(ENVIRONMENT)) || equals <= all.at + before || !equals[1])
            continue;
        *name = bytes_make(all.at + before, (size_t)(equals - all.at) - before);
        *value = bytes_of(equals + 1);
        ++*at;
        return true;
    }
    return false;
}

/* For one field of the form; one given as apiKey is not looked up for api_key. */
static bool environment_for(pairs *p, const char *field)
{
    bytes name, value;
    for (size_t i = 0; i < p->count; i++)
        if (same_name(bytes_of(p->at[i].name), field))
            return true;
    for (char **at = environ; at && next_variable(&at, &name, &value);)
        if (same_name(name, field))
            return pairs_set_text(p, bytes_of(field), value, FROM_ENVIRONMENT);
    return true;
}

/* A plugin without a form gets them all, by their names in lower case. */
static bool environment_for_any(pairs *p)
{
    bytes name, value;
    for (char **at = environ; at && next_variable(&at, &name, &value);) {
        char *lower = bytes_dup(name);
        for (char *c = lower; c && *c; c++)
            *c = (char)tolower((unsigned char)*c);
        bool good = lower && pairs_set_text(p, bytes_of(lower), value, FROM_ENVIRONMENT);
        free(lower);
        if (!good)
            return false;
    }
    return true;
}

static bool read_environment(pairs *p, json fields)
{
    json key, field;
    json_iter it = json_each(fields);
    if (fields.type != JSON_ARRAY || !json_next(&it, &key, &field))
        return environment_for_any(p);
    do {
        char *name = json_string_dup(json_member(field, "name"));
        bool good = !name || !*name || environment_for(p, name);
        free(name);
        if (!good)
            return false;
    } while (json_next(&it, &key, &field));
    return true;
}

/* ---- The terminal ---- */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* Reads a line; what a signal does is done when the terminal shows again what is typed. -1: the end. */
static ssize_t read_answer(char **line, size_t *room, const char *question, bool hidden)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP};
    struct sigaction old[sizeof signals / sizeof *signals];
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct termios shown;
    ssize_t n;
    do {
        caught = 0;
        bool changed = hidden && tcgetattr(STDIN_FILENO, &shown) == 0;
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            sigaction(signals[i], &(struct sigaction){.sa_handler = on_signal}, &old[i]);
        if (changed) {
            struct termios silent = shown;
            silent.c_lflag &= (tcflag_t) ~(ECHO | ECHOE | ECHOK | ECHONL);
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        }
        fprintf(stderr, "%s: ", question);
        while (!caught && poll(&in, 1, 50) <= 0) /* any thread may get the signal, so waiting is not always cut short */
            ;
        n = caught ? -1 : getline(line, room, stdin);
        if (changed) {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
            fputc('\n', stderr);
        }
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            sigaction(signals[i], &old[i], NULL);
        clearerr(stdin);
        if (caught)
            raise(caught); /* it was stopped and goes on: the question comes again */
    } while (caught);
    while (n > 0 && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
        (*line)[--n] = '\0';
    return n;
}

/* "api_key (API key), not shown", "depth (Depth of the book), a number", "side, one of buy, sell". */
static void put_question(buf *out, json field, bool hidden)
{
    json label = json_member(field, "label"), options = json_member(field, "options"), key, item;
    json choices = options.type == JSON_ARRAY ? options : json_member(options, "choices");
    const char *comma = ", one of ";
    json_string_add(json_member(field, "name"), out);
    if (label.type == JSON_STRING && label.raw.len > 2) {
        buf_add_text(out, " (");
        json_string_add(label, out);
        buf_add_char(out, ')');
    }
    if (json_is(json_member(field, "type"), "number"))
        buf_add_text(out, ", a number");
    if (json_is(json_member(field, "type"), "boolean"))
        buf_add_text(out, ", true or false");
    for (json_iter it = json_each(choices); choices.type == JSON_ARRAY && json_next(&it, &key, &item); comma = ", ") {
        buf_add_text(out, comma);
        json_string_add(item.type == JSON_OBJECT ? json_member(item, "value") : item, out);
    }
    if (hidden)
        buf_add_text(out, ", not shown");
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->at[i] < ' ' || out->at[i] == 0x7F)
            out->at[i] = '?';
    buf_add_char(out, '\0');
}

static bool wanted(const pairs *p, json field, const char *name)
{
    bool required = false;
    json preset = json_member(field, "default");
    json_bool(json_member(field, "required"), &required);
    if (!required || (preset.type != JSON_NONE && preset.type != JSON_NULL && !json_is(preset, "")))
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (same_name(bytes_of(p->at[i].name), name) && strcmp(p->at[i].value, "\"\""))
            return false;
    return true;
}

static void forget(pairs *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->at[i].name, name)) {
            free(p->at[i].name);
            free(p->at[i].value);
            p->at[i] = p->at[--p->count];
            return;
        }
}

/* Gives the plugin all there is so far; without one somebody else judges it later. */
static weir_code apply(weir_plugin *plugin, const pairs *p, weir_error *err)
{
    *err = (weir_error)WEIR_ERROR_INIT;
    if (!plugin)
        return WEIR_OK;
    char *all = pairs_json(p);
    if (!all) {
        err->code = WEIR_NOMEM;
        snprintf(err->text, sizeof err->text, "configuration: out of memory");
        return WEIR_NOMEM;
    }
    weir_plugin_configure(plugin, all, err);
    free(all);
    return err->code;
}

/* Asks until the answer is one that the form takes. False: there is none. */
static bool ask_for(weir_plugin *plugin, pairs *p, json field, const char *name, weir_error *err)
{
    bool hidden = false, good = false;
    char *line = NULL;
    size_t room = 0;
    buf question;
    json_bool(json_member(field, "mask"), &hidden);
    hidden |= json_is(json_member(field, "type"), "password");
    buf_init(&question, SIZE_MAX);
    put_question(&question, field, hidden);
    for (int i = 0; i < TRIES && !good && !question.failed; i++) {
        ssize_t n = read_answer(&line, &room, question.at, hidden);
        if (n < 0)
            break;
        forget(p, name);
        if (n == 0 || !pairs_set_text(p, bytes_of(name), bytes_make(line, (size_t)n), FROM_TERMINAL))
            continue;
        weir_code code = apply(plugin, p, err);
        good = code == WEIR_OK || code == WEIR_NOT_FOUND; /* others are missing yet */
        if (!good) {
            fprintf(stderr, "weir: %s\n", err->text);
            forget(p, name);
        }
    }
    if (line)
        explicit_bzero(line, room);
    free(line);
    buf_fini(&question);
    return good;
}

static void ask_for_all(weir_plugin *plugin, pairs *p, json fields, weir_error *err)
{
    json key, field;
    bool going = true;
    for (json_iter it = json_each(fields); going && fields.type == JSON_ARRAY && json_next(&it, &key, &field);) {
        char *name = json_string_dup(json_member(field, "name"));
        if (name && *name && wanted(p, field, name))
            going = ask_for(plugin, p, field, name, err);
        free(name);
    }
    apply(plugin, p, err);
}

bool cli_configure(weir_plugin *plugin, const char *given)
{
    weir_error err = WEIR_ERROR_INIT;
    pairs p = {0};
    json fields = {0}, doc;
    json_read(&fields, bytes_of(weir_plugin_fields(plugin)), NULL);
    bool good = (!*given || json_read(&doc, bytes_of(given), NULL) || pairs_set_members(&p, doc, FROM_FLAG)) && read_environment(&p, fields);
    if (!good)
        cli_fail(EXIT_FAILED, "configuration: out of memory");
    if (good && apply(plugin, &p, &err) == WEIR_NOT_FOUND && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        ask_for_all(plugin, &p, fields, &err);
    if (good && err.code == WEIR_NOT_FOUND)
        cli_fail(EXIT_USAGE, "%s, or WEIR_CONFIG_NAME in the environment, or --config @FILE", err.text);
    else if (good && err.code)
        cli_fail(EXIT_USAGE, "%s", err.text);
    pairs_free(&p);
    return good && !err.code;
}

char *cli_config_fill(json fields, const char *given)
{
    weir_error err = WEIR_ERROR_INIT;
    pairs p = {0};
    json doc;
    bool good = !*given || json_read(&doc, bytes_of(given), NULL) || pairs_set_members(&p, doc, FROM_FLAG);
    if (good && fields.type == JSON_ARRAY && fields.raw.len > 2)
        good = read_environment(&p, fields);
    if (good && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        ask_for_all(NULL, &p, fields, &err);
    char *text = good ? pairs_json(&p) : NULL;
    if (!text)
        cli_fail(EXIT_FAILED, "configuration: out of memory");
    pairs_free(&p);
    return text;
}

char *cli_ask(const char *question, bool hidden)
{
    char *line = NULL;
    size_t room = 0;
    if (read_answer(&line, &room, question, hidden) >= 0)
        return line;
    free(line);
    return NULL;
}
