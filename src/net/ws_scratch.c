/* What the codecs of one thread share: a buffer to read into, one to inflate into, one to send from, and random masks.
 *
 * Reading into a buffer of the thread and copying out only the unfinished frame at its end is what
 * lets thousands of idle connections cost next to nothing; sending from one, and keeping only what the
 * peer does not take, does the same for thousands of readers. Freed when the thread ends. */
#include <pthread.h>

#include "base/rand.h"
#include "net/ws_inside.h"

static _Thread_local scratch *mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool key_made;

static void release(void *p)
{
    free(p);
    mine = NULL;
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, release) == 0;
}

scratch *scratch_get(void)
{
    if (mine)
        return mine;
    pthread_once(&once, make_key);
    scratch *s = key_made ? malloc(sizeof *s) : NULL;
    if (!s)
        return NULL;
    if (pthread_setspecific(key, s)) {
        free(s);
        return NULL;
    }
    s->reader = NULL;
    s->parsing = s->out_lent = s->send_lent = false;
    return mine = s;
}

/* Masks must not be foreseeable by who chooses the payload (RFC 6455 10.3), so they are the kernel's
 * own, fetched for 64 frames at a time. */
uint32_t scratch_mask(void)
{
    static _Thread_local uint32_t pool[64];
    static _Thread_local unsigned left;
    if (!left) {
        rand_bytes(pool, sizeof pool);
        left = 64;
    }
    return pool[--left];
}
