/* inline.c: instructions, 16 octets of code for each. */
#include "finding/inline.c"

#include "read.h"

void read_instructions(void)
{
#ifdef __x86_64__
    for (size_t at = 0; at + 16 <= input.count; at += 16) {
        printf("%zu ", plain_size(input.octets + at));
    }
#endif
}
