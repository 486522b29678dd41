/* Retry-After as a venue may send it: whatever the octets, at most a day. */
#include <stdlib.h>

#include "net/ban.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size ? size : 1); /* so that a read past the end is seen */
    if (!exact)
        return 0;
    for (size_t i = 0; i < size; i++)
        exact[i] = (char)data[i];
    if (retry_after_read(bytes_make(exact, size)) > 86400)
        abort();
    free(exact);
    return 0;
}
