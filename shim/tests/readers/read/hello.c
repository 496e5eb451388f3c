/* hello.c: a TLS ClientHello. */
#include "framing/hello.c"

#include "read.h"

void read_client_hello(void)
{
    struct hello hello;
    hello_read(&hello, input.octets, input.count);
    printf("%d %d %d ", hello.protocols, hello.http, hello.ordinary && hello.complete);
    for (const char *c = hello.name; *c; c++) {
        printf("%02x", (unsigned char)*c);
    }
}
