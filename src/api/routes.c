/* All that the API has. Requests are sent by this table, the audit names its actions by it, and the OpenAPI document is made
 * of it, so none of the three can say what the others do not. */
#include "api/inside.h"
#include "api/query.h"

#include <stdio.h>

#define READ NODE_SCOPE_READ
#define OPERATE NODE_SCOPE_OPERATE
#define ADMIN NODE_SCOPE_ADMIN
#define OPEN NODE_SCOPE_NONE

/* What most of them are: the node's own, JSON or nothing in, JSON out. */
#define ASK(method, path, op, scope, summary, query, gives)                              \
    {                                                                                    \
        method, path, op, scope, summary, query, BODY_NONE, NULL, gives, NULL, 200, NULL \
    }
#define SEND(method, path, op, scope, summary, takes, gives, status)                      \
    {                                                                                     \
        method, path, op, scope, summary, "", BODY_JSON, takes, gives, NULL, status, NULL \
    }
#define GONE(path, op, scope, summary, query)                                             \
    {                                                                                     \
        "DELETE", path, op, scope, summary, query, BODY_NONE, NULL, NULL, NULL, 204, NULL \
    }
#define OWN(method, path, op, scope, summary, query, gives, type, fn)                  \
    {                                                                                  \
        method, path, op, scope, summary, query, BODY_NONE, NULL, gives, type, 200, fn \
    }

/* clang-format off */
const route routes[] = {
    OWN("GET", "/v1/health", "health", OPEN, "The process answers", "", "Health", NULL, health_answer),
    OWN("GET", "/v1/ready", "ready", OPEN, "All that the store holds has been tried, and the node is not draining", "", "Ready", NULL, ready_answer),
    OWN("GET", "/v1/openapi.json", "openapi", OPEN, "This document", "", "Any", NULL, openapi_answer),
    OWN("GET", "/metrics", "metrics", READ, "The figures of everything, for Prometheus", "", NULL, "text/plain; version=0.0.4; charset=utf-8", metrics_answer),
    {"POST", "/v1/session", "session.create", OPEN, "Log in by a token: the answer sets the cookie weir_session", "", BODY_JSON, "Login", "Session", NULL, 200, session_make},
    OWN("GET", "/v1/session", "session.read", READ, "Who is logged in", "", "Session", NULL, session_read),
    {"DELETE", "/v1/session", "session.remove", READ, "Log out", "", BODY_NONE, NULL, NULL, NULL, 204, session_end},
    ASK("GET", "/v1/node", "node.read", READ, "The node: its account, what lives on it, its store", "", "Node"),

    ASK("GET", "/v1/plugins", "plugins.list", READ, "All plugins", "", "Plugins"),
    {"POST", "/v1/plugins", "plugins.upload", ADMIN, "Upload a module: a new plugin, or a new version of one, which waits for approval if it asks for more than is granted", "file_name", BODY_MODULE, NULL, "Plugin", NULL, 201, NULL},
    ASK("GET", "/v1/plugins/{id}", "plugins.read", READ, "A plugin", "", "Plugin"),
    GONE("/v1/plugins/{id}", "plugins.remove", ADMIN, "Remove a plugin; with force=1 its connections too", "force"),
    ASK("POST", "/v1/plugins/{id}/enable", "plugins.enable", OPERATE, "Enable a plugin", "", "Plugin"),
    ASK("POST", "/v1/plugins/{id}/disable", "plugins.disable", OPERATE, "Disable a plugin: its streams stop", "", "Plugin"),
    ASK("POST", "/v1/plugins/{id}/reload", "plugins.reload", OPERATE, "Load a plugin anew", "", "Plugin"),
    SEND("POST", "/v1/plugins/{id}/approve", "plugins.approve", ADMIN, "Approve the version that waits, or an earlier one, and what it may reach; it runs then", "Approve", "Plugin", 200),
    ASK("POST", "/v1/plugins/{id}/reject", "plugins.reject", ADMIN, "Drop the version that waits", "", "Plugin"),
    {"POST", "/v1/plugins/{id}/rollback", "plugins.rollback", ADMIN, "Go back to an earlier version; one that asks for more than is granted is refused with the difference, until it is approved", "", BODY_MAY_JSON, "Rollback", "Plugin", NULL, 200, NULL},
    ASK("GET", "/v1/plugins/{id}/traps", "plugins.traps", READ, "Why a plugin's instances died, the newest first", "", "Traps"),

    ASK("GET", "/v1/connections", "connections.list", READ, "All connections", "", "Connections"),
    SEND("POST", "/v1/connections", "connections.create", OPERATE, "Make a connection: a plugin with a configuration", "NewConnection", "Connection", 201),
    ASK("GET", "/v1/connections/{id}", "connections.read", READ, "A connection; its secrets are never shown", "", "Connection"),
    SEND("PATCH", "/v1/connections/{id}", "connections.update", OPERATE, "Change a connection; values of config that are null are taken away", "ChangeConnection", "Connection", 200),
    GONE("/v1/connections/{id}", "connections.remove", OPERATE, "Remove a connection and its streams", "force"),
    ASK("POST", "/v1/connections/{id}/test", "connections.test", OPERATE, "Try a connection's configuration", "", "TestResult"),
    {"POST", "/v1/connections/{id}/commands/{name}", "commands.run", OPERATE, "Run a command of the plugin, such as getMarkets or getOHLCV", "raw fresh", BODY_MAY_JSON, "Parameters", "CommandResult", NULL, 200, NULL},

    ASK("GET", "/v1/streams", "streams.list", READ, "All streams", "", "Streams"),
    SEND("POST", "/v1/streams", "streams.create", OPERATE, "Want a stream", "NewStream", "Stream", 201),
    ASK("GET", "/v1/streams/{id}", "streams.read", READ, "A stream: what is wanted, how it is, and why", "", "Stream"),
    SEND("PATCH", "/v1/streams/{id}", "streams.update", OPERATE, "Want a stream on or off", "ChangeStream", "Stream", 200),
    GONE("/v1/streams/{id}", "streams.remove", OPERATE, "Remove a stream; its history stays", ""),
    ASK("POST", "/v1/streams/{id}/restart", "streams.restart", OPERATE, "Begin a stream anew", "", "Stream"),

    ASK("GET", "/v1/sinks", "sinks.list", READ, "All sinks", "", "Sinks"),
    SEND("POST", "/v1/sinks", "sinks.create", ADMIN, "Make a sink", "NewSink", "Sink", 201),
    ASK("GET", "/v1/sinks/{id}", "sinks.read", READ, "A sink and its account", "", "Sink"),
    SEND("PATCH", "/v1/sinks/{id}", "sinks.update", ADMIN, "Change a sink", "ChangeSink", "Sink", 200),
    GONE("/v1/sinks/{id}", "sinks.remove", ADMIN, "Remove a sink", ""),

    ASK("GET", "/v1/tokens", "tokens.list", ADMIN, "All tokens, without their texts", "", "Tokens"),
    SEND("POST", "/v1/tokens", "tokens.create", ADMIN, "Make a token; its text is shown this once", "NewToken", "NewTokenText", 201),
    GONE("/v1/tokens/{id}", "tokens.remove", ADMIN, "Take a token back; what is open by it is closed", ""),

    ASK("GET", "/v1/audit", "audit.list", ADMIN, "Who changed what, and who was refused, the newest first", "limit before", "Audit"),
    ASK("GET", "/v1/logs", "logs.list", READ, "The last lines of the log", "limit level part", "Logs"),
    OWN("GET", "/v1/settings", "settings.list", READ, "The settings in force and where they come from", "", "Settings", NULL, settings_answer),
    ASK("GET", "/v1/ui", "ui.list", READ, "The names of the layouts kept", "", "Layouts"),
    ASK("GET", "/v1/ui/{name}", "ui.read", READ, "A layout of the caller's", "", "Any"),
    SEND("PUT", "/v1/ui/{name}", "ui.write", READ, "Keep a layout", "Any", "Any", 200),
    GONE("/v1/ui/{name}", "ui.remove", READ, "Forget a layout", ""),

    ASK("GET", "/v1/history/topics", "history.topics", READ, "The topics of which there is history", "pattern connection", "Topics"),
    OWN("GET", "/v1/history", "history.read", READ, "Records kept: as a page of JSON, or all of them as NDJSON or CSV", "pattern connection from to limit order kinds format cursor time", "Records", NULL, history_answer),
    OWN("GET", "/v1/records/sse", "records.sse", READ, "Records as they come, as server-sent events", "pattern connection from since policy", NULL, "text/event-stream", sse_answer),
    OWN("GET", "/v1/records/ws", "records.ws", READ, "Records as they come, by WebSocket: see \"Records\" above", "", NULL, "websocket", socket_answer),
};
/* clang-format on */
const size_t route_count = sizeof routes / sizeof *routes;

const char *scope_name(node_scope scope)
{
    static const char *const names[] = {"none", "read", "operate", "admin"};
    return names[scope];
}

const route *route_find(bytes method, bytes path, bytes pieces[2], uint16_t *status, char allow[64])
{
    bytes wanted = bytes_is(method, "HEAD") ? BYTES("GET") : method;
    *status = 404;
    *allow = '\0';
    for (size_t i = 0; i < route_count; i++) {
        bytes found[2] = {{NULL, 0}, {NULL, 0}};
        if (!query_path(routes[i].path, path, found))
            continue;
        if (bytes_is(wanted, routes[i].method)) {
            memcpy(pieces, found, sizeof found);
            return &routes[i];
        }
        *status = 405;
        size_t at = strlen(allow);
        snprintf(allow + at, 64 - at, "%s%s%s", at ? ", " : "", routes[i].method, !strcmp(routes[i].method, "GET") ? ", HEAD" : "");
    }
    return NULL;
}
