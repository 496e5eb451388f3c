/*
 * reply.c: says what shim/ftp/reply.c makes of lines that come on standard input, for the test in the folder above: the code, "227" or
 * "229", and what follows it. Its answer is a line: the address, as a number, and the port; or "no".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ftp/reply.h"

int main(void)
{
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        /* In memory of its own, so that whoever checks memory sees a read beyond it. */
        char *text = strdup(line + 4);
        struct in_addr at = { 0 };
        in_port_t port = 0;
        if (!text) {
            return 1;
        }
        if (line[2] == '7' ? reply_passive(text, &at, &port) : reply_extended_passive(text, &port)) {
            printf("%u %u\n", ntohl(at.s_addr), ntohs(port));
        } else {
            puts("no");
        }
        fflush(stdout);
        free(text);
    }
    return 0;
}
