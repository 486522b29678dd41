/* settings.h: all that can be set of `weir serve`, in one table: what it is called, what it may be, what it is without a
 * word, what it is for. The help, the commented sample (--print-config, docs/weir.toml), the answer of GET /v1/settings
 * and the reading of flags, environment and file are all made of it.
 *
 *     listen.port        in the file:  [listen] port = 8080
 *                        a flag:       --listen-port 8080
 *                        environment:  WEIR_LISTEN_PORT=8080
 *
 * A flag counts more than the environment, that more than the file, that more than the default. What is not known, or
 * makes no sense where it stands, is an error that names the place and the nearest name. */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include <stdio.h>

#include "base/buf.h"

typedef enum setting_type { SETTING_TEXT,
                            SETTING_NUMBER,
                            SETTING_BOOL,
                            SETTING_SIZE,     /* "64MiB", "1GB", "4096" */
                            SETTING_DURATION, /* "250ms", "90s", "15m", "2h", "7d" */
                            SETTING_LIST,     /* of texts; in the environment separated by blanks, of flags one each */
                            SETTING_CHOICE } setting_type;

typedef struct setting {
    const char *name;
    setting_type type;
    const char *value; /* the default, as it is written */
    const char *help;
    const char *choices; /* of SETTING_CHOICE: "text json" */
    bool reload;         /* taken anew at SIGHUP; the others need a restart */
    bool secret;         /* shown as *** */
} setting;

extern const setting settings_table[]; /* a NULL name ends it */

typedef enum setting_source { FROM_DEFAULT,
                              FROM_FILE,
                              FROM_ENVIRONMENT,
                              FROM_FLAG } setting_source;

typedef struct settings settings;

settings *settings_new(void); /* all defaults; NULL: out of memory */
void settings_free(settings *s);
/* From where counts more stays. WEIR_NOT_FOUND: no such setting; WEIR_INVALID: no such value. A list grows by flags. */
weir_code settings_set(settings *s, const char *name, const char *value, setting_source from, weir_error *err);
weir_code settings_read_file(settings *s, const char *path, weir_error *err);
weir_code settings_read_environment(settings *s, weir_error *err);
/* "listen-port" -> its setting; NULL: none. */
const setting *settings_by_flag(const char *flag);

const char *settings_text(const settings *s, const char *name);
uint64_t settings_number(const settings *s, const char *name); /* numbers, sizes in octets, durations in ms */
bool settings_bool(const settings *s, const char *name);
const char *const *settings_list(const settings *s, const char *name); /* NULL at the end; NULL itself: empty */
setting_source settings_source(const settings *s, const char *name);
/* Those that can be taken while it runs become what they are in `next`, which is of no more use; but not the ones whose name
 * begins with `but` (NULL: all). */
void settings_take_reloaded(settings *s, settings *next, const char *but);
/* Is anything of them another? Names of those, that need a restart, appended. */
void settings_beyond_reload(const settings *now, const settings *next, buf *names);

void settings_print_sample(FILE *out);
void settings_print_flags(FILE *out);
void settings_put_json(const settings *s, buf *out); /* a list, for GET /v1/settings */

#endif
