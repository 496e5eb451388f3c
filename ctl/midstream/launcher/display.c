/* display.c: see display.h. */
#include "display.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The character at the text's beginning, and of how many octets it is; 0 for what is no UTF-8 (RFC 3629), which is one octet. */
static uint32_t decode(const unsigned char *text, size_t *size)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned octets = *text < 0x80 ? 1 : *text >> 5 == 6 ? 2 : *text >> 4 == 14 ? 3 : *text >> 3 == 30 ? 4 : 0;
    uint32_t c = octets == 1 ? *text : octets ? *text & (0x7fU >> octets) : 0;
    *size = 1;
    for (unsigned i = 1; i < octets; i++) {
        if (text[i] >> 6 != 2) {
            return 0;
        }
        c = c << 6 | (text[i] & 0x3fU);
    }
    if (!octets || c < least[octets] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0;
    }
    *size = octets;
    return c;
}

static bool is_shown(uint32_t c)
{
    return c >= ' ' && (c < 0x7f || c > 0xa0) && c != 0xad && c != 0x61c && c != 0x180e && (c < 0x200b || c > 0x200f)
        && (c < 0x2028 || c > 0x202e) && (c < 0x2060 || c > 0x206f) && (c < 0xe000 || c > 0xf8ff) && c != 0xfeff
        && (c < 0xfff0 || c > 0xfffb) && c < 0xe0000;
}

void display_line(const char *format, va_list arguments)
{
    char text[2048], line[2048] = "";
    size_t n = 0, size;
    int length = vsnprintf(text, sizeof text, format, arguments);
    for (const unsigned char *at = (const unsigned char *)text; length > 0 && *at; at += size) {
        if (!is_shown(decode(at, &size))) {
            line[n++] = '?';
            continue;
        }
        for (size_t i = 0; i < size; i++) {
            line[n++] = (char)at[i];
        }
    }
    fprintf(stderr, "midstream: %.*s%s\n", (int)n, line, (size_t)length < sizeof text ? "" : "…");
}
