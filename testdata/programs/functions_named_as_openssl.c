/* A program exports functions named as those of OpenSSL, one of which refers to where its first instruction stands. */
/* cflags: -O2 -rdynamic */
#include "observe.h"

const char *OpenSSL_version(int kind);
int SSL_write(void *ssl, const void *octets, int length);
int SSL_get_error(const void *ssl, int result);
int SSL_shutdown(void *ssl);
void *SSL_read(void);

const char *OpenSSL_version(int kind)
{
    return kind ? "" : "OpenSSL 3.0.0 of its own";
}

int SSL_write(void *ssl, const void *octets, int length)
{
    return ssl == octets ? length : -1;
}

int SSL_get_error(const void *ssl, int result)
{
    return ssl ? result : 1;
}

int SSL_shutdown(void *ssl)
{
    return ssl != NULL;
}

#ifdef __x86_64__
__asm__(".text\n.globl SSL_read\n.type SSL_read, @function\n"
        "SSL_read:\n\tleaq 0(%rip), %rax\n\tret\n.size SSL_read, . - SSL_read\n");
#else
void *SSL_read(void)
{
    return NULL;
}
#endif

static void show(const char *name, const void *function)
{
    const unsigned char *code = function;
    say("%s:", name);
    for (int i = 0; i < 16; i++)
        say(" %02x", code[i]);
    say("\n");
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    char here;
    say("%d %d %d %ld\n", SSL_write(&here, &here, 3), SSL_get_error(NULL, 2), SSL_shutdown(&here), (long)((char *)SSL_read() - (char *)SSL_read));
    show("SSL_write", (const void *)SSL_write);
    show("SSL_get_error", (const void *)SSL_get_error);
    show("SSL_read", (const void *)SSL_read);
    return 0;
}
