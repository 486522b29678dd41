/* A file for each answer: the moment from which it is too old, in nanoseconds, and a line's end; then the
 * answer. A damaged or foreign file is no answer. */
#include "host/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"

#define MONTH_S UINT64_C(2592000)
#define PARAMS_MAX 64

static int by_name(const void *a, const void *b)
{
    const json *x = a, *y = b;
    size_t n = x->raw.len < y->raw.len ? x->raw.len : y->raw.len;
    int order = memcmp(x->raw.at, y->raw.at, n);
    return order ? order : (x->raw.len > y->raw.len) - (x->raw.len < y->raw.len);
}

static void put_sorted(buf *out, json object)
{
    json pairs[PARAMS_MAX][2];
    json key, value;
    size_t n = 0;
    for (json_iter it = json_each(object); object.type == JSON_OBJECT && json_next(&it, &key, &value) && n < PARAMS_MAX; n++) {
        pairs[n][0] = key;
        pairs[n][1] = value;
    }
    qsort(pairs, n, sizeof *pairs, by_name);
    for (size_t i = 0; i < n; i++) {
        buf_add_bytes(out, pairs[i][0].raw);
        buf_add_char(out, ':');
        json_put_compact(out, pairs[i][1]);
        buf_add_char(out, ',');
    }
}

void answers_key(char key[ANSWERS_KEY], const char *plugin_digest, const char *config, bytes command, json params)
{
    buf all;
    buf_init(&all, SIZE_MAX);
    buf_add(&all, plugin_digest, strlen(plugin_digest) + 1);
    buf_add(&all, config ? config : "", (config ? strlen(config) : 0) + 1);
    buf_add_bytes(&all, command);
    buf_add_char(&all, '\0');
    put_sorted(&all, params);
    digest_sha256(key, buf_bytes(&all));
    if (all.failed)
        key[0] = '\0'; /* no key, so nothing is kept or found */
    buf_fini(&all);
}

static bool path_of(buf *out, const char *cache_dir, const char *key)
{
    buf_init(out, 1 << 16);
    buf_add_fmt(out, "%s/answers/%s", cache_dir ? cache_dir : "", key);
    buf_add_char(out, '\0');
    return cache_dir && *cache_dir && *key && !out->failed;
}

bool answers_find(buf *out, const char *cache_dir, const char *key)
{
    buf path, file;
    bool found = false;
    uint64_t until;
    buf_init(&file, 64u << 20);
    if (path_of(&path, cache_dir, key) && file_read(&file, path.at, NULL) == WEIR_OK) {
        const char *end = memchr(file.at, '\n', file.len);
        json number = {JSON_NUMBER, {file.at, end ? (size_t)(end - file.at) : 0}};
        found = end && json_u64(number, &until) && until > clock_real();
        if (found)
            buf_add(out, end + 1, file.len - (size_t)(end + 1 - file.at));
        else
            unlink(path.at);
    }
    buf_fini(&file);
    buf_fini(&path);
    return found && !out->failed;
}

void answers_keep(const char *cache_dir, const char *key, bytes answer, uint64_t seconds)
{
    weir_error err = WEIR_ERROR_INIT;
    buf path, file;
    buf_init(&file, SIZE_MAX);
    buf_add_u64(&file, clock_real() + (seconds < MONTH_S ? seconds : MONTH_S) * NS_PER_S);
    buf_add_char(&file, '\n');
    buf_add_bytes(&file, answer);
    if (path_of(&path, cache_dir, key) && !file.failed) {
        char *slash = strrchr(path.at, '/');
        *slash = '\0';
        weir_code code = file_make_folder(path.at, &err);
        *slash = '/';
        if (code || file_replace(path.at, buf_bytes(&file), &err))
            log_warn("host", "an answer is not kept: %s", err.text);
    }
    buf_fini(&file);
    buf_fini(&path);
}
