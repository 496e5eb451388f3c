/* recognise.c: the first octets of a tunnel. */
#include "call/recognise.c"

#include "read.h"

void read_recognise(void)
{
    static struct stream s;
    if (begin_tunnel(&s, input.octets, input.count)) {
        for (const char *c = s.tunnel; *c; c++) {
            printf("%02x", (unsigned char)*c);
        }
    } else {
        printf("no");
    }
}
