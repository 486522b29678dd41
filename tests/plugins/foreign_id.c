/* Uses a connection that is not its own: the input is the id, as another instance got it. Answers how
 * many of send, receive and close went through; it should be 0. */
#include "weir_pdk.h"

WEIR_EXPORT(use)
{
    static weir_ws ws;
    weir_str message, id = weir_input();
    char room[24];
    weir_buf b, out = weir_buf_over(room, sizeof room);
    uint64_t through = 0;
    b = weir_buf_over(ws.id, sizeof ws.id);
    weir_put_string(&b, id);
    ws.id_len = (uint32_t)b.len;
    through += weir_ws_send(&ws, weir_text("hello"), NULL);
    through += weir_ws_receive(&ws, -1, &message, NULL) == WEIR_WS_MESSAGE;
    through += weir_ws_close(&ws, NULL);
    weir_put_u64(&out, through);
    return weir_reply(&out);
}
