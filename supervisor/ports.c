/* ports.c: see ports.h. */
#include "ports.h"

#include <string.h>

static uint8_t wanted[65536 / 8];

/* A port's number at *at, which goes behind it; -1 for none. */
static long number(const char **at)
{
    long n = **at >= '0' && **at <= '9' ? 0 : -1;
    while (**at >= '0' && **at <= '9' && n <= 65535) {
        n = n * 10 + *(*at)++ - '0';
    }
    return n <= 65535 ? n : -1;
}

bool ports_read(const char *text)
{
    uint8_t read[sizeof wanted] = { 0 };
    for (const char *at = text;;) {
        long first = number(&at), last = first;
        if (first >= 0 && *at == '-') {
            at++;
            last = number(&at);
        }
        if (first < 0 || last < first || (*at && *at != ',')) {
            return false;
        }
        for (long port = first; port <= last; port++) {
            read[port / 8] |= (uint8_t)(1 << port % 8);
        }
        if (!*at++) {
            break;
        }
    }
    memcpy(wanted, read, sizeof wanted);
    return true;
}

bool ports_have(uint16_t port) { return wanted[port / 8] >> port % 8 & 1; }
