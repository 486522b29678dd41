/* See policy.h. The defaults stand here, in one place. */
#include "plugin/policy.h"

const policy_limits policy_defaults = {
    .sockets = 32,
    .connects_per_min = 300,
    .requests_per_s = 50,
    .log_per_s = 200,
    .message = 16u << 20,
    .http_body = 50u << 20,
    .inbox = 256u << 10, /* a burst more in the kernel's buffers; what one turn makes of it stays in the CPU's cache */
    .memory = 256u << 20,
    .exchange = 64u << 20,
    .cpu_ms = 10000,
};

void policy_init(policy *p, const policy_limits *limits)
{
    *p = (policy){.limits = limits ? *limits : policy_defaults};
}

static uint32_t for_many(uint32_t one, size_t streams)
{
    uint64_t all = one + (uint64_t)one * (streams > 1 ? streams - 1 : 0) / 10;
    return all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
}

void policy_share(policy *p, const policy_limits *limits, size_t streams)
{
    const policy_limits *one = limits ? limits : &policy_defaults;
    p->limits.log_per_s = for_many(one->log_per_s, streams);
    p->limits.requests_per_s = for_many(one->requests_per_s, streams);
}

bool bucket_take(bucket *b, double per_second, double burst, uint64_t now_ns)
{
    if (b->filled_ns == 0)
        b->tokens = burst;
    else if (now_ns > b->filled_ns)
        b->tokens += (double)(now_ns - b->filled_ns) * 1e-9 * per_second;
    b->filled_ns = now_ns ? now_ns : 1;
    if (b->tokens > burst)
        b->tokens = burst;
    if (b->tokens < 1)
        return false;
    b->tokens -= 1;
    return true;
}

weir_code policy_connect(policy *p, uint32_t open_now, uint64_t now_ns, weir_error *err)
{
    double per_min = p->limits.connects_per_min;
    if (open_now >= p->limits.sockets)
        return error_set(err, WEIR_LIMIT, "%u sockets are open already, the most an instance may have; close one first", open_now);
    if (!bucket_take(&p->connects, per_min / 60, per_min, now_ns))
        return error_set(err, WEIR_LIMIT, "more than %u connects in a minute; try again later", p->limits.connects_per_min);
    return WEIR_OK;
}

weir_code policy_request(policy *p, uint64_t now_ns, weir_error *err)
{
    double rate = p->limits.requests_per_s;
    if (!bucket_take(&p->requests, rate, rate * 2, now_ns))
        return error_set(err, WEIR_LIMIT, "more than %u HTTP requests in a second; try again later", p->limits.requests_per_s);
    return WEIR_OK;
}

weir_code policy_message(policy *p, const char *what, uint64_t octets, weir_error *err)
{
    if (octets > p->limits.message)
        return error_set(err, WEIR_LIMIT, "%s of %llu octets; at most %llu are taken", what,
                         (unsigned long long)octets, (unsigned long long)p->limits.message);
    return WEIR_OK;
}

bool policy_log(policy *p, uint64_t now_ns, uint64_t *dropped)
{
    double rate = p->limits.log_per_s;
    *dropped = 0;
    if (!bucket_take(&p->log, rate, rate * 5, now_ns)) {
        p->log_dropped++;
        return false;
    }
    *dropped = p->log_dropped;
    p->log_dropped = 0;
    return true;
}
