/* The life of the daemon: up, until a signal, down. */
#include "daemon/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/file.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "daemon/demo.h"
#include "daemon/notify.h"
#include "daemon/output.h"
#include "net/cert.h"
#include "web/assets.h"

#define ADMIN_FILE "admin.token"
#define ADDRESS_FILE "address"
#define STORE_FILE "settings.db"

typedef struct daemon {
    const daemon_start *start;
    settings *settings; /* in force; the start's, or later ones */
    demo *demo;
    node *node;
    cluster *cluster; /* NULL: alone */
    api *api;
    loop_signal *signals[3];
    timer watchdog, cutter, leaver;
    char folder[4096];
    bool stopping, over, has_pid;
    bool reload; /* wanted: between two turns */
    int code;
} daemon_state;

/* ---- Where the data is ---- */

bool daemon_folder(const settings *s, char *out, size_t size)
{
    const char *given = settings_text(s, "data_dir"), *systemd = getenv("STATE_DIRECTORY"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (*given)
        n = snprintf(out, size, "%s", given);
    else if (systemd && *systemd == '/')
        n = snprintf(out, size, "%.*s", (int)strcspn(systemd, ":"), systemd);
    else if (state && *state == '/')
        n = snprintf(out, size, "%s/weir/serve", state);
    else if (home && *home == '/')
        n = snprintf(out, size, "%s/.local/state/weir/serve", home);
    return n > 0 && (size_t)n < size;
}

static weir_code readable(const char *what, const char *path, weir_error *err)
{
    buf text;
    if (!*path)
        return WEIR_OK;
    buf_init(&text, 16u << 20);
    weir_code code = file_read(&text, path, err);
    if (text.at)
        explicit_bzero(text.at, text.cap);
    buf_fini(&text);
    return code ? error_wrap(err, "%s", what) : WEIR_OK;
}

/* A demo's records are of a simulated exchange: they never come beside real ones. */
static weir_code check_whose(const char *folder, bool demo, weir_error *err)
{
    char store[4200];
    snprintf(store, sizeof store, "%s/" STORE_FILE, folder);
    if (demo && !demo_has(folder) && access(store, F_OK) == 0)
        return error_set(err, WEIR_INVALID, "data_dir: '%s' has the data of a weir serve that is no demo; give --demo another folder, or leave data_dir out: then it has one of its own that goes with it", folder);
    if (!demo && demo_has(folder))
        return error_set(err, WEIR_INVALID, "data_dir: '%s' has the data of a demo; go on with it by --demo, or name another folder", folder);
    return WEIR_OK;
}

static weir_code check_folder(const settings *s, bool demo, weir_error *err)
{
    char folder[4096];
    if (demo && !*settings_text(s, "data_dir"))
        return WEIR_OK;
    if (!daemon_folder(s, folder, sizeof folder))
        return error_set(err, WEIR_INVALID, "data_dir: there is no place for it, neither STATE_DIRECTORY nor HOME is set; set data_dir");
    if (file_make_folder(folder, err))
        return error_wrap(err, "data_dir");
    if (access(folder, W_OK | X_OK))
        return error_set(err, WEIR_SYSTEM, "data_dir: '%s' cannot be written to", folder);
    return check_whose(folder, demo, err);
}

weir_code daemon_check(const settings *s, bool demo, weir_error *err)
{
    bool certificate = *settings_text(s, "tls.certificate"), key = *settings_text(s, "tls.key");
    if (certificate != key)
        return error_set(err, WEIR_INVALID, "tls.certificate and tls.key belong together; %s is not set", certificate ? "tls.key" : "tls.certificate");
    if (demo && *settings_text(s, "cluster.servers"))
        return error_set(err, WEIR_INVALID, "cluster.servers: a demo is one node alone, with a simulated exchange in its own process; leave it out");
    if (check_folder(s, demo, err))
        return err->code;
    if (readable("tls.certificate", settings_text(s, "tls.certificate"), err) || readable("tls.key", settings_text(s, "tls.key"), err) ||
        readable("secrets.key_file", settings_text(s, "secrets.key_file"), err) || readable("venues.ca_file", settings_text(s, "venues.ca_file"), err))
        return err->code;
    return WEIR_OK;
}

/* ---- Up ---- */

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static weir_code start_node(daemon_state *d, weir_error *err)
{
    const settings *s = d->settings;
    node_options o = {
        .data_dir = d->folder,
        .name = or_null(settings_text(s, "name")),
        .key_file = or_null(settings_text(s, "secrets.key_file")),
        .host = WEIR_HOST_OPTIONS_INIT,
        .history_octets = settings_number(s, "history.size"),
        .history_ms = settings_number(s, "history.age"),
        .history_flush_ms = (uint32_t)settings_number(s, "history.flush"),
        .max_code = settings_number(s, "plugins.code"),
        .demo = d->demo != NULL,
        .uploads_approved = d->demo || settings_bool(s, "plugins.approve_uploads"),
    };
    o.host.ca_file = or_null(settings_text(s, "venues.ca_file"));
    o.host.overrides = d->demo ? demo_overrides(d->demo) : settings_list(s, "venues.overrides");
    o.host.heartbeats = settings_list(s, "venues.heartbeats");
    o.host.lifetimes = settings_list(s, "venues.lifetimes");
    o.host.silence_ms = (uint32_t)settings_number(s, "venues.silence");
    o.host.connect_ms = (uint32_t)settings_number(s, "venues.connect");
    o.host.backoff_max_ms = settings_number(s, "venues.retry_max");
    o.host.max_instances = (uint32_t)settings_number(s, "plugins.instances");
    return node_new(&d->node, &o, err);
}

static void put_settings(void *arg, buf *out)
{
    settings_put_json(((daemon_state *)arg)->settings, out);
}

static weir_code start_cluster(daemon_state *d, weir_error *err)
{
    const settings *s = d->settings;
    cluster_options o = {
        .servers = settings_text(s, "cluster.servers"),
        .lease_ms = settings_number(s, "cluster.lease"),
        .grace_ms = settings_number(s, "cluster.grace"),
        .unkept = !settings_bool(s, "cluster.keeper"),
        .replicas = (uint32_t)settings_number(s, "cluster.replicas"),
        .records_octets = settings_number(s, "cluster.records_size"),
        .records_ms = settings_number(s, "cluster.records_age"),
    };
    return *o.servers ? cluster_new(&d->cluster, d->node, &o, err) : WEIR_OK;
}

static weir_code start_api(daemon_state *d, weir_error *err)
{
    const settings *s = d->settings;
    const char *const *hosts = settings_list(s, "listen.hosts");
    api_options o = {
        .address = settings_text(s, "listen.address"),
        .port = (uint16_t)settings_number(s, "listen.port"),
        .cert_file = or_null(settings_text(s, "tls.certificate")),
        .key_file = or_null(settings_text(s, "tls.key")),
        .hosts = hosts,
        .metrics_open = settings_bool(s, "api.metrics_open"),
        .rate = (uint32_t)settings_number(s, "api.rate"),
        .max_body = (uint32_t)settings_number(s, "api.body"),
        .max_upload = (uint32_t)settings_number(s, "api.upload"),
        .max_sockets = (uint32_t)settings_number(s, "api.connections"),
        .idle_ms = (uint32_t)settings_number(s, "api.idle"),
        .settings = put_settings,
        .settings_arg = d,
    };
    while (hosts && hosts[o.host_count])
        o.host_count++;
    o.assets = web_assets(&o.asset_count);
    return api_new(&d->api, d->node, &o, err);
}

/* The first one's token, or another on demand. The file comes first: a token that the store has and nobody knows would lock all out. */
static weir_code admin_token(daemon_state *d, char text[NODE_TOKEN_TEXT], weir_error *err)
{
    char path[sizeof d->folder + sizeof ADMIN_FILE + 1];
    text[0] = '\0';
    if (node_has_tokens(d->node) && !d->start->admin_token)
        return WEIR_OK;
    node_token_text(text);
    snprintf(path, sizeof path, "%s/" ADMIN_FILE, d->folder);
    if (file_replace(path, bytes_of(text), err))
        return error_wrap(err, "the admin's token");
    return node_token_keep(d->node, "admin", NODE_SCOPE_ADMIN, text, err);
}

/* Where it is asked from this machine. */
static void put_address(const daemon_state *d, char *out, size_t size)
{
    const char *address = settings_text(d->settings, "listen.address"), *scheme = *settings_text(d->settings, "tls.certificate") ? "https" : "http";
    bool any = !strcmp(address, "0.0.0.0") || !strcmp(address, "::");
    bool v6 = strchr(address, ':') && !any;
    snprintf(out, size, "%s://%s%s%s:%u", scheme, v6 ? "[" : "", any ? "127.0.0.1" : address, v6 ? "]" : "", api_port(d->api));
}

static void announce(const daemon_state *d, const char *token)
{
    char address[512];
    bool journal = getenv("JOURNAL_STREAM") != NULL; /* read by more people than may know a token */
    put_address(d, address, sizeof address);
    printf("weir %s listens on %s/%s%s\n", weir_version(), address, *token && !journal ? "#token=" : "", journal ? "" : token);
    if (*token)
        printf("the admin's token is in %s/" ADMIN_FILE "\n", d->folder);
    if (d->demo)
        printf("a simulated exchange, %s; Ctrl-C stops it\n"
               "from another shell: weir top --data-dir %s\n",
               demo_keeps(d->demo) ? "in a folder that is kept" : "in a folder that goes with this process", d->folder);
    fflush(stdout);
}

static void warn_in_the_clear(const settings *s)
{
    const char *address = settings_text(s, "listen.address");
    bool loopback = !strncmp(address, "127.", 4) || !strcmp(address, "::1") || !strcmp(address, "localhost");
    if (!loopback && !*settings_text(s, "tls.certificate"))
        log_warn("daemon", "it listens on %s without TLS: tokens and records can be read on the way; set tls.certificate and tls.key, or put a proxy with TLS in front", address);
}

/* For the commands of this machine (cli/remote.c), which then need not be told. */
static void address_path(const daemon_state *d, char out[sizeof d->folder + sizeof ADDRESS_FILE + 1])
{
    snprintf(out, sizeof d->folder + sizeof ADDRESS_FILE + 1, "%s/" ADDRESS_FILE, d->folder);
}

static void write_address(const daemon_state *d)
{
    weir_error err = WEIR_ERROR_INIT;
    char path[sizeof d->folder + sizeof ADDRESS_FILE + 1], text[512];
    address_path(d, path);
    put_address(d, text, sizeof text);
    if (file_replace(path, bytes_of(text), &err)) /* a full disk is no reason not to serve */
        log_warn("daemon", "commands here have to be told --server %s: %s", text, err.text);
}

static weir_code write_pid(daemon_state *d, weir_error *err)
{
    char text[32];
    const char *path = settings_text(d->settings, "pid_file");
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    weir_code code = *path ? file_replace(path, bytes_of(text), err) : WEIR_OK;
    d->has_pid = *path && !code;
    return code ? error_wrap(err, "pid_file") : WEIR_OK;
}

/* ---- Signals ---- */

static void on_drained(void *arg, bool whole)
{
    daemon_state *d = arg;
    d->code = whole ? d->code : DAEMON_CUT;
    d->over = true;
    log_info("daemon", whole ? "stopped in good order" : "stopped; not all of it in good order");
}

/* A job that waits for a plugin keeps the main loop from its end. */
static void on_cut(void *arg)
{
    daemon_state *d = arg;
    log_warn("daemon", "the deadline is over and a plugin is still being waited for; cut");
    if (d->has_pid)
        unlink(settings_text(d->settings, "pid_file"));
    _exit(DAEMON_CUT);
}

static void drain(void *arg)
{
    daemon_state *d = arg;
    uint64_t ms = settings_number(d->settings, "drain");
    timer_stop(&d->leaver);
    node_drain(d->node, (uint32_t)(d->cluster ? ms / 2 : ms), on_drained, d);
}

static void on_stop(void *arg)
{
    daemon_state *d = arg;
    if (d->stopping) {
        log_warn("daemon", "told to stop twice: at once");
        d->code = DAEMON_CUT;
        d->over = true;
        timer_after(&d->cutter, NS_PER_S);
        return;
    }
    uint64_t ms = settings_number(d->settings, "drain");
    d->stopping = true;
    notify("STOPPING=1\nSTATUS=Streams stop, the history is written.");
    log_info("daemon", "stops: streams end, the history is written");
    api_drain(d->api);
    timer_after(&d->cutter, (ms + 3000) * NS_PER_MS);
    if (d->cluster) { /* its streams first go to the other nodes; they need not wait until it is missed */
        timer_after(&d->leaver, ms / 2 * NS_PER_MS);
        cluster_leave(d->cluster, drain, d);
    } else {
        drain(d);
    }
}

static void on_hangup(void *arg)
{
    ((daemon_state *)arg)->reload = true;
}

static void tell_certificate(const daemon_state *d, const char *path)
{
    char ends[CLOCK_RFC3339_SIZE];
    uint64_t s = api_certificate_ends(d->api);
    if (!s)
        return;
    clock_rfc3339(ends, s * NS_PER_S, 0);
    log_info("daemon", "certificate '%s': new connections get it; it is good until %s", path, ends);
    if (s * NS_PER_S < clock_real())
        log_warn("daemon", "certificate '%s' has expired: clients will refuse it", path);
}

/* A renewed certificate, in the same files or in others. False: it cannot be used, all goes on with the one that is there. */
static bool renew_certificate(daemon_state *d, const settings *next)
{
    const char *certificate = settings_text(next, "tls.certificate"), *key = settings_text(next, "tls.key");
    bool had = *settings_text(d->settings, "tls.certificate") != '\0';
    weir_error err = WEIR_ERROR_INIT;
    if (!had && !*certificate && !*key)
        return true;
    if (!*certificate != !*key)
        log_error("daemon", "tls.certificate and tls.key belong together; %s is not set. It goes on as it was", *certificate ? "tls.key" : "tls.certificate");
    else if (had != (*certificate != '\0'))
        log_warn("daemon", "tls.certificate: from plain HTTP to TLS and back needs a restart");
    else if (api_renew_certificate(d->api, certificate, key, &err))
        log_error("daemon", "the certificate stays the one of before: %s", err.text);
    else
        return tell_certificate(d, certificate), true;
    return false;
}

static void reload(daemon_state *d)
{
    char message[128];
    weir_error err = WEIR_ERROR_INIT;
    buf names;
    d->reload = false;
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_mono() / 1000));
    notify(message);
    settings *next = d->start->again ? d->start->again(d->start->arg, &err) : NULL;
    if (!next) {
        log_error("daemon", "the settings stay as they are: %s", err.text);
    } else {
        buf_init(&names, 4096);
        settings_beyond_reload(d->settings, next, &names);
        if (names.len)
            log_warn("daemon", "these are other now, and need a restart: %.*s", (int)names.len, names.at);
        buf_fini(&names);
        settings_take_reloaded(d->settings, next, renew_certificate(d, next) ? NULL : "tls.");
        settings_free(next);
        output_set(settings_text(d->settings, "log.level"), settings_text(d->settings, "log.format"));
        store_retain(node_store(d->node), settings_number(d->settings, "history.size"), settings_number(d->settings, "history.age"));
        log_info("daemon", "took the settings that can be taken while it runs");
    }
    notify("READY=1");
}

static void on_watchdog(void *arg)
{
    daemon_state *d = arg;
    notify("WATCHDOG=1");
    timer_after(&d->watchdog, notify_watchdog());
}

static weir_code listen_to_signals(daemon_state *d, weir_error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    loop *l = node_loop(d->node);
    for (int i = 0; i < 3; i++)
        if (signal_open(&d->signals[i], l, numbers[i], numbers[i] == SIGHUP ? on_hangup : on_stop, d, err))
            return err->code;
    timer_init(&d->watchdog, l, on_watchdog, d);
    timer_init(&d->cutter, l, on_cut, d);
    timer_init(&d->leaver, l, drain, d); /* NATS may be away */
    if (notify_watchdog())
        timer_after(&d->watchdog, 1);
    return WEIR_OK;
}

/* ---- The whole ---- */

static weir_code up(daemon_state *d, weir_error *err)
{
    char token[NODE_TOKEN_TEXT];
    if (daemon_check(d->settings, d->start->demo, err))
        return err->code;
    if (d->start->demo && demo_new(&d->demo, or_null(settings_text(d->settings, "data_dir")), settings_list(d->settings, "venues.overrides"), err))
        return err->code;
    if (d->demo)
        snprintf(d->folder, sizeof d->folder, "%s", demo_folder(d->demo));
    else if (!daemon_folder(d->settings, d->folder, sizeof d->folder))
        return err->code;
    if (start_node(d, err) || start_cluster(d, err) || start_api(d, err) || listen_to_signals(d, err) || write_pid(d, err) || admin_token(d, token, err))
        return err->code;
    node_start(d->node);
    write_address(d);
    warn_in_the_clear(d->settings);
    tell_certificate(d, settings_text(d->settings, "tls.certificate"));
    announce(d, token);
    explicit_bzero(token, sizeof token);
    notify("READY=1\nSTATUS=Serving.");
    if (d->demo)
        demo_fill(d->demo, d->node);
    return WEIR_OK;
}

static void down(daemon_state *d)
{
    char address[sizeof d->folder + sizeof ADDRESS_FILE + 1];
    const char *path = settings_text(d->settings, "pid_file");
    if (d->api) {
        address_path(d, address);
        unlink(address);
    }
    if (d->node) {
        timer_stop(&d->watchdog);
        timer_stop(&d->cutter);
        timer_stop(&d->leaver);
    }
    for (int i = 0; i < 3; i++)
        if (d->signals[i])
            signal_close(d->signals[i]);
    api_free(d->api);
    cluster_free(d->cluster);
    node_free(d->node);
    demo_free(d->demo);
    if (d->has_pid)
        unlink(path);
}

int daemon_run(const daemon_start *start)
{
    weir_error err = WEIR_ERROR_INIT;
    daemon_state d = {.start = start, .settings = start->settings};
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    output_set(settings_text(d.settings, "log.level"), settings_text(d.settings, "log.format"));
    if (up(&d, &err)) {
        fprintf(stderr, "weir: %s\n", err.text);
        d.code = err.code == WEIR_INVALID ? DAEMON_USAGE : DAEMON_FAILED;
        d.over = true;
    }
    while (!d.over) {
        node_step(d.node, -1);
        if (d.reload)
            reload(&d);
    }
    down(&d);
    return d.code;
}
