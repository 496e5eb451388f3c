/*
 * not_called.h: NOT_CALLED(f) stands in for a function that is linked to, but that the program must not come to. One without any
 * stand-in does not link.
 */
#include <stdio.h>
#include <stdlib.h>

#define NOT_CALLED(name)                                                 \
    static void not_called_##name(void)                                  \
    {                                                                    \
        fprintf(stderr, #name " is called, and has no stand-in\n");      \
        abort();                                                         \
    }                                                                    \
    extern __typeof__(name) name __attribute__((alias("not_called_" #name)));
