/* Whole files: read, and replaced atomically. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

/* Appends the whole file to `out`. The error names path and cause ("no such file", "is a
 * directory", "larger than N MiB"). */
weir_code file_read(buf *out, const char *path, weir_error *err);

/* Writes to a temporary file beside `path`, syncs it, renames it over `path`. Mode 0600. */
weir_code file_replace(const char *path, bytes contents, weir_error *err);

/* mkdir -p with mode 0700 for what it makes. */
weir_code file_make_folder(const char *path, weir_error *err);

#endif
