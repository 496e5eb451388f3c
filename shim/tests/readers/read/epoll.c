/* epoll.c: what is in an epoll set, as told in /proc/self/fdinfo. */
#include "wait/epoll_set.c"

#include "read.h"

void read_epoll(void)
{
    struct epoll_listing listing;
    struct epoll_entry entry;
    bool any = false;
    if (!epoll_list(&listing, 1)) {
        return;
    }
    while (epoll_next(&listing, &entry)) {
        printf("%s%d %x %llx %llx%s", any ? ", " : "", entry.fd, entry.events, (unsigned long long)entry.data,
               (unsigned long long)entry.inode, entry.fired ? " fired" : "");
        any = true;
    }
}
