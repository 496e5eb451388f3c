/*
 * jumps.c: a function whose first instructions are to give way to a jump, and that comes back to them with its last one. Exit status 0:
 * each kind of jump is seen, and none beyond the function's end is.
 */
#include "finding/inline.c"

#include "not_called.h"

NOT_CALLED(tls_library_entry)

int main(void)
{
    /* Seven octets of something, and a jump to the fourth. */
    static const struct { uint8_t code[16]; size_t size; } functions[] = {
        { { 1, 2, 3, 4, 5, 6, 7, 0xeb, 0xfa }, 9 },
        { { 1, 2, 3, 4, 5, 6, 7, 0x75, 0xfa }, 9 },
        { { 1, 2, 3, 4, 5, 6, 7, 0xe9, 0xf7, 0xff, 0xff, 0xff }, 12 },
        { { 1, 2, 3, 4, 5, 6, 7, 0x0f, 0x85, 0xf6, 0xff, 0xff, 0xff }, 13 },
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const uint8_t *f = functions[i].code;
        if (!is_come_back_to(f, functions[i].size, f + 1, f + 5) || is_come_back_to(f, functions[i].size - 1, f + 1, f + 5)
            || is_come_back_to(f, functions[i].size, f + 1, f + 3)) {
            fprintf(stderr, "the jump of function %zu\n", i);
            return 1;
        }
    }
    return 0;
}
