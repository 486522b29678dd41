/* A system that has nothing left: descriptors, address space, threads, memory. Each is an error with a text,
 * and when there is enough again, all goes on. And a thousand streams leave nothing behind. */
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/e2e/faults.h"
#include "tests/lib/peer.h"

/* ---- The simulated venue as a process of its own: its descriptors and allocations are not ours ---- */

typedef struct child_venue {
    pid_t pid;
    int port;
} child_venue;

static void venue_start(child_venue *v)
{
    int line[2];
    char text[1000];
    CHECK(pipe2(line, O_CLOEXEC) == 0);
    if ((v->pid = fork()) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
        dup2(line[1], STDOUT_FILENO);
        execl(weir_binary(), "weir", "sim", "woox", "--port", "0", "--plain", "--json", "--rate", "20", "--no-limits", (char *)NULL);
        _exit(127);
    }
    close(line[1]);
    FILE *f = fdopen(line[0], "r");
    CHECK(f && fgets(text, sizeof text, f));
    fclose(f);
    CHECK(sscanf(strstr(text, "\"port\""), "\"port\":%d", &v->port) == 1);
}

static void venue_stop(const child_venue *v)
{
    kill(v->pid, SIGKILL);
    waitpid(v->pid, NULL, 0);
}

static weir_host *open_host(int port, uint32_t instances)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *host;
    char rule[100];
    snprintf(rule, sizeof rule, "wss://wss.woox.io=ws://127.0.0.1:%d", port);
    o.overrides = (const char *const[]){rule, NULL};
    o.max_instances = instances;
    o.backoff_min_ms = 1;
    o.backoff_max_ms = 5;
    CHECK_OK(weir_host_new(&host, &o, &err));
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    return host;
}

/* ---- Descriptors ---- */

/* The lowest number that is free. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = count;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

TEST(system_faults, without_descriptors_a_host_is_refused_and_nothing_leaks)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_host *first = open_host(1, 8), *host = NULL;
    struct rlimit before;
    size_t open = open_descriptors();
    bool came_up = false;
    getrlimit(RLIMIT_NOFILE, &before);
    for (int more = 0; more < 40 && !came_up; more++) {
        allow_descriptors((rlim_t)(next_descriptor() + more));
        err = (weir_error)WEIR_ERROR_INIT;
        weir_code code = weir_host_new(&host, NULL, &err);
        allow_descriptors(before.rlim_cur);
        came_up = code == WEIR_OK;
        if (came_up)
            weir_host_free(host);
        else
            CHECK(err.code == code && *err.text);
        CHECK_UINT(open_descriptors(), open);
    }
    CHECK(came_up);
    weir_host_free(first);
}

TEST(system_faults, a_stream_without_descriptors_waits_and_comes_up_when_there_are_some)
{
    static child_venue v;
    static watched w;
    struct rlimit before;
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *p = NULL;
    weir_account a = {0};
    venue_start(&v);
    weir_host *host = open_host(v.port, 8);
    getrlimit(RLIMIT_NOFILE, &before);
    watch_open(&w, host);
    allow_descriptors((rlim_t)next_descriptor());
    CHECK(weir_plugin_load(&p, host, guest_path("echo.wasm"), NULL, &err) != WEIR_OK);
    CHECK_HAS(err.text, "echo.wasm");
    UNTIL(host, (weir_host_account(host, &a), a.restarts >= 10));
    CHECK(*weir_stream_why(w.stream));
    CHECK_UINT(w.data, 0);
    allow_descriptors(before.rlim_cur);
    UNTIL(host, w.data >= 3);
    CHECK_INT(weir_stream_get_state(w.stream), WEIR_STREAM_LIVE);
    CHECK_OK(weir_plugin_load(&p, host, guest_path("echo.wasm"), NULL, &err));
    check_account(&w);
    weir_host_free(host);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    venue_stop(&v);
}

/* ---- The whole program within a limit ---- */

typedef struct bound {
    int resource;
    rlim_t value;
} bound;

static void set_bound(void *arg)
{
    const bound *b = arg;
    struct rlimit limit = {b->value, b->value};
    setrlimit((__rlimit_resource_t)b->resource, &limit);
}

/* It worked, or said in a line why not. An answer that comes all the same may come with warnings. */
static bool check_works_or_says(const char *const *args, int resource, rlim_t value)
{
    bound b = {resource, value};
    const outcome *o = weir_run(args, set_bound, &b);
    if (o->code == 127) /* the dynamic loader itself had too little */
        return false;
    /* Within some tens of MiB the engine's own small allocations fail, and those end the process, with a word. */
    if (o->code == 128 + SIGABRT && resource == RLIMIT_AS && strstr(o->err, "memory allocation of"))
        return false;
    if (o->code > 5 || (o->code && (strncmp(o->err, "weir: ", 6) || strlen(o->err) < 20)))
        test_fail(__FILE__, __LINE__, "limit %d = %llu: code %d: %s", resource, (unsigned long long)value, o->code, o->err);
    if (o->code == 0)
        CHECK_TEXT(o->out, "hello");
    return o->code == 0;
}

TEST(system_faults, the_program_within_few_descriptors_works_or_says_why_not)
{
    char guest[4200];
    bool worked = false;
    snprintf(guest, sizeof guest, "%s", guest_path("echo.wasm"));
    const char *args[] = {"call", guest, "echo", "-i", "hello", NULL};
    for (rlim_t n = 4; n < 40; n++)
        worked = check_works_or_says(args, RLIMIT_NOFILE, n);
    CHECK(worked);
}

TEST(system_faults, the_program_within_little_address_space_works_or_says_why_not)
{
    char guest[4200];
    bool worked = false;
    if (SANITIZED) {
        test_skip("the sanitizer itself reserves terabytes of address space");
        return;
    }
    snprintf(guest, sizeof guest, "%s", guest_path("echo.wasm"));
    const char *args[] = {"call", guest, "echo", "-i", "hello", NULL};
    struct stat program;
    CHECK(!stat(weir_binary(), &program)); /* the kernel kills in silence what it has no room to map: from its size on, then */
    for (rlim_t mib = 8 + (rlim_t)(program.st_size >> 20); mib < 1 << 20; mib += mib / 4)
        worked = check_works_or_says(args, RLIMIT_AS, mib << 20);
    CHECK(worked);
}

/* The superuser is bound by no limit on threads: as somebody else, then. */
static void become_nobody(void *arg)
{
    rlim_t *threads = arg;
    struct rlimit limit = {*threads, *threads};
    if (setgid(65534) || setuid(65534) || access(weir_binary(), X_OK) || access(guest_path("echo.wasm"), R_OK))
        _exit(CHILD_SKIP);
    setrlimit(RLIMIT_NPROC, &limit);
}

TEST(system_faults, the_program_without_threads_works_or_says_why_not)
{
    char guest[4200];
    snprintf(guest, sizeof guest, "%s", guest_path("echo.wasm"));
    const char *args[] = {"call", guest, "echo", "-i", "hello", "--cache-dir", "", NULL};
    for (rlim_t threads = 1; threads < 8; threads++) {
        const outcome *o = weir_run(args, become_nobody, &threads);
        if (o->code == CHILD_SKIP) {
            test_skip("a limit on threads needs the right to become 'nobody', who must be able to read the build");
            return;
        }
        if (o->code > 5 || (o->code && strncmp(o->err, "weir: ", 6)))
            test_fail(__FILE__, __LINE__, "%llu threads: code %d: %s", (unsigned long long)threads, o->code, o->err);
    }
}

/* ---- Allocations in a running stream ---- */

/* Two records on each connection, then it ends: each round of the sweep sees a death, a back-off, a new
 * instance, a handshake and records. */
static void serve_two(peer_conn *c, void *arg)
{
    char scrap[1000];
    (void)arg;
    if (!peer_accept_ws(c, "") || !peer_read(c, scrap, sizeof scrap))
        return;
    peer_write(c, "\x81\x07{\"a\":1}\x81\x07{\"a\":2}\x88\x02\x03\xe8", 22);
    peer_wait_end(c);
}

TEST(system_faults, a_running_stream_survives_any_failed_allocation)
{
    static watched w;
    weir_account a = {0};
    unsigned rounds = 0, given_up = 0;
    peer *venue_side = peer_start(serve_two, NULL, NULL, NULL);
    weir_host *host = open_host(peer_port(venue_side), 8);
    weir_error err = WEIR_ERROR_INIT;
    watch_open(&w, host);
    UNTIL(host, w.data >= 4);
    FAULT_SWEEP(alloc)
    {
        uint64_t restarts, data = w.data;
        weir_host_account(host, &a);
        restarts = a.restarts + 2;
        rounds++;
        /* Until another connection has lived whole; or the stream is given up, and a new one takes its place. */
        UNTIL(host, (weir_host_account(host, &a), (a.restarts >= restarts && w.data >= data + 4) || weir_stream_get_state(w.stream) == WEIR_STREAM_FAILED));
        if (weir_stream_get_state(w.stream) == WEIR_STREAM_FAILED) {
            given_up++;
            CHECK(*weir_stream_why(w.stream));
            weir_stream_free(w.stream);
            CHECK_OK(weir_stream_open(&w.stream, w.plugin, "raw", "trade@SPOT_BTC_USDT", NULL, &err));
            UNTIL(host, w.data >= data + 4);
        }
    }
    CHECK(rounds > 20);
    CHECK(given_up * 10 < rounds);
    CHECK(weir_host_account_check(host, &err));
    weir_host_free(host);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    peer_stop(venue_side);
}

/* ---- A thousand streams ---- */

static weir_stream *streams[1000];

static unsigned in_state(weir_stream_state state, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += weir_stream_get_state(streams[i]) == state;
    return n;
}

/* `count` streams at once, live, then closed: half in good order, half at once. */
static void open_and_close(weir_plugin *p, weir_host *host, unsigned count)
{
    weir_error err = WEIR_ERROR_INIT;
    for (unsigned i = 0; i < count; i++) {
        CHECK_OK(weir_stream_open(&streams[i], p, "raw", i % 2 ? "trade@SPOT_BTC_USDT" : "trade@SPOT_ETH_USDT", NULL, &err));
    }
    UNTIL(host, in_state(WEIR_STREAM_LIVE, count) == count);
    for (unsigned i = 0; i < count / 2; i++)
        weir_stream_stop(streams[i]);
    UNTIL(host, in_state(WEIR_STREAM_CLOSED, count) == count / 2);
    for (unsigned i = 0; i < count; i++)
        weir_stream_free(streams[i]);
}

TEST(system_faults, a_thousand_streams_leave_nothing_behind)
{
    static child_venue v;
    static watched w;
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *p;
    const unsigned at_once = 50, rounds = 20; /* the pool has room for few more: a lost instance would show */
    venue_start(&v);
    weir_host *host = open_host(v.port, at_once + 4);
    CHECK_OK(weir_plugin_load(&p, host, guest_path("streams.wasm"), NULL, &err));
    CHECK_OK(weir_subscribe(&w.sub, host, ">", on_watched, &w, &err));
    w.host = host;
    open_and_close(p, host, at_once); /* what is kept for reuse exists now */
    open_and_close(p, host, at_once);
    size_t descriptors = open_descriptors(), octets = mallinfo2().uordblks;
    for (unsigned round = 0; round < rounds; round++)
        open_and_close(p, host, at_once);
    while (weir_host_step(host, 0))
        ;
    CHECK_UINT(open_descriptors(), descriptors);
    /* The allocator counts its own free lists; a quarter of a KiB for each stream would be more than those. */
    if (!SANITIZED && mallinfo2().uordblks > octets + 256 * 1024)
        test_fail(__FILE__, __LINE__, "%zu octets allocated before %u streams, %zu after", octets, at_once * rounds, mallinfo2().uordblks);
    w.seq_errors = 0; /* many streams count apart */
    w.gaps = 0;
    check_account(&w);
    weir_host_free(host);
    weir_log(WEIR_LOG_WARN, NULL, NULL);
    venue_stop(&v);
}
