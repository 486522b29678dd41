/* weir serve: the daemon. Here: flags, the file, what is only printed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "daemon/daemon.h"

#define SYSTEM_FILE "/etc/weir/weir.toml"

static void help(void)
{
    fputs("usage: weir serve [--config FILE] [SETTINGS]\n"
          "       weir serve --demo [SETTINGS]\n\n"
          "Keeps plugins, connections and streams as their users want them, through restarts and crashes, and serves them: an API,\n"
          "pages for browsers, records by WebSocket and SSE, sinks.\n\n"
          "options\n"
          "  --config FILE     settings, TOML; else $WEIR_SERVE_CONFIG, else " SYSTEM_FILE " if it is there\n"
          "  --cluster URL     join the nodes that share this NATS: nats://HOST:PORT (short for --cluster-servers)\n"
          "  --demo            a simulated exchange with live streams; in a temporary folder, or kept in --data-dir if that is given\n"
          "  --admin-token     make another token of scope admin, write it to DATA_DIR/admin.token and say it\n"
          "  --check-config    read the settings, try what they name, say what is wrong\n"
          "  --print-config    a commented sample file with all settings and their defaults\n"
          "  -h, --help        this\n\n"
          "settings, by flag, else by environment (--listen-port is WEIR_LISTEN_PORT), else by the file ([listen] port)\n",
          stdout);
    settings_print_flags(stdout);
    fputs("\nsignals\n"
          "  SIGTERM, SIGINT   stop in good order, within --drain; a second one: at once\n"
          "  SIGHUP            read the settings anew: log.level, log.format, drain, history.size, history.age;\n"
          "                    the others need a restart\n\n"
          "exit codes: 0 stopped in good order; 1 it could not run; 2 a setting makes no sense; 6 stopped, but something was cut\n\n"
          "examples\n"
          "  weir serve --demo\n"
          "  weir serve --demo --data-dir ~/weir-demo\n"
          "  weir serve --print-config > weir.toml && weir serve --config weir.toml --check-config\n",
          stdout);
}

typedef struct wanted {
    int argc;
    char **argv;
    const char *file;
    bool demo, admin_token, check, print, help;
} wanted;

/* "--name VALUE" or "--name=VALUE"; *i moves behind what was used. NULL: the value is missing, said. */
static const char *value_of(const wanted *w, int *i)
{
    const char *equals = strchr(w->argv[*i], '=');
    if (equals)
        return equals + 1;
    if (*i + 1 < w->argc)
        return w->argv[++*i];
    return NULL;
}

static weir_code take_flag(const wanted *w, settings *s, int *i, weir_error *err)
{
    char name[64];
    const char *given = w->argv[*i];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given + 2, "="), given + 2);
    const setting *t = settings_by_flag(!strcmp(name, "cluster") ? "cluster-servers" : name);
    if (!t)
        return error_set(err, WEIR_INVALID, "option '%.100s' is unknown", given);
    bool alone = t->type == SETTING_BOOL && !strchr(given, '=') && (*i + 1 >= w->argc || (strcmp(w->argv[*i + 1], "true") && strcmp(w->argv[*i + 1], "false")));
    const char *value = alone ? "true" : value_of(w, i);
    if (!value)
        return error_set(err, WEIR_INVALID, "option '%.100s': its value is missing", given);
    return settings_set(s, t->name, value, FROM_FLAG, err);
}

/* Options that are no settings. False: it is a setting's flag. */
static bool take_own(wanted *w, int *i, weir_error *err)
{
    const char *given = w->argv[*i];
    if (!strcmp(given, "--config") || !strncmp(given, "--config=", 9)) {
        if (!(w->file = value_of(w, i)))
            error_set(err, WEIR_INVALID, "option '--config': its value is missing");
        return true;
    }
    w->demo |= !strcmp(given, "--demo");
    w->admin_token |= !strcmp(given, "--admin-token");
    w->check |= !strcmp(given, "--check-config");
    w->print |= !strcmp(given, "--print-config");
    w->help |= !strcmp(given, "--help") || !strcmp(given, "-h");
    return !strcmp(given, "--demo") || !strcmp(given, "--admin-token") || !strcmp(given, "--check-config") || !strcmp(given, "--print-config") ||
           !strcmp(given, "--help") || !strcmp(given, "-h");
}

static weir_code take_flags(wanted *w, settings *s, weir_error *err)
{
    for (int i = 1; i < w->argc && !err->code; i++) {
        if (take_own(w, &i, err))
            continue;
        if (strncmp(w->argv[i], "--", 2))
            return error_set(err, WEIR_INVALID, "'%.100s' is no option; settings are such as --listen-port 8080", w->argv[i]);
        if (take_flag(w, s, &i, err))
            return err->code;
    }
    return err->code;
}

/* Flags first, since they name the file; where they count more they stay. */
static settings *read_all(void *arg, weir_error *err)
{
    wanted *w = arg;
    settings *s = settings_new();
    const char *file = getenv("WEIR_SERVE_CONFIG");
    if (!s) {
        error_set(err, WEIR_NOMEM, "out of memory");
        return NULL;
    }
    weir_code code = take_flags(w, s, err);
    file = w->file ? w->file : file && *file ? file
                                             : NULL;
    if (!code && !w->help && !w->print) {
        if (file)
            code = settings_read_file(s, file, err);
        else if (!w->demo && access(SYSTEM_FILE, F_OK) == 0)
            code = settings_read_file(s, SYSTEM_FILE, err);
        if (!code)
            code = settings_read_environment(s, err);
    }
    if (!code)
        return s;
    settings_free(s);
    return NULL;
}

static int check(const settings *s, bool demo)
{
    weir_error err = WEIR_ERROR_INIT;
    char folder[4096];
    if (daemon_check(s, demo, &err))
        return cli_fail(EXIT_USAGE, "%s", err.text);
    if (demo && !*settings_text(s, "data_dir"))
        snprintf(folder, sizeof folder, "a temporary folder");
    else
        daemon_folder(s, folder, sizeof folder);
    printf("fine; data_dir is %s\n", folder);
    return EXIT_FINE;
}

int cmd_serve(int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    wanted w = {.argc = argc, .argv = argv};
    settings *s = read_all(&w, &err);
    if (!s)
        return cli_usage("serve", "%s", err.text);
    int code = EXIT_FINE;
    if (w.help) {
        help();
    } else if (w.print) {
        settings_print_sample(stdout);
    } else if (w.check) {
        code = check(s, w.demo);
    } else {
        daemon_start start = {.settings = s, .demo = w.demo, .admin_token = w.admin_token, .again = read_all, .arg = &w};
        code = daemon_run(&start);
    }
    settings_free(s);
    return code;
}
