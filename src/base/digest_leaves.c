/* SHA-256 of large things by several processors: a tree of two levels.
 *
 * The octets are cut into at most LEAVES leaves, of a length that follows from the size alone. The digest is that of the size
 * and of all leaves' digests. Two different contents with one digest would be two texts with one SHA-256, among the leaves or
 * above them. */
#define OPENSSL_SUPPRESS_DEPRECATED /* see digest.c */

#include <errno.h>
#include <openssl/sha.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/spread.h"

#define LEAVES 64
#define LEAF ((uint64_t)512 << 10) /* at least: some 0.3 ms */

typedef struct tree {
    const char *at; /* NULL: it is in `fd` */
    int fd;
    uint64_t size, leaf;
    unsigned char leaves[LEAVES][DIGEST_OCTETS];
    bool failed[LEAVES];
} tree;

/* Through a piece that stays in the processor's cache. */
static bool add_file(SHA256_CTX *sum, int fd, uint64_t from, uint64_t to)
{
    char piece[65536];
    while (from < to) {
        ssize_t got = pread(fd, piece, to - from < sizeof piece ? to - from : sizeof piece, (off_t)from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        SHA256_Update(sum, piece, (size_t)got);
        from += (uint64_t)got;
    }
    return true;
}

static void sum_leaf(void *arg, size_t k)
{
    tree *t = arg;
    uint64_t from = k * t->leaf, to = t->size - from < t->leaf ? t->size : from + t->leaf;
    SHA256_CTX sum;
    SHA256_Init(&sum);
    if (t->at)
        SHA256_Update(&sum, t->at + from, to - from);
    else
        t->failed[k] = !add_file(&sum, t->fd, from, to);
    SHA256_Final(t->leaves[k], &sum);
}

static bool sum_tree(char out[DIGEST_HEX], tree *t)
{
    unsigned char raw[DIGEST_OCTETS];
    SHA256_CTX sum;
    bool failed = false;
    t->leaf = t->size / LEAVES < LEAF ? LEAF : t->size / LEAVES + 1;
    size_t count = (size_t)((t->size + t->leaf - 1) / t->leaf);
    spread(count, sum_leaf, t);
    SHA256_Init(&sum);
    for (int shift = 56; shift >= 0; shift -= 8)
        SHA256_Update(&sum, &(unsigned char){(unsigned char)(t->size >> shift)}, 1);
    for (size_t k = 0; k < count; k++) {
        SHA256_Update(&sum, t->leaves[k], sizeof t->leaves[k]);
        failed |= t->failed[k];
    }
    SHA256_Final(raw, &sum);
    digest_hex(out, raw);
    return !failed;
}

void digest_leaves(char out[DIGEST_HEX], bytes data)
{
    tree t = {.at = data.at ? data.at : "", .size = data.len};
    sum_tree(out, &t);
}

bool digest_leaves_file(char out[DIGEST_HEX], int fd, uint64_t size)
{
    tree t = {.fd = fd, .size = size};
    return sum_tree(out, &t);
}
