#include "base/clock.h"

#include <time.h>

static uint64_t (*replaced_real)(void), (*replaced_mono)(void);

static uint64_t now(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_real(void)
{
    return replaced_real ? replaced_real() : now(CLOCK_REALTIME);
}

uint64_t clock_mono(void)
{
    return replaced_mono ? replaced_mono() : now(CLOCK_MONOTONIC);
}

void clock_replace(uint64_t (*real)(void), uint64_t (*mono)(void))
{
    replaced_real = real;
    replaced_mono = mono;
}

/* Days since 1970 to a date and back, by the calendar of March to February. */
static void civil(int64_t days, int *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = days / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int)(yoe + era * 400) + (*month <= 2);
}

static int64_t days_of(int year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    unsigned yoe = (unsigned)(year - era * 400);
    unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static char *put(char *out, unsigned value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], uint64_t real_ns, int fraction)
{
    uint64_t seconds = real_ns / NS_PER_S;
    unsigned rest = (unsigned)(seconds % 86400), month, day;
    unsigned ns = (unsigned)(real_ns % NS_PER_S);
    int year;
    civil((int64_t)(seconds / 86400), &year, &month, &day);
    char *p = put(out, (unsigned)year, 4);
    *p++ = '-';
    p = put(p, month, 2);
    *p++ = '-';
    p = put(p, day, 2);
    *p++ = 'T';
    p = put(p, rest / 3600, 2);
    *p++ = ':';
    p = put(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = put(p, rest % 60, 2);
    if (fraction > 0) {
        *p++ = '.';
        for (int i = fraction; i < 9; i++)
            ns /= 10;
        p = put(p, ns, fraction);
    }
    *p++ = 'Z';
    *p = '\0';
}

static bool number(const char **p, const char *end, int width, unsigned *out)
{
    *out = 0;
    if (end - *p < width)
        return false;
    for (int i = 0; i < width; i++, ++*p) {
        if ((unsigned)(**p - '0') > 9)
            return false;
        *out = *out * 10 + (unsigned)(**p - '0');
    }
    return true;
}

static bool mark(const char **p, const char *end, char c)
{
    return *p < end && (*(*p)++ | 0x20) == (c | 0x20);
}

bool clock_parse(bytes text, uint64_t *real_ns)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *p = text.at, *end = p + text.len;
    unsigned year, month, day, hour, minute, second, zone_h = 0, zone_m = 0;
    uint64_t ns = 0;
    int sign = 0;
    if (!number(&p, end, 4, &year) || !mark(&p, end, '-') || !number(&p, end, 2, &month) || !mark(&p, end, '-') ||
        !number(&p, end, 2, &day) || !mark(&p, end, 'T') || !number(&p, end, 2, &hour) || !mark(&p, end, ':') ||
        !number(&p, end, 2, &minute) || !mark(&p, end, ':') || !number(&p, end, 2, &second))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour > 23 || minute > 59 || second > 60)
        return false;
    if (p < end && *p == '.') {
        uint64_t unit = NS_PER_S / 10;
        if (++p == end || (unsigned)(*p - '0') > 9)
            return false;
        for (; p < end && (unsigned)(*p - '0') <= 9; p++, unit /= 10)
            ns += (uint64_t)(*p - '0') * unit;
    }
    if (p == end)
        return false;
    if (*p == '+' || *p == '-') {
        sign = *p++ == '+' ? -1 : 1;
        if (!number(&p, end, 2, &zone_h) || !mark(&p, end, ':') || !number(&p, end, 2, &zone_m) || zone_h > 23 || zone_m > 59)
            return false;
    } else if ((*p++ | 0x20) != 'z') {
        return false;
    }
    if (p != end)
        return false;
    int64_t s = days_of((int)year, month, day) * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 + second + sign * ((int64_t)zone_h * 3600 + (int64_t)zone_m * 60);
    if (s < 0 || s > INT64_C(9223372035))
        return false;
    *real_ns = (uint64_t)s * NS_PER_S + ns;
    return true;
}
