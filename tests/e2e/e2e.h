/* What the tests of the whole share: guests by name, a host, a simulated venue on a thread of its own. */
#ifndef TESTS_E2E_H
#define TESTS_E2E_H

#include <weir/weir.h>

#include "base/bytes.h"
#include "sim/sim.h"
#include "tests/lib/test.h"

/* "build/guests/NAME"; static room. */
const char *guest_path(const char *name);

/* A build with a sanitizer, which is some times slower. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A venue, and a host that finds the plugins' origins there. `options` may be NULL. */
typedef struct e2e {
    weir_host *host;
    struct e2e_venue *venue; /* NULL without */
} e2e;
void e2e_open(e2e *e, const sim_options *options); /* NULL: no venue */
/* The same with another patience for venues that send nothing (400 ms). */
void e2e_open_patient(e2e *e, const sim_options *options, uint32_t silence_ms);
void e2e_close(e2e *e);

/* Runs `fn` on the venue's thread, and waits for it. */
void e2e_on_venue(e2e *e, void (*fn)(sim *s, void *arg), void *arg);
void e2e_fault(e2e *e, const char *list); /* sim_fault; fails the test when it is refused */

/* Turns the host until done(arg), about `seconds` of real time on an idle machine: a failed test if it takes much longer. */
void e2e_until(e2e *e, bool (*done)(void *arg), void *arg, double seconds, const char *what);

#endif
