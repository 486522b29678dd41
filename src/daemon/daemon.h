/* daemon.h: `weir serve`: a node and its API as a process that is started, reloaded and stopped by others.
 *
 * SIGTERM and SIGINT end it in good order: nothing new is begun, readers are told, streams stop, the history is written;
 * after `drain` what is left is cut. A second one ends it at once. SIGHUP reads the settings anew and takes those that
 * can be taken. A service manager is told by notify.h; whoever starts it by hand sees on stdout where it listens. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "daemon/settings.h"

typedef struct daemon_start {
    settings *settings;
    bool demo;        /* in data_dir, if that is set, else in a folder of its own */
    bool admin_token; /* make another token of scope admin and say it */
    /* The settings anew, from the same places, for SIGHUP; NULL and an error: they are wrong. */
    settings *(*again)(void *arg, weir_error *err);
    void *arg;
} daemon_start;

enum { DAEMON_FINE = 0,
       DAEMON_FAILED = 1, /* it could not run */
       DAEMON_USAGE = 2,  /* a setting makes no sense */
       DAEMON_CUT = 6 };  /* it ended, but something was cut: the deadline, or a second signal */

/* Runs until it is told to end. The answer is the exit code; what went wrong is said on stderr. */
int daemon_run(const daemon_start *start);
/* What daemon_run would begin with, tried: folders, files, certificate. WEIR_OK: it would. */
weir_code daemon_check(const settings *s, bool demo, weir_error *err);
/* Where the data is, by settings and surroundings. False: there is no place. */
bool daemon_folder(const settings *s, char *out, size_t size);

#endif
