/* Which proxy, if any: the environment's, as curl and most programs read it. Read here rather than by
 * libcurl, since the address check must know whether the address is the proxy's. */
#include "net/dial_proxy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* no_proxy: names split by commas or blanks; "*" is all, a name covers what ends in ".name". */
static bool excepted(const char *host, const char *list)
{
    size_t host_len = strlen(host);
    for (const char *at = list; at && *at;) {
        size_t n = strcspn(at, ", ");
        const char *name = at;
        size_t len = n;
        at += n + strspn(at + n, ", ");
        if (len == 1 && *name == '*')
            return true;
        if (len && *name == '.')
            name++, len--;
        if (len && len <= host_len && strncasecmp(host + host_len - len, name, len) == 0 &&
            (len == host_len || host[host_len - len - 1] == '.'))
            return true;
    }
    return false;
}

const char *proxy_for(const url *to)
{
    const char *except = env("no_proxy");
    if (excepted(to->host, except ? except : env("NO_PROXY")))
        return NULL;
    /* HTTP_PROXY in capitals is a header to a CGI program, so it does not count. */
    const char *own = to->tls ? env("https_proxy") : env("http_proxy");
    if (!own && to->tls)
        own = env("HTTPS_PROXY");
    if (!own)
        own = env("all_proxy");
    return own ? own : env("ALL_PROXY");
}
