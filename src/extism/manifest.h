/* manifest.h: what to load and what it may do, from Extism's JSON or TOML or a bare module. */
#ifndef EXTISM_MANIFEST_H
#define EXTISM_MANIFEST_H

#include "base/buf.h"
#include "base/map.h"

typedef struct manifest_path {
    char *host, *guest;
    bool read_only; /* "ro:" before the host path */
} manifest_path;

typedef struct manifest_module {
    char *name;             /* NULL: none given */
    char *path;             /* a file, or NULL when `data` holds the module */
    char *url;              /* or where to fetch it */
    char *method, *headers; /* of a url entry: as given, NULL for GET; a JSON object of strings, or NULL */
    char *hash;             /* SHA-256 in hex, or NULL */
    buf data;
} manifest_module;

#define MANIFEST_NO_LIMIT UINT64_MAX

typedef struct manifest {
    manifest_module *modules;
    size_t module_count;
    char **allowed_hosts;
    size_t allowed_host_count;
    manifest_path *allowed_paths;
    size_t allowed_path_count;
    map *config;                      /* text -> char * (owned) */
    uint64_t max_pages;               /* MANIFEST_NO_LIMIT: none */
    uint64_t max_http_response_bytes; /* default 52428800 */
    uint64_t max_var_bytes;           /* default 1048576; 0: variables are off */
    uint64_t timeout_ms;              /* MANIFEST_NO_LIMIT: none */
    bool local;                       /* read by manifest_read_local */
} manifest;

/* Reads what a user named: wasm, WAT, a JSON or a TOML manifest, told apart by the contents. Errors name line or octet, key and what would be right; unknown keys are errors. */
weir_code manifest_read(manifest **out, bytes contents, weir_error *err);

/* The same from a caller in this process: "data" may also be {"ptr": address, "len": octets}, which are read here. */
weir_code manifest_read_local(manifest **out, bytes contents, weir_error *err);

/* A copy of all but the modules, and of allowed_paths only if asked: for an instance with settings of its own. */
weir_code manifest_copy_policy(manifest **out, const manifest *m, bool with_paths, weir_error *err);

/* The same for a file; relative module paths in it are relative to the file's folder. */
weir_code manifest_open(manifest **out, const char *path, weir_error *err);
void manifest_free(manifest *m);

/* Loads the octets of module `i` into its `data` and checks the hash. A url entry is
 * WEIR_UNSUPPORTED here: whoever has a network fetches it first. */
weir_code manifest_load(manifest *m, size_t i, weir_error *err);

/* The name under which the others may import from module `i`. */
const char *manifest_label(const manifest *m, size_t i);

/* WEIR_INVALID: one of the modules before `i` has its name. Asked by manifest_read, but not by manifest_read_local, whose
 * caller asks when it has loaded the module. */
weir_code manifest_check_name(const manifest *m, size_t i, weir_error *err);

/* Which module's exports are called: the one named "main" or nameless, else the last. */
size_t manifest_main(const manifest *m);

/* One more of allowed_paths: a copy, taken as it is. */
weir_code manifest_path_add(manifest *m, const char *host, const char *guest, bool read_only, weir_error *err);

/* Config values: copies. NULL value deletes. */
weir_code manifest_config_set(manifest *m, const char *key, const char *value, weir_error *err);
const char *manifest_config_get(const manifest *m, bytes key); /* NULL if absent */

/* Extism's allow-list (glob.h): does any pattern match the host? An empty list allows nothing. */
bool manifest_allows_host(const manifest *m, bytes host);

#endif
