/* Which addresses are nobody's business of a plugin: every special-purpose range of the IANA
 * registries for IPv4 and IPv6, and each way of writing an IPv4 address inside an IPv6 one.
 *
 * IPv6 is judged the other way round: only global unicast (2000::/3) is public, less the ranges
 * listed; all else is refused even where no name for it is known here. */
#include "net/target_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const struct range4 {
    uint32_t net;
    int bits;
    const char *what;
} ranges4[] = {
    {0x00000000, 8, "'this' network"},
    {0x0A000000, 8, "a private network"},
    {0x64400000, 10, "a carrier's shared network"},
    {0x7F000000, 8, "loopback"},
    {0xA9FEA9FE, 32, "a cloud's metadata service"},
    {0xA9FE0000, 16, "link-local"},
    {0xAC100000, 12, "a private network"},
    {0xC0000000, 24, "reserved for protocols"},
    {0xC0000200, 24, "reserved for documentation"},
    {0xC0586300, 24, "a 6to4 relay"},
    {0xC0A80000, 16, "a private network"},
    {0xC6120000, 15, "reserved for benchmarks"},
    {0xC6336400, 24, "reserved for documentation"},
    {0xCB007100, 24, "reserved for documentation"},
    {0xE0000000, 4, "multicast"},
    {0xF0000000, 4, "reserved"},
};

static const struct range6 {
    uint8_t net[16];
    int bits;
    int embedded; /* where an IPv4 address lies that decides; 0: the range itself does */
    const char *what;
} ranges6[] = {
    {{0}, 128, 0, "the unspecified address"},
    {{[15] = 1}, 128, 0, "loopback"},
    {{[10] = 0xFF, [11] = 0xFF}, 96, 12, NULL}, /* IPv4-mapped */
    {{0x00, 0x64, 0xFF, 0x9B}, 96, 12, NULL},   /* NAT64 */
    {{0x00, 0x64, 0xFF, 0x9B, 0x00, 0x01}, 48, 0, "a network's own NAT64"},
    {{0x01, 0x00}, 64, 0, "a discard range"},
    {{0x20, 0x01, 0x0D, 0xB8}, 32, 0, "reserved for documentation"},
    {{0x20, 0x01, 0x00, 0x02}, 48, 0, "reserved for benchmarks"},
    {{0x20, 0x01}, 23, 0, "reserved for protocols and tunnels"},
    {{0x20, 0x02}, 16, 0, "a 6to4 tunnel"},
    {{0x3F, 0xFF}, 20, 0, "reserved for documentation"},
    {{0xFC}, 7, 0, "a private network"},
    {{0xFE, 0x80}, 10, 0, "link-local"},
    {{0xFF}, 8, 0, "multicast"},
};

static const char *special4(uint32_t address)
{
    for (size_t i = 0; i < sizeof ranges4 / sizeof *ranges4; i++)
        if ((address ^ ranges4[i].net) >> (32 - ranges4[i].bits) == 0)
            return ranges4[i].what;
    return NULL;
}

static bool in_range6(const uint8_t address[16], const struct range6 *r)
{
    int whole = r->bits / 8, rest = r->bits % 8;
    return memcmp(address, r->net, (size_t)whole) == 0 &&
           (!rest || (address[whole] ^ r->net[whole]) >> (8 - rest) == 0);
}

static const char *special6(const uint8_t address[16])
{
    for (size_t i = 0; i < sizeof ranges6 / sizeof *ranges6; i++) {
        const struct range6 *r = &ranges6[i];
        if (!in_range6(address, r))
            continue;
        if (!r->embedded)
            return r->what;
        uint32_t v4;
        memcpy(&v4, address + r->embedded, sizeof v4);
        return special4(ntohl(v4));
    }
    return address[0] >> 5 == 1 ? NULL : "not a public address";
}

const char *address_special(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return special4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        return special6(in.sin6_addr.s6_addr);
    }
    return "no internet address";
}

void address_text(char out[ADDRESS_TEXT], const struct sockaddr *address)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    const void *from = NULL;
    if (address->sa_family == AF_INET)
        from = memcpy(&in4, address, sizeof in4), from = &in4.sin_addr;
    else if (address->sa_family == AF_INET6)
        from = memcpy(&in6, address, sizeof in6), from = &in6.sin6_addr;
    if (!from || !inet_ntop(address->sa_family, from, out, ADDRESS_TEXT))
        strcpy(out, "?");
}

bool address_read(struct sockaddr_storage *out, const char *text)
{
    char bare[64];
    size_t n = strlen(text);
    bool brackets = n > 2 && text[0] == '[' && text[n - 1] == ']';
    if (n >= sizeof bare)
        return false;
    memcpy(bare, text + brackets, n - 2 * brackets);
    bare[n - 2 * brackets] = 0;
    memset(out, 0, sizeof *out);
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (!brackets && inet_pton(AF_INET, bare, &in4.sin_addr) == 1)
        memcpy(out, &in4, sizeof in4);
    else if (inet_pton(AF_INET6, bare, &in6.sin6_addr) == 1)
        memcpy(out, &in6, sizeof in6);
    else
        return false;
    return true;
}
