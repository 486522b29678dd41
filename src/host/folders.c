/* The folders of this machine that a plugin may use.
 *
 * Its meta asks for them (fsWriteAccess: the path under which the plugin finds one, and what its author calls it). The user
 * grants each by name, weir_plugin_options.folders, and says where it is. What is granted joins the manifest's allowed_paths,
 * which WASI opens for each instance; nothing is granted unasked. A plain Extism plugin asks for nothing, and gets what the
 * user names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/inside.h"

static const meta_folder *asked_for(const weir_plugin *p, const char *guest)
{
    for (size_t i = 0; p->meta && i < p->meta->folder_count; i++)
        if (!strcmp(p->meta->folders[i].guest, guest))
            return &p->meta->folders[i];
    return NULL;
}

static bool granted(const weir_plugin *p, const char *guest)
{
    for (size_t i = 0; i < p->manifest->allowed_path_count; i++)
        if (!strcmp(p->manifest->allowed_paths[i].guest, guest))
            return true;
    return false;
}

static weir_code refuse(const weir_plugin *p, const char *guest, weir_error *err)
{
    buf names;
    buf_init(&names, 400);
    for (size_t i = 0; i < p->meta->folder_count; i++)
        buf_add_fmt(&names, "%s'%s'", i ? ", " : "", p->meta->folders[i].guest);
    error_set(err, WEIR_REFUSED, "it asks for no folder '%s'; it asks for %.*s", guest, names.len ? (int)names.len : 4, names.len ? names.at : "none");
    buf_fini(&names);
    return WEIR_REFUSED;
}

/* The host's part by its real name: the program may change its folder later. */
static weir_code add(weir_plugin *p, const char *host, const char *guest, bool read_only, weir_error *err)
{
    struct stat st;
    char *real = realpath(host, NULL);
    weir_code code;
    if (!real || stat(real, &st))
        code = error_set(err, WEIR_NOT_FOUND, "folder '%s': %s", host, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        code = error_set(err, WEIR_NOT_FOUND, "folder '%s': it is no folder", host);
    else
        code = manifest_path_add(p->manifest, real, guest, read_only, err);
    plugin_drop_idle(p); /* it was made without */
    free(real);
    return code;
}

/* One "HOST:GUEST". */
static weir_code grant(weir_plugin *p, const char *given, bool strict, weir_error *err)
{
    bool read_only = !strncmp(given, "ro:", 3);
    const char *host = given + (read_only ? 3 : 0), *colon = strrchr(host, ':');
    if (!colon || colon == host || colon[1] != '/')
        return error_set(err, WEIR_INVALID, "folder '%s': expected HOST:GUEST or ro:HOST:GUEST, such as ./templates:/templates", given);
    if (p->meta && !asked_for(p, colon + 1))
        return strict ? refuse(p, colon + 1, err) : WEIR_OK;
    if (granted(p, colon + 1))
        return error_set(err, WEIR_INVALID, "folder '%s': '%s' is granted already", given, colon + 1);
    char *name = bytes_dup(bytes_make(host, (size_t)(colon - host)));
    weir_code code = name ? add(p, name, colon + 1, read_only, err) : error_set(err, WEIR_NOMEM, "out of memory");
    free(name);
    return code;
}

weir_code folders_grant(weir_plugin *p, const char *const *given, bool strict, weir_error *err)
{
    bool unasked = strict && !(given && !*given);
    for (; given && *given; given++)
        if (grant(p, *given, strict, err))
            return error_wrap(err, "plugin '%s'", p->name);
    for (size_t i = 0; unasked && p->meta && i < p->meta->folder_count; i++)
        if (!granted(p, p->meta->folders[i].guest))
            log_warn("plugin", "'%s': it asks for the folder '%s' and was given none; --dir FOLDER:%s (weir_plugin_options.folders) names one",
                     p->name, p->meta->folders[i].guest, p->meta->folders[i].guest);
    return WEIR_OK;
}
