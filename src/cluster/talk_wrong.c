/* What is wrong with a NATS: the library's status and the server's number, made a line that names the server, the cause and what
 * would work. A password in `cluster.servers` is not shown. */
#include "cluster/talk_wrong.h"

#include <stdio.h>
#include <string.h>

const char *talk_cure(uint64_t error)
{
    switch (error) {
    case JSNotEnabledErr:
        return "; start the server with -js";
    case JSNotEnabledForAccountErr:
        return "; enable JetStream for the account of this user";
    case JSStorageResourcesExceededErr:
    case JSInsufficientResourcesErr:
    case JSAccountResourcesExceededErr:
    case JSStreamStoreFailedErr:
        return "; NATS is full: give JetStream more room (max_file_store, the account's limit, the disk), or remove or bound other streams there";
    case JSMemoryResourcesExceededErr:
        return "; NATS is out of memory: raise max_memory_store";
    case JSStreamReplicasNotSupportedErr:
    case JSClusterNoPeersErr:
        return "; cluster.replicas asks for more servers than there are";
    case JSStreamSubjectOverlapErr:
        return "; another stream there takes in our subjects ($WEIR.records.>, $KV.WEIR.>, $KV.WEIR_MODULES.>): narrow its subjects";
    default:
        return "";
    }
}

/* The list without users and passwords. */
static void put_servers(char *out, size_t size, const char *servers)
{
    size_t at = 0;
    for (const char *from = servers; *from && at + 1 < size;) {
        size_t len = strcspn(from, ", "), more = strspn(from + len, ", ");
        const char *host = memchr(from, '@', len);
        host = host ? host + 1 : !strncmp(from, "nats://", 7) ? from + 7
                                                              : from;
        int n = snprintf(out + at, size - at, "%s%.*s", at ? ", " : "", (int)(len - (size_t)(host - from)), host);
        at += n > 0 ? (size_t)n : 0;
        from += len + more;
    }
}

static const char *doing(talk_step step)
{
    static const char *const names[] = {"it cannot be connected to", "its buckets WEIR and WEIR_MODULES cannot be had", "its stream WEIR_RECORDS cannot be had", "it lets nobody read there"};
    return names[step];
}

static const char *cure_of(talk_step step, natsStatus status, uint64_t error)
{
    if (*talk_cure(error))
        return talk_cure(error);
    if (status == NATS_CONNECTION_AUTH_FAILED || (step == TALK_CONNECTS && status == NATS_NOT_PERMITTED))
        return "; the user, password or token in cluster.servers is not the server's: nats://USER:PASSWORD@HOST or nats://TOKEN@HOST";
    if (status == NATS_NO_SERVER)
        return "; is nats-server running there, and may it be reached from here?";
    if (status == NATS_NO_RESPONDERS)
        return "; start the server with -js";
    if (step == TALK_NEEDS_RECORDS && status == NATS_MISMATCH)
        return "; remove it there (nats stream rm WEIR_RECORDS), it is made anew and holds only records on their way";
    if (step != TALK_CONNECTS && (status == NATS_TIMEOUT || status == NATS_NOT_PERMITTED))
        return "; may this user publish and subscribe to $JS.API.>, $KV.WEIR.>, $KV.WEIR_MODULES.>, $WEIR.> and _INBOX.>?";
    return "";
}

void talk_wrong(char out[TALK_WRONG], const char *servers, talk_step step, natsStatus status, uint64_t error, const char *last)
{
    char list[120] = "";
    const char *place, *text = natsStatus_GetText(status);
    put_servers(list, sizeof list, servers);
    if (last && *last == '(' && (place = strstr(last, "): "))) /* where in the library */
        last = place + 3;
    if (last && *last && strcmp(last, text) != 0)
        snprintf(out, TALK_WRONG, "NATS at %s: %s: %s (%.100s)%s", list, doing(step), text, last, cure_of(step, status, error));
    else
        snprintf(out, TALK_WRONG, "NATS at %s: %s: %s%s", list, doing(step), text, cure_of(step, status, error));
}
