/* kinds.c: the TLS libraries that are known; see tls/tls.h. */
#include "tls/tls.h"

const struct tls_kind *const tls_kinds[] = { &tls_gnutls, &tls_nss, &tls_openssl, NULL };
