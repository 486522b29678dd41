/* Compiled files on disk. Reading is the frequent operation, once for each start of a program:
 * open, check who owns it, sum up, leave the mapping to the engine. Everything is done relative to the
 * folder's descriptor, and the engine is given the descriptor that was checked, not the name. */
#include "engine/aot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define MAGIC_ANY "weir image "
#define MAGIC MAGIC_ANY "2\n"
#define SUFFIX ".cwasm"
#define NAME_SIZE (DIGEST_HEX + sizeof SUFFIX - 1)
#define LEFTOVER_S 3600

/* ---- The seal ---- */

static bool is_hex(const char *text, int digits)
{
    for (int k = 0; k < digits; k++)
        if (!((text[k] >= '0' && text[k] <= '9') || (text[k] >= 'a' && text[k] <= 'f')))
            return false;
    return true;
}

void aot_seal_write(char out[AOT_SEAL_SIZE], const aot_seal *seal)
{
    char text[AOT_SEAL_SIZE + 1];
    memset(out, 0, AOT_SEAL_SIZE);
    int len = snprintf(text, sizeof text, MAGIC "%016" PRIx64 "%s%s%016" PRIx64 "%d", seal->image_size, seal->sum, seal->key, seal->facts.wasm_size,
                       seal->facts.has_start);
    memcpy(out, text, (size_t)len);
}

bool aot_seal_read(aot_seal *out, bytes tail, uint64_t file_size)
{
    char again[AOT_SEAL_SIZE];
    if (tail.len != AOT_SEAL_SIZE || file_size <= AOT_SEAL_SIZE || !bytes_starts(tail, BYTES(MAGIC)))
        return false;
    const char *sum = tail.at + sizeof MAGIC - 1 + 16, *key = sum + CHECKSUM_HEX - 1, *facts = key + DIGEST_HEX - 1;
    if (!is_hex(sum, CHECKSUM_HEX - 1) || !is_hex(key, DIGEST_HEX - 1) || !is_hex(facts, 16))
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->sum, sum, CHECKSUM_HEX - 1);
    memcpy(out->key, key, DIGEST_HEX - 1);
    char size[17] = {0};
    memcpy(size, facts, 16);
    out->facts.wasm_size = strtoull(size, NULL, 16);
    out->facts.has_start = facts[16] == '1';
    out->image_size = file_size - AOT_SEAL_SIZE;
    aot_seal_write(again, out); /* one way to write each seal: the rest is compared */
    return memcmp(again, tail.at, AOT_SEAL_SIZE) == 0;
}

/* Of the image and what else is believed. */
static void sum_of(char out[CHECKSUM_HEX], bytes image, aot_facts facts)
{
    char text[CHECKSUM_HEX + 24], sum[CHECKSUM_HEX];
    checksum(sum, image);
    snprintf(text, sizeof text, "%s%016" PRIx64 "%d", sum, facts.wasm_size, facts.has_start);
    checksum(out, bytes_of(text));
}

/* ---- The key ---- */

/* What the kernel says of the first CPU: model and features. Code made for one CPU may use what
 * another lacks (the engine checks that too). */
static void add_cpu(buf *b)
{
    char text[8192];
    int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    static const char *const wanted[] = {"vendor_id", "cpu family", "model", "flags", "CPU part", "Features"};
    char *save, *line = strtok_r(text, "\n", &save);
    for (; line && !(strncmp(line, "processor", 9) == 0 && b->len && strchr(line, '1')); line = strtok_r(NULL, "\n", &save))
        for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++)
            if (strncmp(line, wanted[k], strlen(wanted[k])) == 0)
                buf_add_text(b, line);
}

void aot_key(char out[DIGEST_HEX], const char module[DIGEST_HEX], const char *engine, const char *settings)
{
    buf b;
    buf_init(&b, 32768);
    add_cpu(&b);
    buf_add_fmt(&b, "\n%s\n%s\n%s\n", engine, settings, module);
    digest_sha256(out, buf_bytes(&b));
    if (b.failed) /* out of memory: still a key of this module, though not of this machine */
        memcpy(out, module, DIGEST_HEX);
    buf_fini(&b);
}

/* ---- Files ---- */

static void file_name(char out[NAME_SIZE], const char *key)
{
    snprintf(out, NAME_SIZE, "%s" SUFFIX, key);
}

/* Nobody but us (or root) may have written it. */
static bool ours(const struct stat *st)
{
    return st->st_uid == geteuid() && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int aot_open_folder(const char *path, weir_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && file_make_folder(path, err))
        return -1;
    if (fd < 0)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        error_set(err, WEIR_SYSTEM, "'%s': %s", path, strerror(errno));
    } else if (!ours(&st)) {
        error_set(err, WEIR_REFUSED, "'%s': others may write there, and compiled files are code; make it yours and 'chmod 700' it", path);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static weir_code check_image(int fd, const struct stat *st, const char *key, aot_facts *facts, weir_error *err)
{
    aot_seal seal;
    char sum[CHECKSUM_HEX];
    if (!S_ISREG(st->st_mode) || !ours(st))
        return error_set(err, WEIR_REFUSED, "it is not a file of ours alone");
    size_t size = (size_t)st->st_size;
    if (size <= AOT_SEAL_SIZE)
        return error_set(err, WEIR_INVALID, "it has %zu octets only", size);
    char *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return error_set(err, WEIR_SYSTEM, "it cannot be mapped: %s", strerror(errno));
    weir_code code = WEIR_OK;
    bytes tail = bytes_make(at + size - AOT_SEAL_SIZE, AOT_SEAL_SIZE);
    if (bytes_starts(tail, BYTES(MAGIC_ANY)) && !bytes_starts(tail, BYTES(MAGIC)))
        code = error_set(err, WEIR_NOT_FOUND, "it is another release's");
    else if (!aot_seal_read(&seal, tail, size))
        code = error_set(err, WEIR_INVALID, "its seal is broken");
    else if (strcmp(seal.key, key) != 0)
        code = error_set(err, WEIR_INVALID, "it belongs to another key");
    else if (sum_of(sum, bytes_make(at, size - AOT_SEAL_SIZE), seal.facts), strcmp(sum, seal.sum) != 0)
        code = error_set(err, WEIR_INVALID, "its contents are damaged");
    else
        *facts = seal.facts;
    munmap(at, size);
    return code;
}

int aot_open(int folder, const char *key, aot_facts *facts, weir_error *err)
{
    char name[NAME_SIZE];
    struct stat st;
    file_name(name, key);
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        error_set(err, errno == ENOENT ? WEIR_NOT_FOUND : WEIR_SYSTEM, "%s", strerror(errno));
    } else if (!check_image(fd, &st, key, facts, err)) {
        if (time(NULL) - st.st_mtime > 86400)
            futimens(fd, NULL); /* aot_trim goes by it */
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool write_all(int fd, const char *at, size_t len)
{
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return true;
}

weir_code aot_store(int folder, const char *key, bytes image, aot_facts facts, weir_error *err)
{
    static unsigned counter;
    char name[NAME_SIZE], fresh[64], tail[AOT_SEAL_SIZE];
    aot_seal seal = {.image_size = image.len, .facts = facts};
    sum_of(seal.sum, image, facts);
    memcpy(seal.key, key, sizeof seal.key);
    aot_seal_write(tail, &seal);
    file_name(name, key);
    snprintf(fresh, sizeof fresh, ".new-%ld-%u", (long)getpid(), __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
    unlinkat(folder, fresh, 0); /* of a process with our number that died */
    int fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, WEIR_SYSTEM, "cannot make a file: %s", strerror(errno));
    bool written = write_all(fd, image.at, image.len) && write_all(fd, tail, sizeof tail) && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0 && written) {
        written = false;
        why = errno;
    }
    if (written && renameat(folder, fresh, folder, name) == 0)
        return WEIR_OK;
    if (written)
        why = errno;
    unlinkat(folder, fresh, 0);
    return error_set(err, WEIR_SYSTEM, "cannot write %zu octets: %s", image.len, strerror(why));
}

/* ---- Trimming ---- */

typedef struct cached {
    struct timespec used;
    off_t size;
    char name[NAME_SIZE];
} cached;

static int by_last_use(const void *a, const void *b)
{
    const cached *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? 1 : -1;
    return x->used.tv_nsec < y->used.tv_nsec ? 1 : x->used.tv_nsec > y->used.tv_nsec ? -1
                                                                                     : 0;
}

/* Adds one entry of the folder to the list, or removes it if it is an old leftover. */
static void look_at(int folder, const char *name, buf *list)
{
    struct stat st;
    size_t len = strlen(name);
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return;
    if (strncmp(name, ".new-", 5) == 0 && time(NULL) - st.st_mtime > LEFTOVER_S) {
        unlinkat(folder, name, 0);
    } else if (len == NAME_SIZE - 1 && strcmp(name + DIGEST_HEX - 1, SUFFIX) == 0) {
        cached c = {.used = st.st_mtim, .size = st.st_size};
        memcpy(c.name, name, len);
        buf_add(list, &c, sizeof c);
    }
}

void aot_trim(int folder, uint64_t keep)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    buf list;
    buf_init(&list, (size_t)64 << 20);
    for (struct dirent *e; (e = readdir(d));)
        look_at(folder, e->d_name, &list);
    closedir(d);
    cached *files = (cached *)(void *)list.at;
    size_t count = list.len / sizeof *files;
    if (count)
        qsort(files, count, sizeof *files, by_last_use);
    uint64_t total = 0;
    for (size_t k = 0; k < count; k++)
        if ((total += (uint64_t)files[k].size) > keep && k > 0)
            unlinkat(folder, files[k].name, 0);
    buf_fini(&list);
}
