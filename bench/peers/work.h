/* The work of `make bench-peers`, for the hosts in C. A host says how it makes a plugin and calls it; what is asked, how
 * often, and what is printed is the same for all (js/host.mjs and go/main.go are this file in their languages).
 *
 *   HOST calls C.wasm GO.wasm          samples of each row, ns, and what came out
 *   HOST start GO.wasm                 one call; the caller takes the time of the process
 *   HOST compile GO.wasm               from octets to a plugin that can be called, ns
 *   HOST instances C.wasm COUNT        each made and called once: ns, resident octets; how far it got
 *   HOST flat C.wasm CALLS HOSTCALLS   resident octets after 1 % and at the end
 *
 * Time is CPU time of the process, so that threads that a host keeps busy count, and other work on the machine does not. */
#ifndef BENCH_PEERS_WORK_H
#define BENCH_PEERS_WORK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/digest.h"

#define SAMPLES 5
#define SAMPLE_NS 40e6
#define MEGABYTE ((size_t)1 << 20)
#define SHORT_CALLS "100"
#define LONG_CALLS "100000"
#define ANSWER "{\"success\":true,\"connectionId\":\"c-00000017\",\"accepted\":2}  "

static const char trade[] = "{\"topic\":\"trade@SPOT_BTC_USDT\",\"ts\":1717171717123,\"source\":\"matching-engine-3\",\"sequence\":918273645,"
                            "\"data\":{\"s\":\"SPOT_BTC_USDT\",\"px\":\"67123.45\",\"sx\":\"0.01250000\",\"sd\":\"BUY\",\"ts\":1717171717119,"
                            "\"rpi\":false,\"maker\":\"0b2f6f3d4f6a4a9f\",\"taker\":\"77aa90cd13ee42b1\",\"fee\":\"0.0003\",\"feeAsset\":\"USDT\"}}";

typedef struct code code;
typedef struct plugin plugin;

/* Each host defines these. A failure of compile_file ends the program; a failure of the others is told. */
static code *compile_file(const char *path);
static plugin *plugin_make(code *c, char *why, size_t why_size); /* NULL: `why` says it */
static bool plugin_call(plugin *p, const char *name, bytes in, bytes *out);
static const char *plugin_why(plugin *p);
static void plugin_drop(plugin *p);

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static bytes must_call(plugin *p, const char *name, bytes in)
{
    bytes out = {"", 0};
    if (!plugin_call(p, name, in, &out))
        fail(name, plugin_why(p));
    return out;
}

static plugin *must_make(code *c)
{
    char why[300];
    plugin *p = plugin_make(c, why, sizeof why);
    if (!p)
        fail("a plugin", why);
    return p;
}

/* Samples of one row: ns for each of the `units` of a call. */
static void row(const char *name, plugin *p, const char *export, bytes in, double units)
{
    char digest[DIGEST_HEX];
    digest_sha256(digest, must_call(p, export, in));
    printf("%s\"%s\":{\"output\":\"%s\",\"ns\":[", strcmp(name, "no-op call") ? "," : "{", name, digest);
    long batch = 1;
    for (int sample = -1; sample < SAMPLES;) {
        double start = cpu_ns();
        for (long i = 0; i < batch; i++)
            must_call(p, export, in);
        double took = cpu_ns() - start;
        if (took < SAMPLE_NS && sample < 0 && batch < (1 << 24)) { /* how many make a sample */
            batch = took < SAMPLE_NS / 8 ? batch * 4 : batch * 2;
            continue;
        }
        if (sample++ >= 0)
            printf("%s%.2f", sample > 1 ? "," : "", took / (double)batch / units);
    }
    printf("]}");
}

static void do_calls(const char *c_path, const char *go_path)
{
    static char megabyte[MEGABYTE];
    char text[256];
    for (size_t i = 0; i < sizeof megabyte; i++)
        megabyte[i] = (char)('a' + i * 7 % 23);
    memcpy(text, megabyte, sizeof text);
    plugin *c = must_make(compile_file(c_path)), *go = must_make(compile_file(go_path));
    row("no-op call", c, "noop", bytes_make("", 0), 1);
    row("echo 256 B", c, "echo", bytes_make(text, sizeof text), 1);
    row("host call, 100 in a call", c, "ask", BYTES(SHORT_CALLS), 100);
    row("host call, 100,000 in a call", c, "ask", BYTES(LONG_CALLS), 100000);
    row("1 MB in, 1 MB out", c, "echo", bytes_make(megabyte, sizeof megabyte), 1);
    row("Go plugin, a trade normalised", go, "normalise", bytes_of(trade), 1);
    printf("}\n");
    plugin_drop(c);
    plugin_drop(go);
}

static void do_start(const char *path)
{
    plugin *p = must_make(compile_file(path));
    bytes out = must_call(p, "normalise", bytes_of(trade));
    printf("%.*s\n", (int)out.len, out.at);
}

static void do_compile(const char *path)
{
    double start = cpu_ns();
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    compile_file(path);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("{\"cpu_ns\":%.0f,\"wall_ns\":%.0f}\n", cpu_ns() - start, (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec));
}

static double resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        fail("/proc/self/statm", "cannot be read");
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void do_instances(const char *path, int count)
{
    char why[300] = "";
    plugin **all = calloc((size_t)count, sizeof *all);
    code *c = compile_file(path);
    plugin_drop(must_make(c)); /* what is made once for all */
    double before = resident(), start = cpu_ns();
    int made = 0;
    bytes out;
    while (made < count && (all[made] = plugin_make(c, why, sizeof why)) && plugin_call(all[made], "noop", bytes_make("", 0), &out))
        made++;
    for (char *at = why; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
            *at = ' ';
    printf("{\"made\":%d,\"ns\":%.0f,\"octets\":%.0f,\"why\":\"%s\"}\n", made, (cpu_ns() - start) / (made ? made : 1), (resident() - before) / (made ? made : 1), why);
    fflush(stdout);
    _exit(0);
}

static void do_flat(const char *path, long calls, long host_calls)
{
    char count[24];
    plugin *p = must_make(compile_file(path));
    snprintf(count, sizeof count, "%ld", host_calls / 100);
    for (long i = 0; i < calls / 100; i++)
        must_call(p, "noop", bytes_make("", 0));
    must_call(p, "ask", bytes_of(count));
    double early = resident();
    for (long i = 0; i < calls; i++)
        must_call(p, "noop", bytes_make("", 0));
    snprintf(count, sizeof count, "%ld", host_calls);
    must_call(p, "ask", bytes_of(count));
    printf("{\"calls\":%ld,\"host_calls\":%ld,\"grown\":%.0f}\n", calls, host_calls, resident() - early);
}

static int work(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 4 && strcmp(what, "calls") == 0)
        do_calls(argv[2], argv[3]);
    else if (argc == 3 && strcmp(what, "start") == 0)
        do_start(argv[2]);
    else if (argc == 3 && strcmp(what, "compile") == 0)
        do_compile(argv[2]);
    else if (argc == 4 && strcmp(what, "instances") == 0)
        do_instances(argv[2], atoi(argv[3]));
    else if (argc == 5 && strcmp(what, "flat") == 0)
        do_flat(argv[2], atol(argv[3]), atol(argv[4]));
    else
        fail("usage", "calls C GO | start GO | compile GO | instances C COUNT | flat C CALLS HOSTCALLS");
    return 0;
}

#endif
