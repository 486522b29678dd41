/* A sum that finds accidents: a bad disk, a torn write. No digest: whoever wants two texts of one sum can make them. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/bytes.h"

#define CHECKSUM_HEX 33 /* 32 digits and a NUL */
void checksum(char out[CHECKSUM_HEX], bytes data);

#endif
