/* A plugin replaced under load.
 *
 *   swap_bench WEIR PLUGIN OTHER [SWAPS] [--json]
 *       A stream of trades at 20,000 frames a second, whose plugin is replaced by OTHER, by PLUGIN, and so on.
 *       Beside it runs the same market through a second PLUGIN that nobody touches: from where both have begun,
 *       the records of the two must be the same, in the same order. What counts is the pause: the longest time
 *       between two records while a swap goes on, against the longest while none does. */
#include "bench/bench.h"
#include "weir/weir.h"

#define SYMBOL "SPOT_BTC_USDT"
#define RATE "20000"
#define SPEED "1.001" /* faster than time, so that the venue's clock waits for readers whose machine is too slow for the rate */
#define STEP_S 1.0    /* between swaps */

typedef struct tape {
    uint64_t *at;
    size_t count, room;
    uint64_t seq, holes, gaps;
    double last, longest;
} tape;

static void on_record(void *arg, const weir_record *r)
{
    tape *t = arg;
    uint64_t hash = UINT64_C(14695981039346656037);
    double now = wall_s();
    t->holes += r->seq && r->seq != t->seq + 1;
    t->seq = r->seq ? r->seq : t->seq;
    t->gaps += r->kind == WEIR_RECORD_GAP;
    if (r->kind != WEIR_RECORD_DATA)
        return;
    if (t->last && now - t->last > t->longest)
        t->longest = now - t->last;
    t->last = now;
    for (size_t i = 0; i < r->data_len; i++)
        hash = (hash ^ (unsigned char)r->data[i]) * UINT64_C(1099511628211);
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 1u << 20;
        if (!(t->at = realloc(t->at, t->room * sizeof *t->at)))
            give_up("out of memory");
    }
    t->at[t->count++] = hash;
}

/* Turns the host for so long; the longest time between two records of it. */
static double turn(weir_host *h, tape *t, double seconds)
{
    double until = wall_s() + seconds;
    while (wall_s() < until)
        weir_host_step(h, 10);
    return t->longest;
}

/* How many records both have in common, from where `late` begins in `early`; 0: they are not the same. */
static size_t joined(const tape *early, const tape *late)
{
    size_t from = 0, n = 0;
    while (from + 3 < early->count && memcmp(early->at + from, late->at, 3 * sizeof *late->at) != 0)
        from++;
    while (n < late->count && from + n < early->count && late->at[n] == early->at[from + n])
        n++;
    return n == late->count || from + n == early->count ? n : 0;
}

/* For a failure: where both part, and what comes then. */
static void show_parting(const char *what, const tape *early, const tape *late)
{
    size_t from = 0, n = 0;
    while (from + 3 < early->count && memcmp(early->at + from, late->at, 3 * sizeof *late->at) != 0)
        from++;
    while (n < late->count && from + n < early->count && late->at[n] == early->at[from + n])
        n++;
    fprintf(stderr, "%s: from the %zuth record on %zu are the same, then:\n", what, from, n);
    for (size_t k = n; k < n + 6 && k < late->count && from + k < early->count; k++) {
        size_t there = from + k, here = k; /* is it only elsewhere? */
        while (there < early->count && early->at[there] != late->at[k])
            there++;
        while (here < late->count && late->at[here] != early->at[from + k])
            here++;
        fprintf(stderr, "  %016llx %016llx  (the one comes %zd later there, the other %zd later here; -1: not at all)\n", (unsigned long long)early->at[from + k], (unsigned long long)late->at[k],
                there < early->count ? (ssize_t)(there - from - k) : -1, here < late->count ? (ssize_t)(here - k) : -1);
    }
}

static weir_plugin *open_one(weir_host *h, const char *path, tape *t, const char *type)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *p;
    weir_stream *s;
    weir_sub *sub;
    char pattern[60];
    static int n;
    snprintf(pattern, sizeof pattern, "%s.*." SYMBOL ".%d", type, ++n);
    char parameters[40];
    snprintf(parameters, sizeof parameters, "{\"copy\":\"%d\"}", n); /* two streams, not one twice */
    if (weir_plugin_load(&p, h, path, NULL, &err) || weir_subscribe(&sub, h, pattern, on_record, t, &err) ||
        weir_stream_open(&s, p, type, SYMBOL, parameters, &err))
        give_up("%s", err.text);
    while (t->count < 1000)
        weir_host_step(h, 100);
    return p;
}

int main(int argc, char **argv)
{
    bool as_json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
    static tape mine, truth;
    weir_error err = WEIR_ERROR_INIT;
    weir_host_options o = WEIR_HOST_OPTIONS_INIT;
    weir_host *h;
    weir_account a;
    sim_process s;
    double usual = 0, pause = 0, sum = 0;
    argc -= as_json;
    int swaps = argc > 4 ? atoi(argv[4]) : 6;
    if (argc < 4 || argc > 5 || swaps < 1) {
        fprintf(stderr, "usage: swap_bench WEIR PLUGIN OTHER [SWAPS] [--json]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    weir_log(WEIR_LOG_ERROR, NULL, NULL);
    sim_start(&s, argv[1], (const char *const[]){"--rate", RATE, "--seed", "7", "--speed", SPEED, NULL});
    o.ca_file = s.ca;
    o.overrides = s.override_list;
    o.max_instances = 16;
    o.state_dir = "";
    if (weir_host_new(&h, &o, &err))
        give_up("%s", err.text);
    weir_plugin *p = open_one(h, argv[2], &mine, "trades");
    open_one(h, argv[2], &truth, "trades");
    double began = wall_s();
    size_t before = mine.count;
    for (int i = 0; i < swaps; i++) {
        mine.longest = 0;
        double quiet = turn(h, &mine, STEP_S);
        usual = quiet > usual ? quiet : usual;
        mine.longest = 0;
        if (weir_plugin_swap(p, argv[i % 2 ? 2 : 3], &err))
            give_up("%s", err.text);
        double one = turn(h, &mine, 2 * STEP_S); /* a pull stream dials meanwhile */
        pause = one > pause ? one : pause;
        sum += one;
    }
    double rate = (double)(mine.count - before) / (wall_s() - began);
    size_t want = mine.count; /* the control began later */
    while (truth.count < want)
        weir_host_step(h, 100);
    weir_host_account(h, &a);
    size_t both = joined(&mine, &truth);
    both = both ? both : joined(&truth, &mine);
    if (!both) {
        show_parting("the control among the swapped", &mine, &truth);
        show_parting("the swapped among the control", &truth, &mine);
    }
    if (!both || mine.holes || mine.gaps || truth.holes || truth.gaps || a.lost || a.dropped)
        give_up("%zu of %zu and %zu records are the same; %llu messages lost, %llu records dropped by a reader's queue, %llu numbers left out, %llu gaps told (of the control %llu and %llu)", both, mine.count, truth.count,
                (unsigned long long)a.lost, (unsigned long long)a.dropped, (unsigned long long)mine.holes, (unsigned long long)mine.gaps, (unsigned long long)truth.holes, (unsigned long long)truth.gaps);
    if (as_json)
        printf("{\"swaps\": %d, \"compared\": %zu, \"per_s\": %.0f, \"lost\": 0, \"doubled\": 0, \"pause_ms\": %.2f, \"pause_mean_ms\": %.2f, \"usual_ms\": %.2f}\n", swaps, both, rate, pause * 1000, sum / swaps * 1000, usual * 1000);
    else
        printf("%d swaps under %.0f frames/s: %zu records compared, 0 lost, 0 doubled; pause %.2f ms at most, %.2f on average (without a swap %.2f)\n", swaps, rate, both, pause * 1000, sum / swaps * 1000, usual * 1000);
    weir_host_free(h);
    sim_end(&s);
    return 0;
}
