/* authority.c: see authority.h. */
#include "authority.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../shim/framing/hello.h"
#include "openssl.h"

/* What OpenSSL takes of locked memory; what it takes where a user may lock little; and the smallest piece of it. */
#define LOCKED (1 << 20)
#define LOCKED_LITTLE (32 << 10)
#define LOCKED_PIECE 32

#define DAY (24L * 3600)

/* Hosts whose context is kept: it has the keys of the tickets by which their sessions are resumed. */
#define HOSTS 64

/* NID_*, of OpenSSL's obj_mac.h. */
enum { BASIC_CONSTRAINTS = 87, KEY_USAGE = 83, EXTENDED_KEY_USAGE = 126, SUBJECT_KEY = 82, AUTHORITY_KEY = 90, ALTERNATIVE_NAME = 85 };

static size_t locked;
static void *authority_key, *servers_key, *authority;
static void (*prepare_context)(void *context);

static struct host {
    char name[HELLO_NAME];
    void *context;
    time_t made;
    unsigned long used;
} hosts[HOSTS];
static unsigned long uses;

static bool extend(void *certificate, void *issuer, int nid, const char *value)
{
    void *about[64] = { 0 }; /* X509V3_CTX, which has no more than that */
    openssl.X509V3_set_ctx(about, issuer, certificate, NULL, NULL, 0);
    void *extension = openssl.X509V3_EXT_conf_nid(NULL, about, nid, value);
    bool done = extension && openssl.X509_add_ext(certificate, extension, -1);
    if (extension) {
        openssl.X509_EXTENSION_free(extension);
    }
    return done;
}

/* What all certificates have, for a key. */
static void *begin(void *key, const char *name, long days)
{
    int64_t serial = 0;
    void *certificate = openssl.X509_new();
    bool done = certificate && openssl.RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 && openssl.X509_set_version(certificate, 2)
        && openssl.ASN1_INTEGER_set_int64(openssl.X509_get_serialNumber(certificate), (serial & INT64_MAX) | 1)
        && openssl.X509_gmtime_adj(openssl.X509_getm_notBefore(certificate), -DAY)
        && openssl.X509_gmtime_adj(openssl.X509_getm_notAfter(certificate), days * DAY) && openssl.X509_set_pubkey(certificate, key)
        && openssl.X509_NAME_add_entry_by_txt(openssl.X509_get_subject_name(certificate), "CN", OPENSSL_ASCII, (const unsigned char *)name, -1, -1, 0);
    if (!done && certificate) {
        openssl.X509_free(certificate);
    }
    return done ? certificate : NULL;
}

static bool make_authority(void)
{
    char name[64];
    snprintf(name, sizeof name, "Midstream, authority of one run (%d)", (int)getpid());
    authority = begin(authority_key, name, 3650);
    return authority && openssl.X509_set_issuer_name(authority, openssl.X509_get_subject_name(authority))
        && extend(authority, authority, BASIC_CONSTRAINTS, "critical,CA:TRUE,pathlen:0")
        && extend(authority, authority, KEY_USAGE, "critical,keyCertSign,cRLSign") && extend(authority, authority, SUBJECT_KEY, "hash")
        && openssl.X509_sign(authority, authority_key, openssl.EVP_sha256());
}

const char *authority_open(void (*prepare)(void *context))
{
    prepare_context = prepare;
    struct rlimit limit = { 0 };
    locked = getrlimit(RLIMIT_MEMLOCK, &limit) || (geteuid() && limit.rlim_cur < 2 * LOCKED) ? LOCKED_LITTLE : LOCKED;
    if (openssl.CRYPTO_secure_malloc_init(locked, LOCKED_PIECE) != 1) {
        return "no memory can be locked for its key (ulimit -l)";
    }
    authority_key = openssl.EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    servers_key = openssl.EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (!authority_key || !servers_key || !make_authority()) {
        return "OpenSSL makes no certificate";
    }
    return openssl.CRYPTO_secure_used() ? NULL : "OpenSSL does not keep its key in locked memory";
}

bool authority_has_room(void) { return openssl.CRYPTO_secure_used() < locked / 4 * 3; }

size_t authority_certificate(char *pem, size_t size)
{
    void *bio = openssl.BIO_new(openssl.BIO_s_mem());
    int n = bio && openssl.PEM_write_bio_X509(bio, authority) ? openssl.BIO_read(bio, pem, (int)size - 1) : 0;
    if (bio) {
        openssl.BIO_free(bio);
    }
    pem[n > 0 ? n : 0] = 0;
    return n > 0 && (size_t)n < size - 1 ? (size_t)n : 0;
}

unsigned long authority_hash(void) { return openssl.X509_subject_name_hash(authority); }

static bool is_address(const char *host)
{
    unsigned char address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool authority_may(const char *host)
{
    size_t length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return is_address(host) || (length && !host[length]);
}

/* A certificate for the host alone. */
static void *issue(const char *host)
{
    char name[HELLO_NAME + 8];
    if (!authority_may(host)) {
        return NULL;
    }
    snprintf(name, sizeof name, "%s:%s", is_address(host) ? "IP" : "DNS", host);
    void *certificate = begin(servers_key, strlen(host) > 64 ? "server" : host, 7); /* ub-common-name of RFC 5280 is 64 */
    bool done = certificate && openssl.X509_set_issuer_name(certificate, openssl.X509_get_subject_name(authority))
        && extend(certificate, authority, BASIC_CONSTRAINTS, "critical,CA:FALSE")
        && extend(certificate, authority, KEY_USAGE, "critical,digitalSignature") && extend(certificate, authority, EXTENDED_KEY_USAGE, "serverAuth")
        && extend(certificate, authority, SUBJECT_KEY, "hash") && extend(certificate, authority, AUTHORITY_KEY, "keyid")
        && extend(certificate, authority, ALTERNATIVE_NAME, name) && openssl.X509_sign(certificate, authority_key, openssl.EVP_sha256());
    if (!done && certificate) {
        openssl.X509_free(certificate);
    }
    return done ? certificate : NULL;
}

static void *make_context(const char *host)
{
    void *certificate = issue(host), *context = certificate ? openssl.SSL_CTX_new(openssl.TLS_server_method()) : NULL;
    bool done = context && openssl.SSL_CTX_use_certificate(context, certificate) == 1 && openssl.SSL_CTX_use_PrivateKey(context, servers_key) == 1
        && openssl.SSL_CTX_set_session_id_context(context, (const unsigned char *)"midstream", 9) == 1;
    if (certificate) {
        openssl.X509_free(certificate);
    }
    if (done) {
        openssl.SSL_CTX_ctrl(context, OPENSSL_CTRL_MODE, OPENSSL_MODES, NULL);
        openssl.SSL_CTX_ctrl(context, OPENSSL_CTRL_EARLIEST, OPENSSL_TLS_1_2, NULL);
        openssl.SSL_CTX_set_options(context, OPENSSL_END_IS_END | OPENSSL_NO_RENEGOTIATION);
        prepare_context(context);
    } else if (context) {
        openssl.SSL_CTX_free(context);
    }
    return done ? context : NULL;
}

void *authority_context(const char *host)
{
    struct host *place = hosts;
    time_t now = time(NULL);
    for (struct host *h = hosts; h < hosts + HOSTS; h++) {
        if (h->context && !strcmp(h->name, host)) {
            place = h;
            break;
        }
        place = h->used < place->used ? h : place;
    }
    if (!place->context || strcmp(place->name, host) || now - place->made > DAY || now < place->made) {
        if (place->context) {
            openssl.SSL_CTX_free(place->context); /* sessions that are under way hold it */
        }
        place->context = make_context(host);
        place->made = now;
        snprintf(place->name, sizeof place->name, "%s", host);
    }
    place->used = ++uses;
    return place->context;
}
