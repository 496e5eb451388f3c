/* reply.c: see reply.h. */
#include "reply.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool reply_passive(const char *text, struct in_addr *at, in_port_t *port)
{
    for (; *text; text++) {
        unsigned long n[6];
        char *end = (char *)text;
        int i = 0;
        for (; i < 6 && isdigit((unsigned char)*end); i++) {
            n[i] = strtoul(end, &end, 10);
            if (n[i] > 255 || (i < 5 && *end++ != ',')) {
                break;
            }
        }
        if (i == 6) {
            at->s_addr = htonl((uint32_t)(n[0] << 24 | n[1] << 16 | n[2] << 8 | n[3]));
            *port = htons((uint16_t)(n[4] << 8 | n[5]));
            return *port;
        }
        if (isdigit((unsigned char)*text)) {
            text += strspn(text, "0123456789") - 1;
        }
    }
    return false;
}

bool reply_extended_passive(const char *text, in_port_t *port)
{
    const char *open = strchr(text, '(');
    if (!open || !open[1] || open[2] != open[1] || open[3] != open[1]) {
        return false;
    }
    char *end;
    unsigned long n = isdigit((unsigned char)open[4]) ? strtoul(open + 4, &end, 10) : 0;
    if (!n || n > 65535 || *end != open[1]) {
        return false;
    }
    *port = htons((uint16_t)n);
    return true;
}
