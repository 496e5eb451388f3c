/* route.c: routes and links as netlink tells them. */
#include "network/route.c"

#include "read.h"

void read_route(uint8_t kind)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct route route;
    struct link link;
    switch (kind) {
    case 'n':
        if (route_find(0, (struct sockaddr *)&to, 0, &route)) {
            printf("%u %u %d %u", route.index, route.metric, route.through, route.table);
        } else {
            printf("no");
        }
        break;
    case 'l':
        printf("%d", route_has_carrier(0, 1));
        break;
    case 'v':
        if (look(0, 1, &link)) {
            printf("%u %u %d ", link.hardware, link.master, is_tunnel(&link));
            for (const char *c = link.driver; *c; c++) {
                printf("%02x", (unsigned char)*c);
            }
        } else {
            printf("no");
        }
        break;
    }
}
