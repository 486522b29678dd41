/* The thread's side of the talk: connect, see that bucket and streams are there, subscribe, send what waits; again when it
 * is lost. The library's own reconnecting is off, so that it is always clear what has been seen and what is to be asked anew. */
#include "cluster/talk_inside.h"
#include "cluster/talk_wrong.h"

#include <errno.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "hub/topic.h"

#define IN_MAX (64u << 20) /* octets that wait for the loop; then the library's threads wait, and the server with them */
#define CONNECT_MS 2000
#define RETRY_MS 250
#define SERVERS_MAX 16

typedef struct line {
    talk *t;
    natsOptions *options;
    natsConnection *c;
    jsCtx *js;
    natsInbox *inbox;
    natsSubscription *answers, *asked, *rows, *records;
    uint64_t first_record;
    talk_step step; /* of connecting */
    jsErrCode error;
} line;

/* ---- To the loop ---- */

static void hand_over(talk *t, came *m)
{
    pthread_mutex_lock(&t->lock);
    while (!m->answer && t->in_octets > IN_MAX && !t->ending && !t->closed)
        pthread_cond_wait(&t->room, &t->lock);
    if (m->message.kind == TALK_RECORD && !m->answer)
        t->next_record = m->message.seq + 1;
    t->in_octets += m->octets;
    list_push(!m->answer && m->message.kind == TALK_RECORD ? &t->records : &t->in, &m->node);
    pthread_mutex_unlock(&t->lock);
    talk_ring(t);
}

static came *came_new(const char *subject, const char *run, const char *text, bytes data)
{
    size_t s = strlen(subject) + 1, r = strlen(run) + 1, x = strlen(text) + 1;
    came *m = malloc(sizeof *m + s + r + x + data.len);
    if (!m)
        return NULL;
    char *at = m->room;
    *m = (came){.octets = sizeof *m + s + r + x + data.len};
    m->message.subject = memcpy(at, subject, s);
    m->message.run = memcpy(at += s, run, r);
    m->message.text = memcpy(at += r, text, x);
    at += x;
    if (data.len)
        memcpy(at, data.at, data.len);
    m->message.data = bytes_make(at, data.len);
    return m;
}

static bool tell(talk *t, talk_kind kind, uint64_t seq, const char *text)
{
    came *m = came_new("", "", text, BYTES(""));
    if (!m)
        return false;
    m->message.kind = kind;
    m->message.seq = seq;
    hand_over(t, m);
    return true;
}

/* ---- What the library brings, on its threads ---- */

static bytes data_of(natsMsg *m)
{
    return bytes_make(natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m));
}

static const char *header_of(natsMsg *m, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(m, name, &value) == NATS_OK && value ? value : "";
}

static void on_answer(natsConnection *c, natsSubscription *s, natsMsg *m, void *arg)
{
    talk *t = arg;
    const char *number = strrchr(natsMsg_GetSubject(m), '.');
    came *a = came_new("", "", "", natsMsg_IsNoResponders(m) ? BYTES("") : data_of(m));
    (void)c, (void)s;
    if (a) {
        a->answer = true;
        a->number = number ? strtoull(number + 1, NULL, 10) : 0;
        hand_over(t, a);
    }
    natsMsg_Destroy(m);
}

/* Lost where memory is out: it is asked again. */
static void on_asked(natsConnection *c, natsSubscription *s, natsMsg *m, void *arg)
{
    came *a = natsMsg_GetDataLength(m) <= TOPIC_MAX ? came_new("", "", "", data_of(m)) : NULL;
    (void)c, (void)s;
    if (a) {
        a->message.kind = TALK_ASKED;
        hand_over(arg, a);
    }
    natsMsg_Destroy(m);
}

/* A record or a row, by its subject. */
static void on_message(natsConnection *c, natsSubscription *s, natsMsg *m, void *arg)
{
    talk *t = arg;
    jsMsgMetaData *meta = NULL;
    const char *subject = natsMsg_GetSubject(m);
    bool record = !strncmp(subject, TALK_RECORDS, strlen(TALK_RECORDS));
    (void)c, (void)s;
    came *a = NULL;
    if (natsMsg_GetMetaData(&meta, m) == NATS_OK && (a = came_new(subject + strlen(record ? TALK_RECORDS : TALK_ROWS), header_of(m, "Weir-Run"), "", data_of(m)))) {
        const char *operation = header_of(m, "KV-Operation");
        a->message.kind = record ? TALK_RECORD : TALK_ROW;
        a->message.seq = meta->Sequence.Stream;
        a->message.pending = meta->NumPending;
        a->message.epoch = strtoull(header_of(m, "Weir-Epoch"), NULL, 10);
        a->message.book = strtoull(header_of(m, "Weir-Book"), NULL, 10);
        a->message.deleted = !strcmp(operation, "DEL") || !strcmp(operation, "PURGE");
        hand_over(t, a);
    } else {
        talk_again(t);
    }
    jsMsgMetaData_Destroy(meta);
    natsMsg_Destroy(m);
}

/* The library calls nothing any more of a subscription, or of the connection: only then may what they point to go. */
static void on_over(void *arg)
{
    talk *t = arg;
    pthread_mutex_lock(&t->lock);
    t->callers--;
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

static void on_closed(natsConnection *c, void *arg)
{
    (void)c;
    talk_again(arg);
    on_over(arg);
}

static void count_caller(talk *t)
{
    pthread_mutex_lock(&t->lock);
    t->callers++;
    pthread_mutex_unlock(&t->lock);
}

static void wait_for_callers(talk *t)
{
    pthread_mutex_lock(&t->lock);
    while (t->callers)
        pthread_cond_wait(&t->wake, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

/* ---- Connecting ---- */

static natsStatus set_options(talk *t, natsOptions *o)
{
    const char *list[SERVERS_MAX];
    char *text = strdup(t->servers), *rest = NULL;
    int count = 0;
    natsStatus s;
    if (!text)
        return NATS_NO_MEMORY;
    for (char *at = strtok_r(text, ", ", &rest); at && count < SERVERS_MAX; at = strtok_r(NULL, ", ", &rest))
        list[count++] = at;
    if (!(s = natsOptions_SetServers(o, list, count)) && !(s = natsOptions_SetName(o, t->name)) && !(s = natsOptions_SetTimeout(o, CONNECT_MS)) &&
        !(s = natsOptions_SetAllowReconnect(o, false)) && !(s = natsOptions_SetWriteDeadline(o, CONNECT_MS)) &&
        !(s = natsOptions_SetPingInterval(o, 2000)) && !(s = natsOptions_SetMaxPingsOut(o, 3)) && !(s = natsOptions_SetSendAsap(o, true)))
        s = natsOptions_SetClosedCB(o, on_closed, t);
    free(text);
    return s;
}

static natsStatus need_bucket(line *l, const char *name)
{
    kvConfig config;
    kvStore *bucket = NULL;
    natsStatus s = js_KeyValue(&bucket, l->js, name);
    if (s == NATS_NOT_FOUND) {
        kvConfig_Init(&config);
        config.Bucket = name;
        config.History = 1;
        config.Replicas = (int)l->t->replicas;
        s = js_CreateKeyValue(&bucket, l->js, &config);
        if (s != NATS_OK && js_KeyValue(&bucket, l->js, name) == NATS_OK) /* another node was faster */
            s = NATS_OK;
    }
    kvStore_Destroy(bucket);
    return s;
}

/* One of that name may be somebody else's. */
static bool is_ours(const jsStreamInfo *info)
{
    const jsStreamConfig *c = info->Config;
    return c && c->SubjectsLen == 1 && !strcmp(c->Subjects[0], TALK_RECORDS ">");
}

static natsStatus need_records(line *l)
{
    const char *subjects[] = {TALK_RECORDS ">"};
    jsStreamInfo *info = NULL;
    jsStreamConfig config;
    talk *t = l->t;
    natsStatus s = js_GetStreamInfo(&info, l->js, TALK_RECORDS_STREAM, NULL, &l->error);
    if (s == NATS_NOT_FOUND) {
        jsStreamConfig_Init(&config);
        config.Name = TALK_RECORDS_STREAM;
        config.Subjects = subjects;
        config.SubjectsLen = 1;
        config.MaxAge = (int64_t)(t->records_ms * NS_PER_MS);
        config.MaxBytes = t->records_octets ? (int64_t)t->records_octets : -1;
        config.Replicas = t->replicas;
        config.AllowDirect = true;
        s = js_AddStream(&info, l->js, &config, NULL, &l->error);
        if (s != NATS_OK && js_GetStreamInfo(&info, l->js, TALK_RECORDS_STREAM, NULL, NULL) == NATS_OK)
            s = NATS_OK;
    }
    if (s == NATS_OK && !is_ours(info))
        s = NATS_MISMATCH;
    if (s == NATS_OK) {
        pthread_mutex_lock(&t->lock);
        if (t->next_record > info->State.LastSeq + 1) {
            log_warn("cluster", "the stream " TALK_RECORDS_STREAM " was begun anew; its records are read from its start");
            t->next_record = 1;
        }
        l->first_record = info->State.FirstSeq;
        pthread_mutex_unlock(&t->lock);
    }
    jsStreamInfo_Destroy(info);
    return s;
}

static natsStatus settle(line *l, natsSubscription *s)
{
    natsStatus status = natsSubscription_SetPendingLimits(s, -1, -1);
    if (status == NATS_OK && (status = natsSubscription_SetOnCompleteCB(s, on_over, l->t)) == NATS_OK)
        count_caller(l->t);
    return status;
}

static natsStatus hear_answers(line *l)
{
    char answers[128];
    snprintf(answers, sizeof answers, "%s.*", l->inbox);
    natsStatus s = natsConnection_Subscribe(&l->answers, l->c, answers, on_answer, l->t);
    if (s != NATS_OK || (s = settle(l, l->answers)) || (s = natsConnection_Subscribe(&l->asked, l->c, TALK_WHOLES, on_asked, l->t)))
        return s;
    return settle(l, l->asked);
}

static natsStatus subscribe(line *l)
{
    jsSubOptions o;
    natsStatus s;
    jsSubOptions_Init(&o);
    o.Ordered = true;
    o.Config.DeliverPolicy = js_DeliverLastPerSubject;
    if ((s = js_Subscribe(&l->rows, l->js, TALK_ROWS ">", on_message, l->t, NULL, &o, NULL)) || (s = settle(l, l->rows)))
        return s;
    jsSubOptions_Init(&o);
    o.Ordered = true;
    o.Config.DeliverPolicy = js_DeliverByStartSequence;
    o.Config.OptStartSeq = l->t->next_record;
    if ((s = js_Subscribe(&l->records, l->js, TALK_RECORDS ">", on_message, l->t, NULL, &o, NULL)))
        return s;
    return settle(l, l->records);
}

static natsStatus need_all(line *l)
{
    natsStatus s;
    l->step = TALK_NEEDS_ROWS;
    if ((s = need_bucket(l, "WEIR")) || (s = need_bucket(l, "WEIR_MODULES")))
        return s;
    l->step = TALK_NEEDS_RECORDS;
    return need_records(l);
}

static natsStatus connect_line(line *l)
{
    natsStatus s;
    l->step = TALK_CONNECTS;
    l->error = 0;
    if ((s = natsOptions_Create(&l->options)) || (s = set_options(l->t, l->options)) || (s = natsConnection_Connect(&l->c, l->options)))
        return s;
    count_caller(l->t);
    if ((s = natsConnection_JetStream(&l->js, l->c, NULL)) || (s = natsInbox_Create(&l->inbox)) || (s = need_all(l)))
        return s;
    l->step = TALK_SUBSCRIBES;
    if ((s = hear_answers(l)))
        return s;
    if (!tell(l->t, TALK_UP, l->first_record, "")) /* ahead of what the others bring */
        return NATS_NO_MEMORY;
    return subscribe(l);
}

static void disconnect(line *l)
{
    talk_again(l->t);           /* whoever waits for room goes on */
    natsConnection_Close(l->c); /* no callback begins any more */
    natsSubscription_Destroy(l->answers);
    natsSubscription_Destroy(l->asked);
    natsSubscription_Destroy(l->rows);
    natsSubscription_Destroy(l->records);
    jsCtx_Destroy(l->js);
    natsInbox_Destroy(l->inbox);
    natsConnection_Destroy(l->c);
    natsOptions_Destroy(l->options);
    wait_for_callers(l->t);
    *l = (line){.t = l->t};
}

/* ---- Sending ---- */

static natsStatus send_parcel(line *l, const parcel *p)
{
    natsMsg *m = NULL;
    char reply[160];
    snprintf(reply, sizeof reply, "%s.%llu", l->inbox, (unsigned long long)p->number);
    natsStatus s = natsMsg_Create(&m, p->subject, p->number ? reply : NULL, p->data.at, (int)p->data.len);
    for (const char *at = p->headers; s == NATS_OK && *at;) {
        char name[64], value[2048];
        size_t len = strcspn(at, "\n"), colon = strcspn(at, ":");
        snprintf(name, sizeof name, "%.*s", (int)colon, at);
        snprintf(value, sizeof value, "%.*s", (int)(len - colon - 2), at + colon + 2);
        s = natsMsgHeader_Set(m, name, value);
        at += len + 1;
    }
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(l->c, m);
    natsMsg_Destroy(m);
    return s;
}

/* Until it is closed, or the end. */
static void carry(line *l)
{
    talk *t = l->t;
    pthread_mutex_lock(&t->lock);
    while (!t->ending && !t->closed) {
        list_node *at = list_pop(&t->out);
        if (!at) {
            pthread_cond_wait(&t->wake, &t->lock);
            continue;
        }
        pthread_mutex_unlock(&t->lock);
        parcel *p = LIST_OWNER(at, parcel, node);
        natsStatus s = send_parcel(l, p);
        if (s != NATS_OK)
            log_warn("cluster", "a note to '%s' could not be sent: %s", p->subject, natsStatus_GetText(s));
        free(p);
        if (s != NATS_OK && s != NATS_MAX_PAYLOAD)
            talk_again(t);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
}

/* What waited while there was nobody to send it to has been given up by then. */
static void drop_out(talk *t)
{
    pthread_mutex_lock(&t->lock);
    for (list_node *at; (at = list_pop(&t->out));)
        free(LIST_OWNER(at, parcel, node));
    pthread_mutex_unlock(&t->lock);
}

static bool rest(talk *t)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += RETRY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&t->lock);
    while (!t->ending && pthread_cond_timedwait(&t->wake, &t->lock, &until) != ETIMEDOUT)
        ;
    bool on = !t->ending;
    t->closed = false;
    pthread_mutex_unlock(&t->lock);
    return on;
}

void *talk_thread(void *arg)
{
    talk *t = arg;
    line l = {.t = t};
    natsStatus said = NATS_OK;
    do {
        drop_out(t);
        natsStatus s = connect_line(&l);
        if (s == NATS_OK) {
            said = NATS_OK;
            carry(&l);
            while (!tell(t, TALK_DOWN, 0, "the connection to NATS is lost") && rest(t))
                ; /* memory is out */
        } else if (s != said) {
            char why[TALK_WRONG];
            talk_wrong(why, t->servers, l.step, s, l.error, nats_GetLastError(NULL));
            log_warn("cluster", "%s; it is tried again", why);
            if (tell(t, TALK_DOWN, 0, why))
                said = s;
        }
        disconnect(&l);
    } while (rest(t));
    nats_ReleaseThreadMemory();
    return NULL;
}
