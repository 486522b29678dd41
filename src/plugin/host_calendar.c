/* calendar_import: the events that a planner found, each a record of type `event`. */
#include "base/clock.h"
#include "plugin/host.h"

/* RFC 3339, or the date of year 1 that stands for none. */
static bool is_date(json value, uint64_t *ns)
{
    bytes text;
    *ns = 0;
    return json_string_slice(value, &text) && (clock_parse(text, ns) || bytes_starts(text, BYTES("0001-01-01T00:00:00")));
}

static weir_code check(json event, size_t place, weir_error *err)
{
    json title = json_member(event, "title"), start = json_member(event, "startDate"), end = json_member(event, "endDate");
    uint64_t ns;
    if (event.type != JSON_OBJECT)
        return error_set(err, WEIR_INVALID, "calendar_import: event %zu is no object", place);
    if (title.type != JSON_STRING || title.raw.len == 2)
        return error_set(err, WEIR_INVALID, "calendar_import: event %zu: \"title\" is missing or empty", place);
    if (!is_date(start, &ns))
        return error_set(err, WEIR_INVALID, "calendar_import: event %zu: \"startDate\" is " BYTES_FMT "; RFC 3339 is needed", place,
                         BYTES_ARG(start.type == JSON_NONE ? BYTES("missing") : start.raw));
    if (end.type != JSON_NONE && end.type != JSON_NULL && !is_date(end, &ns))
        return error_set(err, WEIR_INVALID, "calendar_import: event %zu: \"endDate\" is " BYTES_FMT "; RFC 3339 is needed", place, BYTES_ARG(end.raw));
    return WEIR_OK;
}

/* {"events":[{title,startDate,endDate,notes,timezone,tags}]} -> {"success"}. All of them or, when one makes no sense,
 * none. */
bool host_calendar_import(task *t, bytes request)
{
    weir_error err = WEIR_ERROR_INIT;
    json events, key, event;
    const json_field want[] = {{"events", &events}};
    weir_code code = WEIR_OK;
    size_t place = 0;
    if (policy_message(&t->policy, "calendar_import: a list", request.len, &err) || json_read_fields(request, want, 1, &err))
        return host_say_error(t, &err);
    if (events.type == JSON_NULL)
        return host_say_ok(t);
    if (events.type != JSON_ARRAY)
        error_set(&err, WEIR_INVALID, "calendar_import: \"events\" is no list");
    for (json_iter it = json_each(events); !err.code && json_next(&it, &key, &event);)
        check(event, ++place, &err);
    for (json_iter it = json_each(events); !err.code && json_next(&it, &key, &event);) {
        world_publication what = {.type = BYTES("event"), .identifier = BYTES("calendar"), .data = event.raw};
        is_date(json_member(event, "startDate"), &what.ts_event);
        while ((code = t->world->publish(t->world_arg, &what, &err)) == WEIR_BUSY)
            if (task_wait(t, "calendar_import", UINT64_MAX) == WAIT_CANCELLED)
                return false;
    }
    return err.code ? host_say_error(t, &err) : host_say_ok(t);
}
