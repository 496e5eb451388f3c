/* openssl.h: OpenSSL, loaded where TLS is ended here, and only there. */
#ifndef MIDSTREAM_SUPERVISOR_OPENSSL_H
#define MIDSTREAM_SUPERVISOR_OPENSSL_H

#include <stddef.h>
#include <stdint.h>

/* Its functions; the preload's, where that has hooks for them. */
struct openssl {
#define CALL(result, name, parameters) result(*name) parameters;
#include "openssl.def"
#undef CALL
};
extern struct openssl openssl;

/* NULL, or why it is not there. */
const char *openssl_load(void);

/* What its headers have names for. */
enum {
    OPENSSL_ERROR_SSL = 1, /* SSL_get_error(3) */
    OPENSSL_WANT_READ = 2,
    OPENSSL_WANT_WRITE = 3,
    OPENSSL_WANT_CERTIFICATE = 4, /* SSL_ERROR_WANT_X509_LOOKUP */
    OPENSSL_SYSCALL = 5,
    OPENSSL_ZERO_RETURN = 6,

    OPENSSL_CTRL_MODE = 33,
    OPENSSL_CTRL_SESSION_CACHE = 44,
    OPENSSL_CTRL_NAME = 55,
    OPENSSL_CTRL_EARLIEST = 123,

    OPENSSL_MODES = 1 | 2 | 16,      /* SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, SSL_MODE_RELEASE_BUFFERS */
    OPENSSL_CACHE_CLIENT = 1 | 0x300, /* SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL */
    OPENSSL_TLS_1_2 = 0x0303,
    OPENSSL_VERIFY_PEER = 1,
    OPENSSL_END_IS_END = 1 << 7,     /* SSL_OP_IGNORE_UNEXPECTED_EOF */
    OPENSSL_NO_RENEGOTIATION = 1 << 30, /* SSL_OP_NO_RENEGOTIATION */
    OPENSSL_READ_ALERT = 0x4004,     /* SSL_CB_READ_ALERT */
    OPENSSL_ASCII = 0x1001,          /* MBSTRING_ASC */
};

#endif
