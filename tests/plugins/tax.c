/* A tax plugin, in the contract of generation 3: three exports besides the commands, one of which answers the octets of a file,
 * and a folder for its templates that the host has to grant. export_entries_excel takes {"template","save"?}: answers what
 * stands in the template behind the four octets that such files begin with, and writes it under the other name, too. */
#include "weir_pdk.h"
#include <fcntl.h>
#include <unistd.h>

static char room[1 << 16], path[256];

WEIR_EXPORT(meta)
{
    weir_output(weir_text("{\"pluginId\":\"tax\",\"name\":\"Tax\",\"appId\":\"plusev_taxes\",\"version\":\"v1.0.0\",\"category\":\"Import\","
                          "\"resources\":{\"fsWriteAccess\":{\"templates\":\"/templates\"}}}"));
    return 0;
}

WEIR_EXPORT(init)
{
    return 0;
}

WEIR_EXPORT(handle_command)
{
    weir_str name = weir_json_raw(weir_json_member(weir_input(), "name"));
    if (!weir_is(name, "startImport")) {
        weir_output(weir_text("{\"result\":false,\"error\":\"unknown command\"}"));
        return 1;
    }
    weir_output(weir_text("{\"result\":true,\"data\":{\"imported\":0}}"));
    return 0;
}

WEIR_EXPORT(get_report_metadata)
{
    weir_output(weir_input().len ? weir_text("{\"unexpected\":true}") : weir_text("{\"reports\":[\"german\"]}"));
    return 0;
}

WEIR_EXPORT(generate_report)
{
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"year\":");
    weir_put_str(&b, weir_json_member(weir_input(), "taxYear"));
    weir_put_char(&b, '}');
    return weir_reply(&b);
}

static const char *path_of(weir_str name)
{
    weir_buf b = weir_buf_over(path, sizeof path - 1);
    weir_put_text(&b, "/templates/");
    weir_put_str(&b, name);
    path[b.len] = 0;
    return path;
}

static int fail(const char *why)
{
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"result\":false,\"error\":\"");
    weir_put_text(&b, why);
    weir_put_text(&b, "\"}");
    weir_reply(&b);
    return 1;
}

WEIR_EXPORT(export_entries_excel)
{
    static const char head[] = {'P', 'K', 3, 4, 0, (char)0xFF};
    weir_str in = weir_input(), save = weir_json_raw(weir_json_member(in, "save"));
    int fd = open(path_of(weir_json_raw(weir_json_member(in, "template"))), O_RDONLY);
    if (fd < 0)
        return fail("the template cannot be opened");
    ssize_t len = read(fd, room + sizeof head, sizeof room - sizeof head);
    close(fd);
    if (len < 0)
        return fail("the template cannot be read");
    for (size_t i = 0; i < sizeof head; i++)
        room[i] = head[i];
    if (save.len) {
        fd = open(path_of(save), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || write(fd, room, sizeof head + (size_t)len) < 0)
            return fail("the copy cannot be written");
        close(fd);
    }
    weir_output(weir_slice(room, sizeof head + (size_t)len));
    return 0;
}
