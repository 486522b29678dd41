/* See recording.h. First the file is found, then a thread with a loop of its own plays it until recording_close. What both
 * threads touch is under the lock. */
#include "cli/recording.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"
#include "sim/replay.h"

#define ORIGINS 32

struct recording {
    char *folder, *file, *http; /* of the recording; its name is file's last part */
    char *plugin;               /* meta's pluginId */
    char *origin[ORIGINS];      /* "wss://ws.okx.com:8443" that it may dial */
    size_t origins;
    const char *overrides[ORIGINS + 1];
    cli_list streams;
    char *line; /* what they point into */

    replay_options options;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t change;
    loop *loop;
    uint16_t port;
    bool ready, closing;
    weir_error failure;
    weir_host *host; /* to stop; NULL: nobody waits */
    size_t wanted, read;
};

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char *join(const char *a, const char *b, const char *c)
{
    char *text = NULL;
    return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

/* ---- What the plugin is ---- */

/* "wss://ws.okx.com:8443" of a pattern or URL; 0: it has none that could be replaced. */
static size_t origin_length(bytes url)
{
    size_t i = 0, slashes = 0;
    for (; i < url.len && slashes < 3; i++) {
        slashes += url.at[i] == '/';
        if (url.at[i] == '*' || url.at[i] == ' ')
            return 0;
    }
    return slashes < 2 ? 0 : slashes == 3 ? i - 1
                                          : i;
}

static weir_code read_meta(recording *r, const char *meta, weir_error *err)
{
    json doc, key, item;
    bytes pattern;
    if (json_read(&doc, bytes_of(meta), err) || !(r->plugin = json_string_dup(json_member(doc, "pluginId"))))
        return error_set(err, WEIR_INVALID, "the plugin's meta names no pluginId, so no recording can be found for it");
    json targets = json_member(json_member(doc, "resources"), "allowedNetworkTargets");
    if (targets.type != JSON_ARRAY)
        return WEIR_OK;
    for (json_iter it = json_each(targets); json_next(&it, &key, &item) && r->origins < ORIGINS;) {
        if (!json_string_slice(json_member(item, "pattern"), &pattern))
            continue;
        size_t len = origin_length(pattern), same = 0;
        while (same < r->origins && (strncmp(r->origin[same], pattern.at, len) || r->origin[same][len]))
            same++;
        if (len && same == r->origins && (r->origin[r->origins] = strndup(pattern.at, len)))
            r->origins++;
    }
    return WEIR_OK;
}

/* ---- Which file ---- */

/* OKX.ws is okx-datasource's, and okx's. */
static bool named_after(const char *name, const char *plugin)
{
    size_t stem = strcspn(name, ".");
    return stem && strncasecmp(name, plugin, stem) == 0 && (!plugin[stem] || plugin[stem] == '-');
}

/* The recorded socket, "URL <-> TIME", is at an origin of the plugin's. */
static bool dials(const recording *r, const char *path)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    bool found = false;
    if (in && getline(&line, &cap, in) > 0) {
        bytes url = bytes_make(line, strcspn(line, " \n"));
        size_t len = origin_length(url);
        for (size_t i = 0; len && i < r->origins; i++)
            found |= strncmp(r->origin[i], line, len) == 0 && !r->origin[i][len];
    }
    free(line);
    if (in)
        fclose(in);
    return found;
}

static int is_recording(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return len > 3 && strcmp(e->d_name + len - 3, ".ws") == 0;
}

/* Looks through the folder: by name first, then by address. `all` gathers the names for the error's text. */
static weir_code search(recording *r, char *all, size_t size, weir_error *err)
{
    char *by_address = NULL;
    size_t addresses = 0;
    struct dirent **entry;
    int count = scandir(r->folder, &entry, is_recording, alphasort);
    if (count < 0)
        return error_set(err, WEIR_NOT_FOUND, "recordings '%s': %s", r->folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = entry[i]->d_name;
        char *path = join(r->folder, "/", name);
        if (strlen(all) + strlen(name) + 2 < size)
            strcat(strcat(all, " "), name);
        if (path && !r->file && named_after(name, r->plugin)) {
            r->file = path;
        } else if (path && dials(r, path)) {
            free(by_address);
            by_address = path;
            addresses++;
        } else {
            free(path);
        }
        free(entry[i]);
    }
    free(entry);
    if (!r->file && addresses == 1)
        r->file = by_address;
    else
        free(by_address);
    if (!r->file && addresses > 1)
        return error_set(err, WEIR_NOT_FOUND, "recordings '%s': %zu of them are of addresses that '%s' may dial; name one", r->folder, addresses, r->plugin);
    return WEIR_OK;
}

static weir_code find_file(recording *r, const char *path, weir_error *err)
{
    struct stat st;
    char all[600] = "";
    if (stat(path, &st))
        return error_set(err, WEIR_NOT_FOUND, "recordings '%s': %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        r->folder = strdup(path);
        while (r->folder && strlen(r->folder) > 1 && r->folder[strlen(r->folder) - 1] == '/')
            r->folder[strlen(r->folder) - 1] = '\0';
        if (!r->folder)
            return error_set(err, WEIR_NOMEM, "out of memory");
        if (search(r, all, sizeof all, err))
            return err->code;
        if (!r->file)
            return error_set(err, WEIR_NOT_FOUND, "recordings '%s': none is of the venue of '%s', by its name or by an address that the plugin may dial; there are%s",
                             path, r->plugin, *all ? all : " none at all");
        return WEIR_OK;
    }
    size_t len = (size_t)(name_of(path) - path);
    r->folder = len > 1 ? strndup(path, len - 1) : strdup(len ? "/" : ".");
    r->file = strdup(path);
    if (!r->folder || !r->file)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (!named_after(name_of(path), r->plugin) && !dials(r, path))
        return error_set(err, WEIR_NOT_FOUND, "recording '%s' is not of the venue of '%s', by its name or by an address that the plugin may dial", path, r->plugin);
    return WEIR_OK;
}

/* NAME.http beside NAME.ws, and the line of `streams` that begins with NAME.ws. */
static void find_companions(recording *r)
{
    struct stat st;
    const char *name = name_of(r->file);
    char *stem = strndup(name, strcspn(name, ".")), *rest = stem ? join("/", stem, ".http") : NULL;
    char *http = rest ? join(r->folder, rest, "") : NULL, *index = join(r->folder, "/", "streams"), *save;
    FILE *in = index ? fopen(index, "r") : NULL;
    size_t cap = 0;
    if (http && !stat(http, &st)) {
        r->http = http;
        http = NULL;
    }
    while (in && getline(&r->line, &cap, in) > 0) {
        char *word = strtok_r(r->line, " \t\r\n", &save);
        if (!word || strcmp(word, name))
            continue;
        while ((word = strtok_r(NULL, " \t\r\n", &save)))
            cli_add(&r->streams, word);
        break;
    }
    if (in)
        fclose(in);
    free(stem);
    free(rest);
    free(http);
    free(index);
}

/* ---- Playing ---- */

static void on_wake(void *arg)
{
    recording *r = arg;
    pthread_mutex_lock(&r->lock);
    if (r->closing)
        loop_stop(r->loop);
    pthread_mutex_unlock(&r->lock);
}

static void on_read(void *arg)
{
    recording *r = arg;
    pthread_mutex_lock(&r->lock);
    if (++r->read >= r->wanted && r->host)
        weir_host_stop(r->host);
    pthread_mutex_unlock(&r->lock);
}

static void *play(void *arg)
{
    recording *r = arg;
    replay *player = NULL;
    bool up = loop_new(&r->loop, &r->failure) == WEIR_OK && replay_new(&player, r->loop, &r->options, &r->failure) == WEIR_OK;
    if (up)
        loop_on_wake(r->loop, on_wake, r);
    pthread_mutex_lock(&r->lock);
    r->port = up ? replay_port(player) : 0;
    r->ready = true;
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
    if (up)
        loop_run(r->loop);
    replay_free(player);
    loop_free(r->loop);
    return NULL;
}

static weir_code start(recording *r, double speed, weir_error *err)
{
    r->options = (replay_options){.file = r->file, .http_file = r->http, .speed = speed, .max_speed = speed <= 0, .hold = true, .on_read = on_read, .arg = r};
    r->failure = (weir_error)WEIR_ERROR_INIT;
    if (pthread_create(&r->thread, NULL, play, r))
        return error_set(err, WEIR_FAILED, "recording '%s': no thread to play it on", r->file);
    r->running = true;
    pthread_mutex_lock(&r->lock);
    while (!r->ready)
        pthread_cond_wait(&r->change, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (r->failure.code) {
        *err = r->failure;
        return err->code;
    }
    for (size_t i = 0; i < r->origins; i++) {
        char *text = NULL;
        if (asprintf(&text, "%s=%s://127.0.0.1:%u", r->origin[i], r->origin[i][0] == 'w' ? "ws" : "http", r->port) < 0)
            return error_set(err, WEIR_NOMEM, "out of memory");
        r->overrides[i] = text;
    }
    return WEIR_OK;
}

/* ---- The interface ---- */

weir_code recording_open(recording **out, const char *path, const char *meta, double speed, weir_error *err)
{
    recording *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, WEIR_NOMEM, "out of memory");
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->change, NULL);
    weir_code code = read_meta(r, meta, err);
    if (!code)
        code = find_file(r, path, err);
    if (!code) {
        find_companions(r);
        code = start(r, speed, err);
    }
    if (code) {
        recording_close(r);
        return code;
    }
    *out = r;
    return WEIR_OK;
}

void recording_close(recording *r)
{
    if (!r)
        return;
    if (r->running) {
        pthread_mutex_lock(&r->lock);
        r->closing = true;
        r->host = NULL;
        if (r->port)
            loop_wake(r->loop);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
    }
    for (size_t i = 0; i < r->origins; i++) {
        free(r->origin[i]);
        free((char *)(uintptr_t)r->overrides[i]);
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->change);
    free(r->streams.at);
    free(r->line);
    free(r->plugin);
    free(r->folder);
    free(r->file);
    free(r->http);
    free(r);
}

const char *const *recording_overrides(const recording *r)
{
    return r->overrides;
}

const cli_list *recording_streams(const recording *r)
{
    return &r->streams;
}

/* The identifiers of its streams, each once, for people. */
static void list_identifiers(const recording *r, char *to, size_t size)
{
    *to = '\0';
    for (size_t i = 0; i < r->streams.count; i++) {
        const char *colon = strchr(r->streams.at[i], ':');
        char one[80];
        if (!colon)
            continue;
        snprintf(one, sizeof one, " %.*s", (int)strcspn(colon + 1, ":,"), colon + 1);
        char *seen = strstr(to, one);
        while (seen && seen[strlen(one)] && seen[strlen(one)] != ' ')
            seen = strstr(seen + 1, one);
        if (!seen && strlen(to) + strlen(one) < size)
            strcat(to, one);
    }
}

weir_code recording_check(const recording *r, const char *spec, weir_error *err)
{
    const char *colon = strchr(spec, ':');
    char *quoted = NULL, *line = NULL, known[400];
    size_t cap = 0;
    bool found = false;
    FILE *in = fopen(r->file, "r");
    if (!colon || !in || asprintf(&quoted, "\"%.*s\"", (int)strcspn(colon + 1, ":,"), colon + 1) < 0)
        quoted = NULL;
    while (quoted && !found && getline(&line, &cap, in) > 0)
        found = strcasestr(line, quoted) != NULL;
    free(line);
    if (in)
        fclose(in);
    if (!found && quoted) {
        list_identifiers(r, known, sizeof known);
        error_set(err, WEIR_NOT_FOUND, "stream '%s': the recording '%s' has nothing of %s%s%s", spec, name_of(r->file), quoted, *known ? "; it has" : "", known);
    }
    free(quoted);
    return found || !colon ? WEIR_OK : err->code ? err->code
                                                 : error_set(err, WEIR_NOMEM, "out of memory");
}

void recording_watch(recording *r, weir_host *host, size_t sockets)
{
    pthread_mutex_lock(&r->lock);
    r->host = host;
    r->wanted = sockets;
    pthread_mutex_unlock(&r->lock);
}

bool recording_over(recording *r)
{
    pthread_mutex_lock(&r->lock);
    bool over = r->host && r->read >= r->wanted;
    pthread_mutex_unlock(&r->lock);
    return over;
}
