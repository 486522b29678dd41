/* Quantiles of turns, within an eighth of what they were. */
#include "plugin/meter.h"
#include "tests/lib/test.h"

static bool near(uint64_t got, uint64_t want)
{
    uint64_t off = got > want ? got - want : want - got;
    return off * 8 <= want + 8;
}

TEST(meter, quantiles_are_within_an_eighth)
{
    static const uint64_t spans[] = {1, 3, 4, 7, 100, 999, 12345, 1000000, 987654321, UINT64_C(60000000000)};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        meter m = {0};
        for (int n = 0; n < 99; n++)
            meter_turn(&m, spans[i]);
        meter_turn(&m, spans[i] * 16);
        CHECK(near(meter_quantile(&m, 0.5), spans[i]));
        CHECK(near(meter_quantile(&m, 0.99), spans[i] * 16));
        CHECK_UINT(m.turns, 100);
        CHECK_UINT(m.cpu_ns, spans[i] * 115);
    }
}

TEST(meter, nothing_was_nothing)
{
    meter m = {0}, sum = {0};
    CHECK_UINT(meter_quantile(&m, 0.5), 0);
    meter_turn(&m, UINT64_MAX);
    meter_add(&sum, &m);
    meter_add(&sum, &m);
    CHECK_UINT(sum.turns, 2);
    CHECK(meter_quantile(&sum, 0.99) > 0);
}
