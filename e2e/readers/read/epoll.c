/* epoll.c: an epoll set in /proc/self/fdinfo. */
#include "../../../shim/epoll.c"

#include "read.h"

void read_epoll(void)
{
    printf("%d", has_fired(1, atoi(input.name)));
}
