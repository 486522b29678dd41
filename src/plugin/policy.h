/* policy.h: what may refuse: the budgets of one instance.
 *
 * Which addresses it may reach is the dialler's business (net/target.h); how much of everything is
 * decided here. Budgets over time are token buckets. */
#ifndef PLUGIN_POLICY_H
#define PLUGIN_POLICY_H

#include "base/error.h"

typedef struct policy_limits {
    uint32_t sockets; /* open at once */
    uint32_t connects_per_min;
    uint32_t requests_per_s; /* http_request */
    uint32_t log_per_s;      /* lines; more are counted and dropped */
    uint64_t message;        /* octets of one publication or one message to the venue */
    uint64_t http_body;
    uint64_t inbox;    /* octets that wait on one socket */
    uint64_t memory;   /* linear memory */
    uint64_t exchange; /* exchange memory */
    uint32_t cpu_ms;   /* between two host calls */
} policy_limits;

extern const policy_limits policy_defaults;

typedef struct bucket {
    double tokens;
    uint64_t filled_ns;
} bucket;

typedef struct policy {
    policy_limits limits;
    bucket connects, requests, log;
    uint64_t log_dropped;
} policy;

void policy_init(policy *p, const policy_limits *limits);
/* What the instance serves has changed: `streams` of them now. Its log lines and requests in a second are
 * those of one stream and a tenth for each further one. The sockets of push streams are the host's. */
void policy_share(policy *p, const policy_limits *limits, size_t streams);

/* Takes one token; false: none left. `burst` is also the capacity. */
bool bucket_take(bucket *b, double per_second, double burst, uint64_t now_ns);

weir_code policy_connect(policy *p, uint32_t open_now, uint64_t now_ns, weir_error *err);
weir_code policy_request(policy *p, uint64_t now_ns, weir_error *err);
weir_code policy_message(policy *p, const char *what, uint64_t octets, weir_error *err);

/* May this log line pass? After a silence, `*dropped` says how many did not. */
bool policy_log(policy *p, uint64_t now_ns, uint64_t *dropped);

#endif
