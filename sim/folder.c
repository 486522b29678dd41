/* A folder with a fresh certificate; a temporary one goes with its venue. */
#include "sim/folder.h"

#include "net/cert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

weir_code cert_folder_make(cert_folder *out, const char *path, weir_error *err)
{
    /* The production names are in the certificate too: which name a client checks is its own affair. */
    static const char *const names[] = {"localhost", "127.0.0.1", "::1", "api.woox.io", "api-pub.woox.io", "wss.woox.io",
                                        "api.woo.org", "api-pub.woo.org", "wss.woo.org", "sim.local"};
    *out = (cert_folder){0};
    if (path) {
        snprintf(out->path, sizeof out->path, "%s", path);
    } else {
        const char *tmp = getenv("TMPDIR");
        snprintf(out->path, sizeof out->path, "%s/weir-sim-XXXXXX", tmp && *tmp ? tmp : "/tmp");
        if (!mkdtemp(out->path))
            return error_set(err, WEIR_SYSTEM, "folder '%s' for the certificate: %s", out->path, strerror(errno));
        out->own = true;
    }
    snprintf(out->ca, sizeof out->ca, "%s/ca.pem", out->path);
    snprintf(out->cert, sizeof out->cert, "%s/server.pem", out->path);
    snprintf(out->key, sizeof out->key, "%s/server.key", out->path);
    return cert_make(out->path, names, sizeof names / sizeof names[0], err);
}

void cert_folder_remove(cert_folder *f)
{
    if (!f->own)
        return;
    unlink(f->ca);
    unlink(f->cert);
    unlink(f->key);
    rmdir(f->path);
    f->own = false;
}
