/* tls_config.c: the configuration again. */
#include "tls/config.c"

#include "read.h"

void read_tls_config(uint8_t kind)
{
    setenv("MIDSTREAM_CONFIG", kind == 'o' ? input.name : "/file", 1);
    printf("%d", look("http2=keep") + 2 * look("identity=issuer"));
}
