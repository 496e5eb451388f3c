/* openssl.c: OpenSSL's sessions (libssl 1.1 and 3): its hooks, and how a twin of one is made; see tls.h. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/calls.h"
#include "framing/hello.h"
#include "finding/inline.h"
#include "tls/clear.h"
#include "tls/tls.h"
#include "tls/twin.h"

/* ssl.h */
#define SSL_ERROR_SSL 1
#define SSL_ERROR_SYSCALL 5
#define SSL_ERROR_ZERO_RETURN 6
#define SSL_ERROR_WANT_READ 2
#define SSL_ERROR_WANT_WRITE 3
#define SSL_WRITING 2
#define SSL_READING 3
#define SSL_VERIFY_PEER 1
#define SSL_SENT_SHUTDOWN 1
#define SSL_RECEIVED_SHUTDOWN 2
#define SSL_CTRL_MODE 33
#define SSL_MODE_ENABLE_PARTIAL_WRITE 1
#define SSL_CTRL_CHAIN 88
#define SSL_CTRL_SET_GROUPS 91
#define SSL_CTRL_SET_GROUPS_LIST 92
#define SSL_CTRL_SET_SIGALGS 97
#define SSL_CTRL_SET_SIGALGS_LIST 98
#define SSL_CTRL_SET_TLSEXT_HOSTNAME 55
#define SSL_CTRL_GET_CLIENT_CERT_TYPES 103
#define SSL_CTRL_GET_CHAIN_CERTS 115
#define SSL_CTRL_SET_MIN_PROTO_VERSION 123
#define SSL_CTRL_SET_MAX_PROTO_VERSION 124
#define SSL_CTRL_GET_MAX_PROTO_VERSION 131
#define SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE 127
#define SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB 128
#define TLSEXT_STATUSTYPE_ocsp 1
#define TLS1_3_VERSION 0x0304
#define SSL_OP_ENABLE_KTLS (1UL << 3)
#define SSL_OP_NO_RENEGOTIATION (1UL << 30)
#define EVP_MAX_MD_SIZE 64
#define X509_V_OK 0
#define X509_V_ERR_UNSPECIFIED 1
#define NID_SUBJECT_ALT_NAME 85
#define CRYPTO_EX_INDEX_SSL 0
#define CRYPTO_EX_INDEX_SSL_CTX 1

/* bio.h */
#define BIO_CTRL_INFO 3
#define BIO_CTRL_PENDING 10
#define BIO_CTRL_WPENDING 13
#define BIO_FLAGS_SHOULD_RETRY 8

/* The functions that are called but not interposed. Those after the mark are not in every version. */
#define FUNCTIONS(F, MARK)                                                                         \
    F(const char *, OpenSSL_version, (int kind))                                                   \
    F(int, CRYPTO_get_ex_new_index, (int class, long argl, void *argp, void *make, void *dup, void *release)) \
    F(int, SSL_set_ex_data, (void *ssl, int index, void *data))                                    \
    F(void *, SSL_get_ex_data, (const void *ssl, int index))                                       \
    F(int, SSL_CTX_set_ex_data, (void *context, int index, void *data))                            \
    F(void *, SSL_CTX_get_ex_data, (const void *context, int index))                               \
    F(void, ERR_clear_error, (void))                                                               \
    F(int, ERR_set_mark, (void))                                                                   \
    F(int, ERR_pop_to_mark, (void))                                                                \
    F(long, SSL_ctrl, (void *ssl, int command, long value, void *pointer))                         \
    F(void *, SSL_CTX_new, (const void *method))                                                   \
    F(void, SSL_CTX_free, (void *context))                                                         \
    F(int, SSL_CTX_up_ref, (void *context))                                                        \
    F(const void *, TLS_client_method, (void))                                                     \
    F(void *, SSL_CTX_get_cert_store, (const void *context))                                       \
    F(void *, SSL_CTX_get0_param, (void *context))                                                 \
    F(void, SSL_CTX_set1_cert_store, (void *context, void *store))                                 \
    F(void *, SSL_get_SSL_CTX, (const void *ssl))                                                  \
    F(void *, SSL_new, (void *context))                                                            \
    F(void, SSL_free, (void *ssl))                                                                 \
    F(void *, SSL_get1_session, (void *ssl))                                                       \
    F(void *, SSL_get_session, (const void *ssl))                                                  \
    F(void *, SSL_SESSION_dup, (const void *session))                                              \
    F(void, SSL_SESSION_free, (void *session))                                                     \
    F(void *, SSL_SESSION_get0_peer, (void *session))                                              \
    F(const unsigned char *, SSL_SESSION_get0_id_context, (const void *session, unsigned *length)) \
    F(int, SSL_set_session, (void *ssl, void *session))                                            \
    F(int, SSL_set_session_id_context, (void *ssl, const unsigned char *context, unsigned length)) \
    F(size_t, SSL_get_finished, (const void *ssl, void *buffer, size_t length))                    \
    F(int, SSL_session_reused, (const void *ssl))                                                  \
    F(void *, SSL_get0_param, (void *ssl))                                                         \
    F(int, SSL_set1_param, (void *ssl, void *param))                                               \
    F(void *, X509_VERIFY_PARAM_new, (void))                                                       \
    F(int, X509_VERIFY_PARAM_set1, (void *to, const void *from))                                   \
    F(void, X509_VERIFY_PARAM_free, (void *param))                                                 \
    F(int, X509_VERIFY_PARAM_set1_host, (void *param, const char *name, size_t length))            \
    F(void, X509_VERIFY_PARAM_set_auth_level, (void *param, int level))                            \
    F(void *, X509_STORE_get_verify_cb, (const void *store))                                       \
    F(void *, X509_STORE_CTX_new, (void))                                                          \
    F(void, X509_STORE_CTX_free, (void *context))                                                  \
    F(int, X509_STORE_CTX_init, (void *context, void *store, void *leaf, void *chain))             \
    F(int, X509_STORE_CTX_set_default, (void *context, const char *purpose))                       \
    F(int, X509_STORE_CTX_set_ex_data, (void *context, int index, void *data))                     \
    F(void *, X509_STORE_CTX_get0_param, (const void *context))                                    \
    F(void, X509_STORE_CTX_set_verify_cb, (void *context, void *callback))                         \
    F(int, X509_STORE_CTX_get_error, (const void *context))                                        \
    F(int, X509_verify_cert, (void *context))                                                      \
    F(int, X509_verify, (void *certificate, void *key))                                            \
    F(void *, X509_get0_pubkey, (const void *certificate))                                         \
    F(void *, X509_get_subject_name, (const void *certificate))                                    \
    F(int, X509_NAME_cmp, (const void *a, const void *b))                                          \
    F(int, X509_get_ext_by_NID, (const void *certificate, int nid, int last))                      \
    F(void *, X509_get_ext, (const void *certificate, int index))                                  \
    F(void *, X509_EXTENSION_get_data, (void *extension))                                          \
    F(int, ASN1_OCTET_STRING_cmp, (const void *a, const void *b))                                  \
    F(const void *, X509_get0_notBefore, (const void *certificate))                                \
    F(const void *, X509_get0_notAfter, (const void *certificate))                                 \
    F(int, X509_cmp_current_time, (const void *time))                                              \
    F(int, X509_up_ref, (void *certificate))                                                       \
    F(void, X509_free, (void *certificate))                                                        \
    F(void *, X509_get_X509_PUBKEY, (const void *certificate))                                     \
    F(int, X509_cmp, (const void *a, const void *b))                                               \
    F(int, X509_check_host, (void *certificate, const char *name, size_t length, unsigned flags, char **peer)) \
    F(const char *, X509_verify_cert_error_string, (long error))                                   \
    F(void *, X509_chain_up_ref, (void *chain))                                                    \
    F(void, OPENSSL_sk_pop_free, (void *stack, void *release))                                     \
    F(int, EVP_PKEY_up_ref, (void *key))                                                           \
    F(void, EVP_PKEY_free, (void *key))                                                            \
    F(void *, SSL_get_certificate, (const void *ssl))                                              \
    F(void *, SSL_get_privatekey, (const void *ssl))                                               \
    F(int, SSL_use_certificate, (void *ssl, void *certificate))                                    \
    F(int, SSL_use_PrivateKey, (void *ssl, void *key))                                             \
    F(int, SSL_get_sigalgs, (void *ssl, int index, int *a, int *b, int *c, unsigned char *d, unsigned char *e)) \
    F(int, SSL_get_verify_mode, (const void *ssl))                                                 \
    F(void *, SSL_get_verify_callback, (const void *ssl))                                          \
    F(void, SSL_set_verify, (void *ssl, int mode, void *callback))                                 \
    F(long, SSL_get_verify_result, (const void *ssl))                                              \
    F(void, SSL_set_shutdown, (void *ssl, int mode))                                               \
    F(void, SSL_set_verify_result, (void *ssl, long result))                                       \
    F(void *, SSL_get_peer_cert_chain, (const void *ssl))                                          \
    F(void *, SSL_get0_verified_chain, (const void *ssl))                                          \
    F(int, SSL_get_ex_data_X509_STORE_CTX_idx, (void))                                             \
    F(unsigned long, SSL_get_options, (const void *ssl))                                           \
    F(unsigned long, SSL_set_options, (void *ssl, unsigned long options))                          \
    F(int, SSL_get_security_level, (const void *ssl))                                              \
    F(void, SSL_set_security_level, (void *ssl, int level))                                        \
    F(int, SSL_version, (const void *ssl))                                                         \
    F(const char *, SSL_get_version, (const void *ssl))                                            \
    F(const char *, SSL_get_servername, (const void *ssl, int type))                               \
    F(void, SSL_get0_alpn_selected, (const void *ssl, const unsigned char **name, unsigned *length)) \
    F(void *, SSL_get_ciphers, (const void *ssl))                                                  \
    F(int, OPENSSL_sk_num, (const void *stack))                                                    \
    F(void *, OPENSSL_sk_value, (const void *stack, int index))                                    \
    F(const char *, SSL_CIPHER_get_name, (const void *cipher))                                     \
    F(const char *, SSL_CIPHER_get_version, (const void *cipher))                                  \
    F(int, SSL_set_cipher_list, (void *ssl, const char *list))                                     \
    F(int, SSL_set_ciphersuites, (void *ssl, const char *list))                                    \
    F(int, SSL_set_fd, (void *ssl, int fd))                                                        \
    F(void, SSL_set_connect_state, (void *ssl))                                                    \
    F(void *, SSL_get_rbio, (const void *ssl))                                                     \
    F(void *, SSL_get_wbio, (const void *ssl))                                                     \
    F(void, SSL_set0_rbio, (void *ssl, void *bio))                                                 \
    F(void, SSL_set0_wbio, (void *ssl, void *bio))                                                 \
    F(int, SSL_is_server, (const void *ssl))                                                       \
    F(size_t, SSL_get_client_random, (const void *ssl, unsigned char *random, size_t length))      \
    F(const char *, BIO_method_name, (const void *bio))                                            \
    F(int, BIO_up_ref, (void *bio))                                                                \
    F(long, BIO_ctrl, (void *bio, int command, long value, void *pointer))                         \
    F(int, BIO_read, (void *bio, void *octets, int length))                                        \
    F(int, BIO_write, (void *bio, const void *octets, int length))                                 \
    F(int, BIO_test_flags, (const void *bio, int flags))                                           \
    F(uint64_t, BIO_number_read, (void *bio))                                                      \
    F(uint64_t, BIO_number_written, (void *bio))                                                   \
    F(unsigned long, ERR_peek_last_error, (void))                                                  \
    F(const char *, ERR_reason_error_string, (unsigned long error))                                \
    MARK                                                                                           \
    F(void, ERR_clear_last_mark, (void))

#include "libraries/functions.h"

/* SSL_CTX_set_cert_verify_callback(3): verifies in the library's place. */
typedef int (*verifier)(void *store, void *argument);

/* Lists that the program has chosen, as SSL_ctrl(3) takes them, and its verifier. The library does not give them back. */
struct choice {
    int command; /* 0: none */
    long value;
    void *data;
};
struct choices {
    struct choice groups, signatures;
    verifier verifier;
    void *argument;
};

/* What a twin is made of: all of it Midstream's own, so that the program may change or free what it has. */
struct snapshot {
    void *context, *session, *parameters, *leaf, *certificate, *key, *chain;
    unsigned long options;
    long mode, maximum;
    int version, security;
    bool alpn;
    void *refused;            /* the certificate that the program's function has refused last, or NULL: it is not asked again */
    void *presented, *issuer; /* certificates that the old server has sent, or NULL; that which its own was issued by, or NULL */
    bool stapled;             /* the program asks for the certificate's status (RFC 6066 §8), and looks at that itself */
    bool nodes;               /* of node, which takes the octets of every certificate, whatever the program wants of it */
    bool verifies;            /* the program does not go on with a certificate that does not verify ... */
    void *callback;           /* ... by this function's word as well (SSL_set_verify(3)) ... */
    verifier verifier;        /* ... or by that of this one, in the library's place ... */
    void *argument;
    bool judges;              /* ... so that it has to be asked about another certificate */
    long result;
    char name[256];
    char *ciphers, *suites;
    unsigned char finished[EVP_MAX_MD_SIZE]; /* what the handshake was closed with: another has taken place if it changes */
    size_t finished_length;
    struct choices choices;
};

/*
 * Certificates and keys that the program has taken the octets or a digest of: it may compare them with a pin. A wrong hit
 * makes Midstream stricter here, too.
 */
static _Atomic(const void *) examined[1024];

static _Atomic(const void *) *examined_at(const void *object)
{
    return &examined[((uintptr_t)object >> 4) * 0x9E3779B1u / 64 % (sizeof examined / sizeof *examined)];
}

/*
 * Not what the libraries do for themselves, such as a digest of every certificate that is verified; but what a function of the
 * program's does within their calls.
 */
static void note_examined(const struct tls_library *library, const void *object, const void *caller)
{
    Dl_info info = { 0 };
    if (inline_has(library->base) && tls_inside()) {
        return; /* both are one object */
    }
    const char *name = dladdr(caller, &info) && info.dli_fname ? info.dli_fname : "";
    const char *file = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    if (info.dli_fbase != library->base && strncmp(file, "libssl.", 7) && strncmp(file, "libcrypto.", 10)) {
        atomic_store(examined_at(object), object);
    }
}

static bool was_examined(const void *object)
{
    return object && atomic_load(examined_at(object)) == object;
}

static void freed(void *ssl, void *session, void *data, int index, long argl, void *argp)
{
    (void)ssl, (void)data, (void)index, (void)argl, (void)argp;
    if (session) {
        tls_gone(session);
    }
}

static int duplicated(void *to, const void *from, void **session, int index, long argl, void *argp)
{
    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    *session = NULL;
    return 1;
}

static void choose(struct choice *to, int command, long value, const void *data)
{
    bool text = command == SSL_CTRL_SET_GROUPS_LIST || command == SSL_CTRL_SET_SIGALGS_LIST;
    size_t size = text ? strlen(data) + 1 : (size_t)value * sizeof(int);
    free(to->data);
    *to = (struct choice){ command, value, malloc(size) };
    if (to->data) {
        memcpy(to->data, data, size);
    }
}

static void drop_choices(struct choices *choices)
{
    free(choices->groups.data);
    free(choices->signatures.data);
}

static void choices_freed(void *object, void *choices, void *data, int index, long argl, void *argp)
{
    (void)object, (void)data, (void)index, (void)argl, (void)argp;
    if (choices) {
        drop_choices(choices);
        free(choices);
    }
}

/*
 * A context that is still being made: OpenSSL 3.5 sets its own lists there by its exported functions, before the context can hold
 * anything of ours. Every context that is made, a twin's as well, gets the same.
 */
static bool is_in_the_making(struct tls_library *library, void *context)
{
    return context && !F(library, SSL_CTX_get0_param)(context);
}

/* What is noted of a handle, or else of a context, made if there is nothing yet. */
static struct choices *choices_of(struct tls_library *library, void *ssl, void *context)
{
    struct choices *choices = ssl ? F(library, SSL_get_ex_data)(ssl, library->choices)
                                  : F(library, SSL_CTX_get_ex_data)(context, library->context_choices);
    if (!choices && (choices = calloc(1, sizeof *choices))) {
        if (ssl) {
            F(library, SSL_set_ex_data)(ssl, library->choices, choices);
        } else {
            F(library, SSL_CTX_set_ex_data)(context, library->context_choices, choices);
        }
    }
    return choices;
}

/* The program has set a list, on a handle or else on a context. */
static void note_choice(struct tls_library *library, void *ssl, void *context, int command, long value, const void *data)
{
    bool groups = command == SSL_CTRL_SET_GROUPS || command == SSL_CTRL_SET_GROUPS_LIST;
    if (!library->complete || !data || !(ssl || context) ||
        (!groups && command != SSL_CTRL_SET_SIGALGS && command != SSL_CTRL_SET_SIGALGS_LIST) || is_in_the_making(library, context)) {
        return;
    }
    struct choices *choices = choices_of(library, ssl, context);
    if (choices) {
        choose(groups ? &choices->groups : &choices->signatures, command, value, data);
    }
}

/* A handle's own choices come before those of its context. */
static void copy_choices(struct tls_library *library, const void *ssl, struct snapshot *p)
{
    const struct choices *from[] = { F(library, SSL_CTX_get_ex_data)(p->context, library->context_choices),
                                     F(library, SSL_get_ex_data)(ssl, library->choices) };
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        if (from[i] && from[i]->groups.data) {
            choose(&p->choices.groups, from[i]->groups.command, from[i]->groups.value, from[i]->groups.data);
        }
        if (from[i] && from[i]->signatures.data) {
            choose(&p->choices.signatures, from[i]->signatures.command, from[i]->signatures.value, from[i]->signatures.data);
        }
    }
}

static bool set_choice(struct tls_library *library, void *ssl, const struct choice *choice)
{
    return !choice->command || (choice->data && F(library, SSL_ctrl)(ssl, choice->command, choice->value, choice->data) > 0);
}

static void loaded(struct tls_library *library)
{
    const char *version = F(library, OpenSSL_version)(0);
    size_t words = strcspn(version, " ");
    words += version[words] ? 1 + strcspn(version + words + 1, " ") : 0; /* "OpenSSL 3.0.15" */
    snprintf(library->name, sizeof library->name, "%.*s", (int)words, version);
    library->index = F(library, CRYPTO_get_ex_new_index)(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, (void *)duplicated, (void *)freed);
    library->choices = F(library, CRYPTO_get_ex_new_index)(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, (void *)duplicated, (void *)choices_freed);
    library->context_choices = F(library, CRYPTO_get_ex_new_index)(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, (void *)duplicated, (void *)choices_freed);
    library->complete = library->index > 0 && library->choices > 0 && library->context_choices > 0;
}

static void begun(struct tls *t)
{
    if (t->library->complete) {
        F(t->library, SSL_set_ex_data)(t->handle, t->library->index, t);
    }
}

static void describe(struct tls *t, struct tls_facts *facts)
{
    struct tls_library *library = t->library;
    if (!library->complete) {
        return;
    }
    const unsigned char *alpn = NULL;
    unsigned length = 0;
    facts->version = F(library, SSL_get_version)(t->handle);
    F(library, SSL_get0_alpn_selected)(t->handle, &alpn, &length);
    snprintf(facts->alpn, sizeof facts->alpn, "%.*s", (int)length, alpn ? (const char *)alpn : "");
    const char *name = F(library, SSL_get_servername)(t->handle, 0);
    snprintf(facts->name, sizeof facts->name, "%s", name ? name : "");
}

static void free_snapshot(struct tls_library *library, struct snapshot *p)
{
    F(library, SSL_SESSION_free)(p->session);
    F(library, X509_VERIFY_PARAM_free)(p->parameters);
    F(library, X509_free)(p->leaf);
    F(library, X509_free)(p->issuer);
    F(library, X509_free)(p->refused);
    F(library, OPENSSL_sk_pop_free)(p->presented, (void *)F(library, X509_free));
    F(library, X509_free)(p->certificate);
    F(library, EVP_PKEY_free)(p->key);
    F(library, OPENSSL_sk_pop_free)(p->chain, (void *)F(library, X509_free));
    F(library, SSL_CTX_free)(p->context);
    free(p->ciphers);
    free(p->suites);
    drop_choices(&p->choices);
    free(p);
}

static void release(struct tls *t)
{
    if (t->captured) {
        free_snapshot(t->library, t->captured);
        t->captured = NULL;
    }
}

/* The ciphers that the program allows, in its order: TLS 1.3's are set apart from the others. */
static bool copy_ciphers(struct tls_library *library, const void *ssl, struct snapshot *p)
{
    const void *list = F(library, SSL_get_ciphers)(ssl);
    int count = list ? F(library, OPENSSL_sk_num)(list) : 0;
    size_t room = (size_t)(count > 0 ? count : 0) * 48 + 1;
    p->ciphers = calloc(1, room);
    p->suites = calloc(1, room);
    if (!p->ciphers || !p->suites) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        const void *cipher = F(library, OPENSSL_sk_value)(list, i);
        const char *name = F(library, SSL_CIPHER_get_name)(cipher);
        char *to = strcmp(F(library, SSL_CIPHER_get_version)(cipher), "TLSv1.3") ? p->ciphers : p->suites;
        size_t have = strlen(to);
        snprintf(to + have, room - have, "%s%s", have ? ":" : "", name);
    }
    return true;
}

/* The certificate that a server's own was issued by, as far as it is known; no reference is taken. */
static void *issuer_of(struct tls_library *library, const void *ssl)
{
    const void *verified = F(library, SSL_get0_verified_chain)(ssl);
    const void *list = verified && F(library, OPENSSL_sk_num)(verified) > 1 ? verified : F(library, SSL_get_peer_cert_chain)(ssl);
    return list && F(library, OPENSSL_sk_num)(list) > 1 ? F(library, OPENSSL_sk_value)(list, 1) : NULL;
}

/* Node's own: it has the octets, and moves them past the functions of BIOs. */
static bool is_nodes(struct tls_library *library, const void *bio)
{
    const char *name = bio ? F(library, BIO_method_name)(bio) : NULL;
    return name && !strcmp(name, "node.js SSL buffer");
}

/* How the program has had the old server's certificate judged. */
static void capture_verification(struct tls_library *library, void *ssl, struct snapshot *p)
{
    const struct choices *choices = F(library, SSL_CTX_get_ex_data)(p->context, library->context_choices);
    p->verifies = F(library, SSL_get_verify_mode)(ssl) & SSL_VERIFY_PEER;
    p->callback = F(library, SSL_get_verify_callback)(ssl);
    p->verifier = choices ? choices->verifier : NULL;
    p->argument = choices ? choices->argument : NULL;
    p->judges = p->callback || p->verifier || F(library, X509_STORE_get_verify_cb)(F(library, SSL_CTX_get_cert_store)(p->context));
    p->result = F(library, SSL_get_verify_result)(ssl);
    p->nodes = is_nodes(library, F(library, SSL_get_rbio)(ssl));
    void *looks = NULL; /* who has a function for that, as Perl's modules, takes none as well */
    TLS_REAL(library, SSL_CTX_ctrl)(p->context, SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB, 0, &looks);
    p->stapled = !looks && F(library, SSL_ctrl)(ssl, SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE, 0, NULL) == TLSEXT_STATUSTYPE_ocsp;
    p->presented = F(library, SSL_get_peer_cert_chain)(ssl);
    if (p->presented) {
        p->presented = F(library, X509_chain_up_ref)(p->presented);
    }
    p->issuer = issuer_of(library, ssl);
    if (p->issuer) {
        F(library, X509_up_ref)(p->issuer);
    }
}

static void capture(struct tls *t)
{
    struct tls_library *library = t->library;
    struct snapshot *p = library->complete ? calloc(1, sizeof *p) : NULL;
    void *ssl = t->handle;
    if (!p) {
        return;
    }
    p->session = F(library, SSL_get1_session)(ssl);
    p->context = F(library, SSL_get_SSL_CTX)(ssl);
    F(library, SSL_CTX_up_ref)(p->context);
    p->parameters = F(library, X509_VERIFY_PARAM_new)();
    p->leaf = p->session ? F(library, SSL_SESSION_get0_peer)(p->session) : NULL;
    if (p->leaf) {
        F(library, X509_up_ref)(p->leaf);
    }
    if (!p->session || !p->leaf || !p->parameters || !copy_ciphers(library, ssl, p)
        || !F(library, X509_VERIFY_PARAM_set1)(p->parameters, F(library, SSL_get0_param)(ssl))) {
        free_snapshot(library, p);
        return;
    }
    const unsigned char *types;
    /* Only a CertificateRequest tells a client which signatures its peer takes. */
    if (F(library, SSL_get_sigalgs)(ssl, -1, NULL, NULL, NULL, NULL, NULL) > 0
        || F(library, SSL_ctrl)(ssl, SSL_CTRL_GET_CLIENT_CERT_TYPES, 0, &types) > 0) {
        p->certificate = F(library, SSL_get_certificate)(ssl);
        p->key = F(library, SSL_get_privatekey)(ssl);
        if (p->certificate && p->key) {
            F(library, X509_up_ref)(p->certificate);
            F(library, EVP_PKEY_up_ref)(p->key);
            void *chain = NULL;
            if (F(library, SSL_ctrl)(ssl, SSL_CTRL_GET_CHAIN_CERTS, 0, &chain) > 0 && chain) {
                p->chain = F(library, X509_chain_up_ref)(chain);
            }
        } else {
            p->certificate = p->key = NULL;
        }
    }
    copy_choices(library, ssl, p);
    p->options = F(library, SSL_get_options)(ssl);
    p->mode = F(library, SSL_ctrl)(ssl, SSL_CTRL_MODE, 0, NULL);
    p->maximum = F(library, SSL_ctrl)(ssl, SSL_CTRL_GET_MAX_PROTO_VERSION, 0, NULL);
    p->version = F(library, SSL_version)(ssl);
    p->finished_length = F(library, SSL_get_finished)(ssl, p->finished, sizeof p->finished);
    p->security = F(library, SSL_get_security_level)(ssl);
    const unsigned char *alpn = NULL;
    unsigned length = 0;
    F(library, SSL_get0_alpn_selected)(ssl, &alpn, &length);
    p->alpn = length > 0;
    const char *name = F(library, SSL_get_servername)(ssl, 0);
    snprintf(p->name, sizeof p->name, "%s", name ? name : "");
    capture_verification(library, ssl, p);
    t->judges = p->verifies && p->judges;
    t->captured = p;
}

/* The peers have proved anew who they are: what was captured holds no more. A twin lets neither happen. */
static void check_finished(struct tls *t, const struct snapshot *p)
{
    unsigned char finished[EVP_MAX_MD_SIZE];
    if (t->last == t->handle
        && (F(t->library, SSL_get_finished)(t->handle, finished, sizeof finished) != p->finished_length
            || memcmp(finished, p->finished, p->finished_length))) {
        tls_spoil(t, p->version >= TLS1_3_VERSION ? MS_WHY_TLS_AUTHENTICATED : MS_WHY_TLS_RENEGOTIATED);
    }
}

/* A ticket that has come replaces the session. */
static void refresh(struct tls *t)
{
    struct snapshot *p = t->captured;
    const struct twin *live = atomic_load(&t->live);
    if (p && !atomic_load_explicit(&t->spoilt, memory_order_relaxed)) {
        check_finished(t, p);
    }
    if (live && *live->name) {
        return; /* by another name's ticket, nobody shows that he is the old server */
    }
    if (!p || F(t->library, SSL_get_session)(t->last) == p->session) {
        return;
    }
    void *session = F(t->library, SSL_get1_session)(t->last);
    if (session) {
        pthread_mutex_lock(&tls_mutex);
        void *old = p->session;
        p->session = session;
        pthread_mutex_unlock(&tls_mutex);
        F(t->library, SSL_SESSION_free)(old);
    }
}

static enum tls_outcome outcome_of(struct tls_library *library, const void *ssl, int result)
{
    if (result > 0) {
        return TLS_DATA;
    }
    int error = TLS_REAL(library, SSL_get_error)(ssl, result);
    return error == SSL_ERROR_ZERO_RETURN ? TLS_END : error == SSL_ERROR_SYSCALL || error == SSL_ERROR_SSL ? TLS_BAD : TLS_AGAIN;
}

static void say(struct tls_data *data, bool writing)
{
    data->raw = data->outcome == TLS_DATA ? (ssize_t)data->done : data->outcome == TLS_END ? 0 : -1;
    if (data->outcome == TLS_DATA) {
        data->t->said = 0;
    } else if (data->outcome == TLS_AGAIN) {
        data->t->said = writing ? SSL_ERROR_WANT_WRITE : SSL_ERROR_WANT_READ;
    } else {
        data->t->said = data->outcome == TLS_END ? SSL_ERROR_ZERO_RETURN : SSL_ERROR_SYSCALL;
    }
}

static size_t pending(struct tls_library *library, void *ssl)
{
    int n = TLS_REAL(library, SSL_pending)(ssl);
    return n > 0 ? (size_t)n : 0;
}

static int clipped(size_t length)
{
    return length > 1 << 30 ? 1 << 30 : (int)length;
}

static enum tls_outcome twin_read(struct tls_library *library, void *ssl, void *buffer, size_t length, size_t *done)
{
    F(library, ERR_clear_error)();
    int n = TLS_REAL(library, SSL_read)(ssl, buffer, clipped(length));
    *done = n > 0 ? (size_t)n : 0;
    return outcome_of(library, ssl, n);
}

static enum tls_outcome twin_write(struct tls_library *library, void *ssl, const void *octets, size_t length, size_t *done)
{
    F(library, ERR_clear_error)();
    int n = TLS_REAL(library, SSL_write)(ssl, octets, clipped(length));
    *done = n > 0 ? (size_t)n : 0;
    return outcome_of(library, ssl, n);
}

/*
 * A verification by the program's store and settings (ssl_verify_cert_chain does the same). NULL if there is no memory. It is to be
 * freed by X509_STORE_CTX_free.
 */
static void *new_verification(struct tls_library *library, const struct snapshot *p, void *leaf, void *chain)
{
    void *store = F(library, X509_STORE_CTX_new)();
    if (!store || !F(library, X509_STORE_CTX_init)(store, F(library, SSL_CTX_get_cert_store)(p->context), leaf, chain)) {
        F(library, X509_STORE_CTX_free)(store);
        return NULL;
    }
    void *param = F(library, X509_STORE_CTX_get0_param)(store);
    F(library, X509_VERIFY_PARAM_set_auth_level)(param, p->security);
    F(library, X509_STORE_CTX_set_default)(store, "ssl_server");
    F(library, X509_VERIFY_PARAM_set1)(param, p->parameters);
    return store;
}

/* In the place of a function of the program's: a twin is made on no thread that may call one. */
static int agree(int good, void *store)
{
    (void)store;
    return good;
}

/* What the old server's certificate comes to without the program's own functions. */
static long verify_again(struct tls_library *library, const struct snapshot *p)
{
    if (!p->judges) {
        return p->result;
    }
    void *store = new_verification(library, p, p->leaf, p->presented);
    long result = X509_V_ERR_UNSPECIFIED;
    if (store) {
        F(library, X509_STORE_CTX_set_verify_cb)(store, (void *)agree);
        if (F(library, X509_verify_cert)(store) > 0) {
            result = F(library, X509_STORE_CTX_get_error)(store);
        }
        F(library, X509_STORE_CTX_free)(store);
    }
    return result;
}

static enum ms_needs needs(const struct tls *t);

static enum ms_why make(struct twin *w, struct tls *t)
{
    struct tls_library *library = t->library;
    struct snapshot *p = t->captured;
    bool other = *w->name; /* who gets no word of what the program and its own server have agreed */
    if (other && needs(t) != MS_NEEDS_NAME) {
        return MS_WHY_TWIN_OTHER_NAME;
    }
    void *context = F(library, SSL_CTX_new)(F(library, TLS_client_method)());
    if (!context) {
        return MS_WHY_OPENSSL_CONTEXT;
    }
    w->context = context;
    F(library, SSL_CTX_set1_cert_store)(context, F(library, SSL_CTX_get_cert_store)(p->context));
    void *ssl = w->handle = F(library, SSL_new)(context);
    if (!ssl || !F(library, SSL_set1_param)(ssl, p->parameters)
        || (other && !F(library, X509_VERIFY_PARAM_set1_host)(F(library, SSL_get0_param)(ssl), w->name, 0))) {
        return MS_WHY_OPENSSL_SESSION;
    }
    /* The judgement comes after the handshake; it is more than a chain, and a leaf that is the same needs none. */
    F(library, SSL_set_verify)(ssl, 0, (void *)agree); /* the store may have a function of the program's, too */
    F(library, SSL_set_options)(ssl, (p->options & ~SSL_OP_ENABLE_KTLS) | SSL_OP_NO_RENEGOTIATION);
    F(library, SSL_set_security_level)(ssl, p->security);
    F(library, SSL_ctrl)(ssl, SSL_CTRL_MODE, p->mode, NULL);
    F(library, SSL_ctrl)(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, p->version, NULL);
    F(library, SSL_ctrl)(ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, p->maximum, NULL);
    if (*p->ciphers) {
        F(library, SSL_set_cipher_list)(ssl, p->ciphers);
    }
    F(library, SSL_set_ciphersuites)(ssl, p->suites);
    if (!set_choice(library, ssl, &p->choices.groups) || !set_choice(library, ssl, &p->choices.signatures)) {
        return MS_WHY_OPENSSL_LISTS;
    }
    if (other || *p->name) {
        F(library, SSL_ctrl)(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, other ? w->name : p->name);
    }
    if (p->alpn) {
        static const unsigned char http1[] = "\x08http/1.1";
        TLS_REAL(library, SSL_set_alpn_protos)(ssl, http1, sizeof http1 - 1);
    }
    if (p->certificate && !other
        && (F(library, SSL_use_certificate)(ssl, p->certificate) != 1 || F(library, SSL_use_PrivateKey)(ssl, p->key) != 1
            || (p->chain && F(library, SSL_ctrl)(ssl, SSL_CTRL_CHAIN, 1, p->chain) != 1))) {
        return MS_WHY_OPENSSL_CLIENT_CERT;
    }
    void *session = other ? NULL : F(library, SSL_SESSION_dup)(p->session);
    if (session) {
        unsigned length = 0;
        const unsigned char *id = F(library, SSL_SESSION_get0_id_context)(session, &length);
        F(library, SSL_set_session_id_context)(ssl, id, length);
        F(library, SSL_set_session)(ssl, session);
        F(library, SSL_SESSION_free)(session);
    }
    F(library, SSL_set_connect_state)(ssl);
    return F(library, SSL_set_fd)(ssl, w->fd) == 1 ? MS_WHY_NONE : MS_WHY_OPENSSL_SOCKET;
}

static enum tls_outcome handshake(struct twin *w, bool *wants_write)
{
    F(w->library, ERR_clear_error)();
    int result = TLS_REAL(w->library, SSL_do_handshake)(w->handle);
    *wants_write = result <= 0 && TLS_REAL(w->library, SSL_get_error)(w->handle, result) == SSL_ERROR_WANT_WRITE;
    enum tls_outcome outcome = outcome_of(w->library, w->handle, result);
    if (outcome == TLS_BAD) {
        const char *reason = F(w->library, ERR_reason_error_string)(F(w->library, ERR_peek_last_error)());
        w->failure = reason ? MS_WHY_HANDSHAKE_FOR : MS_WHY_HANDSHAKE;
        snprintf(w->detail, sizeof w->detail, "%s", reason ? reason : "");
    }
    return outcome;
}

/* What speaks for a certificate by the library's own measure. */
enum { VERIFIES = 1, IS_FOR_NAME = 2, IS_CURRENT = 4 };

static unsigned merits(struct tls_library *library, void *leaf, long result, const char *name)
{
    bool current = F(library, X509_cmp_current_time)(F(library, X509_get0_notBefore)(leaf)) < 0
        && F(library, X509_cmp_current_time)(F(library, X509_get0_notAfter)(leaf)) > 0;
    return (result == X509_V_OK ? VERIFIES : 0) | (current ? IS_CURRENT : 0)
        | (*name && F(library, X509_check_host)(leaf, name, 0, 0, NULL) == 1 ? IS_FOR_NAME : 0);
}

static bool has_same_key(struct tls_library *library, const void *a, const void *b)
{
    unsigned char octets[2][2048], *end[2] = { octets[0], octets[1] };
    const void *keys[2] = { F(library, X509_get_X509_PUBKEY)(a), F(library, X509_get_X509_PUBKEY)(b) };
    int length[2];
    for (int i = 0; i < 2; i++) {
        length[i] = TLS_REAL(library, i2d_X509_PUBKEY)(keys[i], NULL);
        if (length[i] <= 0 || (size_t)length[i] > sizeof octets[i] || TLS_REAL(library, i2d_X509_PUBKEY)(keys[i], &end[i]) != length[i]) {
            return false;
        }
    }
    return length[0] == length[1] && !memcmp(octets[0], octets[1], (size_t)length[0]);
}

static bool has_same_names(struct tls_library *library, const void *a, const void *b)
{
    int at[2] = { F(library, X509_get_ext_by_NID)(a, NID_SUBJECT_ALT_NAME, -1), F(library, X509_get_ext_by_NID)(b, NID_SUBJECT_ALT_NAME, -1) };
    if (at[0] < 0 || at[1] < 0 || F(library, X509_NAME_cmp)(F(library, X509_get_subject_name)(a), F(library, X509_get_subject_name)(b))) {
        return false;
    }
    return !F(library, ASN1_OCTET_STRING_cmp)(F(library, X509_EXTENSION_get_data)(F(library, X509_get_ext)(a, at[0])),
                                              F(library, X509_EXTENSION_get_data)(F(library, X509_get_ext)(b, at[1])));
}

/* Both were issued by the very same certificate, whatever that itself is worth. */
static bool has_same_issuer(struct tls_library *library, const struct snapshot *p, void *leaf, const void *ssl)
{
    void *issuer = issuer_of(library, ssl);
    if (!issuer || !p->issuer || F(library, X509_cmp)(issuer, p->issuer)) {
        return false;
    }
    void *key = F(library, X509_get0_pubkey)(issuer);
    return key && F(library, X509_verify)(p->leaf, key) == 1 && F(library, X509_verify)(leaf, key) == 1;
}

/* Why another certificate will not do for the old one, or MS_WHY_NONE. */
static enum ms_why compare(struct twin *w, const struct snapshot *p, void *leaf, const char **how)
{
    struct tls_library *library = w->library;
    bool same_key = has_same_key(library, leaf, p->leaf);
    if (p->stapled || (was_examined(p->leaf) && !p->nodes) || (!same_key && was_examined(F(library, X509_get_X509_PUBKEY)(p->leaf)))) {
        return MS_WHY_CERT_EXAMINED;
    }
    long result = F(library, SSL_get_verify_result)(w->handle);
    unsigned had = merits(library, p->leaf, verify_again(library, p), p->name), has = merits(library, leaf, result, p->name);
    unsigned lacks = had & ~has;
    if (lacks & VERIFIES) {
        snprintf(w->detail, sizeof w->detail, "%s", F(library, X509_verify_cert_error_string)(result));
        return MS_WHY_CERT_BAD;
    }
    if (lacks & IS_FOR_NAME) {
        snprintf(w->detail, sizeof w->detail, "%s", p->name);
        return MS_WHY_CERT_OTHER_NAME;
    }
    if (lacks) {
        return MS_WHY_CERT_EXPIRED;
    }
    if (same_key) {
        *how = "same key";
    } else if (p->verifies && had & VERIFIES && had & IS_FOR_NAME) {
        *how = "verified";
    } else if (tls_goes_by_issuer() && has & IS_CURRENT && has_same_names(library, leaf, p->leaf)
               && has_same_issuer(library, p, leaf, w->handle)) {
        *how = "same issuer";
    } else {
        return !p->verifies ? MS_WHY_CERT_UNVERIFIED : p->judges ? MS_WHY_CERT_JUDGED : MS_WHY_CERT_OLD_NOT_VERIFIED;
    }
    return MS_WHY_NONE;
}

/* Why the certificate of a server of another name is none that the program's own verification would take for that, or MS_WHY_NONE. */
static enum ms_why judge_other(struct twin *w, void *leaf, const char **how)
{
    struct tls_library *library = w->library;
    long result = F(library, SSL_get_verify_result)(w->handle);
    unsigned has = merits(library, leaf, result, w->name);
    if (!(has & VERIFIES)) {
        snprintf(w->detail, sizeof w->detail, "%s", F(library, X509_verify_cert_error_string)(result));
        return MS_WHY_CERT_BAD;
    }
    if (!(has & IS_FOR_NAME)) {
        snprintf(w->detail, sizeof w->detail, "%.200s", w->name);
        return MS_WHY_CERT_OTHER_NAME;
    }
    *how = "verified for its own name";
    return has & IS_CURRENT ? MS_WHY_NONE : MS_WHY_CERT_EXPIRED;
}

static enum ms_why judge(struct twin *w, const char **how)
{
    struct tls_library *library = w->library;
    struct snapshot *p = w->session->captured;
    void *ssl = w->handle, *session = F(library, SSL_get_session)(ssl);
    if (F(library, SSL_version)(ssl) < p->version) {
        return MS_WHY_OLDER_TLS;
    }
    if (!*w->name && F(library, SSL_session_reused)(ssl)) {
        *how = "resumed";
        return MS_WHY_NONE;
    }
    void *leaf = session ? F(library, SSL_SESSION_get0_peer)(session) : NULL;
    if (!leaf) {
        return MS_WHY_NO_CERT;
    }
    if (*w->name) {
        return judge_other(w, leaf, how);
    }
    if (!F(library, X509_cmp)(leaf, p->leaf)) {
        *how = "same certificate";
        return MS_WHY_NONE;
    }
    enum ms_why why = compare(w, p, leaf, how);
    w->asks = !why && p->verifies && p->judges;
    return w->asks && p->refused && !F(library, X509_cmp)(leaf, p->refused) ? MS_WHY_CERT_REFUSED : why;
}

/* The program's own function judges the new server's certificates, as if its own session were shaking hands with that. */
static bool ask(struct tls *t, struct twin *w)
{
    struct tls_library *library = t->library;
    struct snapshot *p = t->captured;
    void *ssl = t->handle, *leaf = F(library, SSL_SESSION_get0_peer)(F(library, SSL_get_session)(w->handle));
    void *store = new_verification(library, p, leaf, F(library, SSL_get_peer_cert_chain)(w->handle));
    if (!store) {
        return false;
    }
    long before = F(library, SSL_get_verify_result)(ssl), found = p->result;
    if (p->callback) {
        F(library, X509_STORE_CTX_set_verify_cb)(store, p->callback);
    }
    F(library, X509_STORE_CTX_set_ex_data)(store, F(library, SSL_get_ex_data_X509_STORE_CTX_idx)(), ssl);
    F(library, ERR_set_mark)();
    int good = p->verifier ? p->verifier(store, p->argument) : F(library, X509_verify_cert)(store);
    F(library, ERR_pop_to_mark)();
    bool as_good = good > 0 && (found != X509_V_OK || F(library, X509_STORE_CTX_get_error)(store) == X509_V_OK);
    F(library, X509_STORE_CTX_free)(store);
    if (tls_find(ssl) != t) {
        return false;
    }
    if (F(library, SSL_get_verify_result)(ssl) != before) {
        F(library, SSL_set_verify_result)(ssl, before); /* it speaks of the old server */
    }
    if (!as_good) {
        pthread_mutex_lock(&tls_mutex);
        F(library, X509_free)(p->refused);
        p->refused = leaf;
        F(library, X509_up_ref)(leaf);
        pthread_mutex_unlock(&tls_mutex);
    }
    return as_good;
}

static enum ms_needs needs(const struct tls *t)
{
    const struct snapshot *p = t->captured;
    struct tls_library *library = t->library;
    if (p->stapled || (was_examined(p->leaf) && !p->nodes)) {
        return MS_NEEDS_CERT_EXAMINED;
    }
    if (was_examined(F(library, X509_get_X509_PUBKEY)(p->leaf))) {
        return MS_NEEDS_KEY_EXAMINED;
    }
    bool known = p->result == X509_V_OK && *p->name && F(library, X509_check_host)(p->leaf, p->name, 0, 0, NULL) == 1;
    if (p->verifies && known) {
        return p->judges ? MS_NEEDS_JUDGEMENT : MS_NEEDS_NAME;
    }
    return MS_NEEDS_KEY_UNVERIFIED;
}

static void version_of(struct twin *w, struct tls_facts *facts)
{
    struct tls other = { .handle = w->handle, .library = w->library };
    describe(&other, facts);
}

static void attach(struct twin *w, int fd)
{
    F(w->library, SSL_set_fd)(w->handle, fd);
}

/* By their names: other BIOs, such as curl's, may call themselves of the same type. */
static bool is_memory(struct tls_library *library, const void *bio)
{
    const char *name = bio ? F(library, BIO_method_name)(bio) : NULL;
    return name && (!strcmp(name, "memory buffer") || !strcmp(name, "secure memory buffer"));
}

/* One end of BIO_new_bio_pair, as Boost.Asio has it: the program has the other one. */
static bool is_pair(struct tls_library *library, const void *bio)
{
    const char *name = bio ? F(library, BIO_method_name)(bio) : NULL;
    return name && !strcmp(name, "BIO pair");
}

static const void *memory(struct tls_library *library, void *ssl)
{
    const void *in = F(library, SSL_get_rbio)(ssl), *out = F(library, SSL_get_wbio)(ssl);
    bool memories = in != out
        && ((is_memory(library, in) && is_memory(library, out)) || (is_nodes(library, in) && is_nodes(library, out)));
    return memories || (in == out && is_pair(library, in)) ? in : NULL;
}

static void *memory_bio(struct tls_library *library, void *ssl, bool out)
{
    return out ? F(library, SSL_get_wbio)(ssl) : F(library, SSL_get_rbio)(ssl);
}

static bool hello(struct tls_library *library, void *ssl, uint8_t *random)
{
    static const uint8_t none[HELLO_RANDOM];
    return !F(library, SSL_is_server)(ssl) && F(library, SSL_get_client_random)(ssl, random, HELLO_RANDOM) == HELLO_RANDOM
        && memcmp(random, none, HELLO_RANDOM);
}

static size_t memory_look(struct tls_library *library, void *ssl, void *octets, size_t length)
{
    char *have = NULL;
    void *bio = memory_bio(library, ssl, false);
    long count = !is_memory(library, bio) ? 0 : F(library, BIO_ctrl)(bio, BIO_CTRL_INFO, 0, &have);
    size_t n = count > 0 && (size_t)count < length ? (size_t)count : count > 0 ? length : 0;
    if (n) {
        memcpy(octets, have, n);
    }
    return n;
}

static ssize_t memory_read(struct tls_library *library, void *ssl, void *octets, size_t length)
{
    void *bio = memory_bio(library, ssl, false);
    int n = F(library, BIO_read)(bio, octets, clipped(length));
    return n > 0 ? n : F(library, BIO_test_flags)(bio, BIO_FLAGS_SHOULD_RETRY) ? -1 : 0;
}

static ssize_t memory_write(struct tls_library *library, void *ssl, const void *octets, size_t length)
{
    return F(library, BIO_write)(memory_bio(library, ssl, true), octets, clipped(length));
}

/* What lies there. Of a pair, the program's end counts what passes it, and is not known. */
static uint64_t memory_left(struct tls_library *library, void *bio, bool out)
{
    long n = F(library, BIO_ctrl)(bio, out && is_pair(library, bio) ? BIO_CTRL_WPENDING : BIO_CTRL_PENDING, 0, NULL);
    return n > 0 ? (uint64_t)n : 0;
}

static uint64_t memory_put(struct tls_library *library, void *ssl, bool out)
{
    void *bio = memory_bio(library, ssl, out);
    return out ? F(library, BIO_number_written)(bio) : F(library, BIO_number_read)(bio) + memory_left(library, bio, false);
}

static uint64_t memory_taken(struct tls_library *library, void *ssl, bool out)
{
    void *bio = memory_bio(library, ssl, out);
    return out ? F(library, BIO_number_written)(bio) - memory_left(library, bio, true) : F(library, BIO_number_read)(bio);
}

static void adopt(struct twin *w, void *ssl)
{
    struct tls_library *library = w->library;
    void *in = memory_bio(library, ssl, false), *out = memory_bio(library, ssl, true);
    F(library, BIO_up_ref)(in);
    F(library, BIO_up_ref)(out);
    F(library, SSL_set0_rbio)(w->handle, in);
    F(library, SSL_set0_wbio)(w->handle, out);
}

static void destroy(struct twin *w)
{
    if (w->handle) {
        F(w->library, SSL_free)(w->handle);
    }
    if (w->context) {
        F(w->library, SSL_CTX_free)(w->context);
    }
    w->handle = w->context = NULL;
}

/* Those that read what the descriptor has, and return where it has nothing. Others may wait by themselves. */
static bool clear(const struct tls *t)
{
    static const char *const names[] = { "socket", "socket connect", "OpenSSL CF BIO" };
    const void *bio = F(t->library, SSL_get_rbio)(t->handle);
    const char *name = bio ? F(t->library, BIO_method_name)(bio) : "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return false;
}

static const char *const files[] = { "libssl", "libcrypto", NULL };

static const char *const prefixes[] = { "", NULL };

const struct tls_kind tls_openssl = {
    KIND_IN_COMMON,
    .files = files,
    .prefixes = prefixes,
    .clear = clear,
    .memory = memory,
    .memory_look = memory_look,
    .memory_read = memory_read,
    .memory_write = memory_write,
    .memory_put = memory_put,
    .memory_taken = memory_taken,
    .adopt = adopt,
};

/* The hooks. */

static struct tls_library *library_of(enum tls_call call, const struct tls *t, const void *caller)
{
    return t ? t->library : tls_library_of(call, &tls_openssl, caller);
}

EXPORT int SSL_connect(void *ssl)
{
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_connect, t, CALLER);
    struct tls_frame before;
    if (!library) {
        return -1;
    }
    if (t) {
        t->said = 0;
    }
    tls_begin(&before, library, ssl, t);
    int result = TLS_REAL(library, SSL_connect)(ssl);
    tls_look_below(library, ssl, t, true);
    tls_end(&before);
    return result;
}

EXPORT int SSL_do_handshake(void *ssl)
{
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_do_handshake, t, CALLER);
    struct tls_frame before;
    if (!library) {
        return -1;
    }
    if (t) {
        t->said = 0;
    }
    tls_begin(&before, library, ssl, t);
    int result = TLS_REAL(library, SSL_do_handshake)(ssl);
    tls_look_below(library, ssl, t, true);
    tls_end(&before);
    return result;
}

/* Prepares a data call. False when it is to go straight to the library. */
static bool data_call(struct tls_data *data, enum tls_call call, void *ssl, const void *buffer, size_t length, const void *caller)
{
    struct tls *t = tls_find(ssl);
    *data = (struct tls_data){
        .t = t, .library = library_of(call, t, caller), .handle = ssl, .buffer = (void *)buffer, .length = length,
    };
    bool ours = data->library && !tls_is_nested(ssl, t, caller);
    if (ours && t) {
        t->said = 0;
    }
    return ours;
}

static void before_retry(struct tls_data *data)
{
    if (data->retry) {
        F(data->library, ERR_clear_error)(); /* what the old session left there says nothing of the new one */
    }
}

/* What SSL_read(3) and its like have said, and SSL_read_ex(3) and its like, which have set data->done. */
static enum tls_outcome came(struct tls_data *data, int octets)
{
    data->raw = octets;
    data->done = octets > 0 ? (size_t)octets : 0;
    return outcome_of(data->library, data->handle, octets);
}

static enum tls_outcome came_ex(struct tls_data *data, int good)
{
    data->raw = good;
    return outcome_of(data->library, data->handle, good);
}

static enum tls_outcome carry_read(struct tls_data *data)
{
    before_retry(data);
    return came(data, TLS_REAL(data->library, SSL_read)(data->handle, data->buffer, clipped(data->length)));
}

static enum tls_outcome carry_read_ex(struct tls_data *data)
{
    before_retry(data);
    return came_ex(data, TLS_REAL(data->library, SSL_read_ex)(data->handle, data->buffer, data->length, &data->done));
}

static enum tls_outcome carry_peek(struct tls_data *data)
{
    before_retry(data);
    return came(data, TLS_REAL(data->library, SSL_peek)(data->handle, data->buffer, clipped(data->length)));
}

static enum tls_outcome carry_peek_ex(struct tls_data *data)
{
    before_retry(data);
    return came_ex(data, TLS_REAL(data->library, SSL_peek_ex)(data->handle, data->buffer, data->length, &data->done));
}

/* Where the octets are fed, or come to be before the call leaves, no library sees to it. */
static void set_whole(struct tls_data *data)
{
    data->whole = data->t && data->t->captured
        && !(F(data->library, SSL_ctrl)(data->t->handle, SSL_CTRL_MODE, 0, NULL) & SSL_MODE_ENABLE_PARTIAL_WRITE);
}

static enum tls_outcome carry_write(struct tls_data *data)
{
    return came(data, TLS_REAL(data->library, SSL_write)(data->handle, data->buffer, clipped(data->length)));
}

static enum tls_outcome carry_write_ex(struct tls_data *data)
{
    return came_ex(data, TLS_REAL(data->library, SSL_write_ex)(data->handle, data->buffer, data->length, &data->done));
}

/*
 * A read or a look ahead of no octets fetches a record, so that SSL_pending() tells of it (SSL_pending(3)). As it says nothing of
 * its own, it is made a look ahead of one. Its result is 0, and then SSL_get_error()'s is SSL_ERROR_SYSCALL.
 */
static int fetch_record(struct tls_data *data)
{
    char octet;
    data->buffer = &octet;
    data->length = 1;
    data->peek = true;
    tls_read(data, carry_peek);
    data->buffer = NULL;
    if (data->outcome != TLS_DATA) {
        return (int)data->raw;
    }
    data->t->said = SSL_ERROR_SYSCALL;
    return 0;
}

/* A data call of no octets may shake hands all the same, as s_client's first one. */
static void begin_empty(struct tls_frame *before, const struct tls_data *data)
{
    tls_begin(before, data->library, data->handle, data->t);
}

static void end_empty(const struct tls_frame *before, const struct tls_data *data)
{
    tls_look_below(data->library, data->handle, data->t, true);
    tls_end(before);
}

/* A call that carries nothing, or that comes from within another: `ours` is what data_call() has said. */
#define STRAIGHT(data, ours, failure, name, arguments)                                              \
    __extension__({                                                                                 \
        struct tls_frame before;                                                                    \
        bool empty = (ours) && (data)->library;                                                     \
        if (empty) {                                                                                \
            begin_empty(&before, data);                                                             \
        }                                                                                           \
        int outcome = (data)->library ? TLS_REAL((data)->library, name) arguments : (failure);      \
        if (empty) {                                                                                \
            end_empty(&before, data);                                                               \
        }                                                                                           \
        outcome;                                                                                    \
    })

/* What an _ex function answers: the number is left alone where there is nothing. */
static int hand_out(const struct tls_data *data, size_t *done)
{
    if (data->outcome != TLS_DATA) {
        return 0;
    }
    *done = data->done;
    return 1;
}

EXPORT int SSL_read(void *ssl, void *buffer, int length)
{
    struct tls_data data;
    bool ours = data_call(&data, TLS_CALL_SSL_read, ssl, buffer, (size_t)length, CALLER);
    if (ours && !length && data.t) {
        return fetch_record(&data);
    }
    if (!ours || length <= 0) {
        return STRAIGHT(&data, ours, -1, SSL_read, (ssl, buffer, length));
    }
    tls_read(&data, carry_read);
    return data.outcome == TLS_DATA ? (int)data.done : (int)data.raw;
}

EXPORT int SSL_read_ex(void *ssl, void *buffer, size_t length, size_t *done)
{
    struct tls_data data;
    bool ours = data_call(&data, TLS_CALL_SSL_read_ex, ssl, buffer, length, CALLER);
    if (ours && !length && data.t) {
        fetch_record(&data);
        return 0;
    }
    if (!ours || !length) {
        return STRAIGHT(&data, ours, 0, SSL_read_ex, (ssl, buffer, length, done));
    }
    tls_read(&data, carry_read_ex);
    return hand_out(&data, done);
}

EXPORT int SSL_peek(void *ssl, void *buffer, int length)
{
    struct tls_data data;
    bool ours = data_call(&data, TLS_CALL_SSL_peek, ssl, buffer, (size_t)length, CALLER);
    if (ours && !length && data.t) {
        return fetch_record(&data);
    }
    if (!ours || length <= 0) {
        return STRAIGHT(&data, ours, -1, SSL_peek, (ssl, buffer, length));
    }
    data.peek = true;
    tls_read(&data, carry_peek);
    return data.outcome == TLS_DATA ? (int)data.done : (int)data.raw;
}

EXPORT int SSL_peek_ex(void *ssl, void *buffer, size_t length, size_t *done)
{
    struct tls_data data;
    bool ours = data_call(&data, TLS_CALL_SSL_peek_ex, ssl, buffer, length, CALLER);
    if (ours && !length && data.t) {
        fetch_record(&data);
        return 0;
    }
    if (!ours || !length) {
        return STRAIGHT(&data, ours, 0, SSL_peek_ex, (ssl, buffer, length, done));
    }
    data.peek = true;
    tls_read(&data, carry_peek_ex);
    return hand_out(&data, done);
}

EXPORT int SSL_write(void *ssl, const void *octets, int length)
{
    struct tls_data data;
    bool ours = data_call(&data, TLS_CALL_SSL_write, ssl, octets, (size_t)length, CALLER);
    if (!ours || length <= 0) {
        return STRAIGHT(&data, ours, -1, SSL_write, (ssl, octets, length));
    }
    set_whole(&data);
    tls_write(&data, carry_write);
    return (int)data.raw;
}

EXPORT int SSL_write_ex(void *ssl, const void *octets, size_t length, size_t *done)
{
    struct tls_data data;
    bool ours = data_call(&data, TLS_CALL_SSL_write_ex, ssl, octets, length, CALLER);
    if (!ours || !length) {
        return STRAIGHT(&data, ours, 0, SSL_write_ex, (ssl, octets, length, done));
    }
    set_whole(&data);
    tls_write(&data, carry_write_ex);
    return hand_out(&data, done);
}

EXPORT int SSL_write_early_data(void *ssl, const void *octets, size_t length, size_t *done)
{
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_write_early_data, t, CALLER);
    struct tls_frame before;
    if (!library) {
        return 0;
    }
    tls_begin(&before, library, ssl, t);
    int result = TLS_REAL(library, SSL_write_early_data)(ssl, octets, length, done);
    tls_look_below(library, ssl, t, true);
    tls_end(&before);
    tls_spoil(tls_find(ssl), MS_WHY_TLS_EARLY_DATA);
    return result;
}

/* Calls that ask or tell something of the connection, not of the session the program made. */
#define PRESENT(enter, result, name, missing, ssl, expression)                         \
    {                                                                                   \
        struct tls *t = tls_find(ssl);                                                  \
        struct tls_library *library = library_of(TLS_CALL_##name, t, CALLER);           \
        if (!library) {                                                                 \
            return missing;                                                             \
        }                                                                               \
        struct tls_present present;                                                     \
        void *handle = enter(&present, library, t, ssl);                                \
        result outcome = expression;                                                    \
        tls_leave(&present);                                                            \
        return outcome;                                                                 \
    }
#define ON_PRESENT(...) PRESENT(tls_enter, __VA_ARGS__)
#define LOOK_AT_PRESENT(...) PRESENT(tls_enter_to_look, __VA_ARGS__)

EXPORT int SSL_pending(const void *ssl)
    LOOK_AT_PRESENT(int, SSL_pending, 0, (void *)ssl,
                    (int)tls_pending(t, (size_t)TLS_REAL(library, SSL_pending)(handle)))

EXPORT int SSL_has_pending(const void *ssl)
    ON_PRESENT(int, SSL_has_pending, 0, (void *)ssl, tls_pending(t, 0) || (!tls_is_clear(t) && TLS_REAL(library, SSL_has_pending)(handle)))

/* SSL_shutdown(3) where the octets are fed: the first call ends the program's side, a later one finds that of the other ended. */
static int shut_fed(struct tls *t, struct tls_library *library, void *handle)
{
    int had = TLS_REAL(library, SSL_get_shutdown)(handle);
    bool again = had & SSL_SENT_SHUTDOWN;
    F(library, SSL_set_shutdown)(handle, had | SSL_SENT_SHUTDOWN | (again ? SSL_RECEIVED_SHUTDOWN : 0));
    clear_end(t);
    return again || t->saw_end;
}

static int end_session(struct tls *t, struct tls_library *library, void *handle)
{
    tls_half_closed(t);
    if (t) {
        t->said = 0;
    }
    return clear_is_fed(t) ? shut_fed(t, library, handle) : TLS_REAL(library, SSL_shutdown)(handle);
}

EXPORT int SSL_shutdown(void *ssl)
    ON_PRESENT(int, SSL_shutdown, -1, ssl, end_session(t, library, handle))

EXPORT int SSL_get_shutdown(const void *ssl)
    ON_PRESENT(int, SSL_get_shutdown, 0, (void *)ssl,
               TLS_REAL(library, SSL_get_shutdown)(handle) | (tls_is_spent(t) ? SSL_RECEIVED_SHUTDOWN : 0))

EXPORT int SSL_key_update(void *ssl, int type)
    ON_PRESENT(int, SSL_key_update, 0, ssl, clear_is_fed(t) ? 1 : TLS_REAL(library, SSL_key_update)(handle, type))

/* These two are about the last call. */

EXPORT int SSL_get_error(const void *ssl, int result)
{
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_get_error, t, CALLER);
    if (t && t->said && result <= 0) {
        return t->said;
    }
    return library ? TLS_REAL(library, SSL_get_error)(t ? t->last : ssl, result) : SSL_ERROR_SYSCALL;
}

EXPORT int SSL_want(const void *ssl)
{
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_want, t, CALLER);
    if (t && (t->said == SSL_ERROR_WANT_READ || t->said == SSL_ERROR_WANT_WRITE)) {
        return t->said == SSL_ERROR_WANT_READ ? SSL_READING : SSL_WRITING;
    }
    return library ? TLS_REAL(library, SSL_want)(t ? t->last : ssl) : 1;
}

EXPORT int SSL_renegotiate(void *ssl)
{
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_renegotiate, t, CALLER);
    tls_spoil(t, MS_WHY_TLS_RENEGOTIATED);
    return library ? TLS_REAL(library, SSL_renegotiate)(t ? t->last : ssl) : 0;
}

EXPORT int SSL_clear(void *ssl)
{
    const void *caller = CALLER;
    struct tls *t = tls_find(ssl);
    struct tls_library *library = library_of(TLS_CALL_SSL_clear, t, caller);
    if (t && !tls_is_nested(ssl, t, caller)) {
        if (library->complete) {
            F(library, SSL_set_ex_data)(ssl, library->index, NULL);
        }
        tls_gone(t);
    }
    return library ? TLS_REAL(library, SSL_clear)(ssl) : 0;
}

EXPORT long SSL_ctrl(void *ssl, int command, long value, void *pointer)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_ctrl, NULL, CALLER);
    long result = library ? TLS_REAL(library, SSL_ctrl)(ssl, command, value, pointer) : 0;
    if (result > 0) {
        note_choice(library, ssl, NULL, command, value, pointer);
    }
    return result;
}

EXPORT long SSL_CTX_ctrl(void *context, int command, long value, void *pointer)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_CTX_ctrl, NULL, CALLER);
    long result = library ? TLS_REAL(library, SSL_CTX_ctrl)(context, command, value, pointer) : 0;
    if (result > 0) {
        note_choice(library, NULL, context, command, value, pointer);
    }
    return result;
}

EXPORT int SSL_set_alpn_protos(void *ssl, const unsigned char *list, unsigned length)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_set_alpn_protos, tls_find(ssl), CALLER);
    unsigned char kept[256];
    size_t kept_length;
    if (!library) {
        return 1;
    }
    if (list && length <= sizeof kept && tls_without_h2(list, length, kept, &kept_length)) {
        return TLS_REAL(library, SSL_set_alpn_protos)(ssl, kept, (unsigned)kept_length);
    }
    return TLS_REAL(library, SSL_set_alpn_protos)(ssl, list, length);
}

EXPORT int SSL_CTX_set_alpn_protos(void *context, const unsigned char *list, unsigned length)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_CTX_set_alpn_protos, NULL, CALLER);
    unsigned char kept[256];
    size_t kept_length;
    if (!library) {
        return 1;
    }
    if (list && length <= sizeof kept && tls_without_h2(list, length, kept, &kept_length)) {
        return TLS_REAL(library, SSL_CTX_set_alpn_protos)(context, kept, (unsigned)kept_length);
    }
    return TLS_REAL(library, SSL_CTX_set_alpn_protos)(context, list, length);
}

EXPORT void SSL_CTX_set_cert_verify_callback(void *context, int (*callback)(void *, void *), void *argument)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_CTX_set_cert_verify_callback, NULL, CALLER);
    struct choices *choices = library && library->complete && context ? choices_of(library, NULL, context) : NULL;
    if (choices) {
        choices->verifier = callback;
        choices->argument = argument;
    } else if (library && callback && context) {
        library->complete = false; /* there is no memory; nobody would know of it */
    }
    if (library) {
        TLS_REAL(library, SSL_CTX_set_cert_verify_callback)(context, callback, argument);
    }
}

EXPORT int i2d_X509(const void *certificate, unsigned char **octets)
{
    const void *caller = CALLER;
    struct tls_library *library = library_of(TLS_CALL_i2d_X509, NULL, caller);
    if (!library) {
        return -1;
    }
    note_examined(library, certificate, caller);
    return TLS_REAL(library, i2d_X509)(certificate, octets);
}

EXPORT int i2d_X509_PUBKEY(const void *key, unsigned char **octets)
{
    const void *caller = CALLER;
    struct tls_library *library = library_of(TLS_CALL_i2d_X509_PUBKEY, NULL, caller);
    if (!library) {
        return -1;
    }
    note_examined(library, key, caller);
    return TLS_REAL(library, i2d_X509_PUBKEY)(key, octets);
}

EXPORT int X509_cmp(const void *a, const void *b)
{
    const void *caller = CALLER;
    struct tls_library *library = library_of(TLS_CALL_X509_cmp, NULL, caller);
    if (!library) {
        return -1;
    }
    note_examined(library, a, caller);
    note_examined(library, b, caller);
    return TLS_REAL(library, X509_cmp)(a, b);
}

EXPORT int X509_digest(const void *certificate, const void *type, unsigned char *digest, unsigned *length)
{
    const void *caller = CALLER;
    struct tls_library *library = library_of(TLS_CALL_X509_digest, NULL, caller);
    if (!library) {
        return 0;
    }
    note_examined(library, certificate, caller);
    return TLS_REAL(library, X509_digest)(certificate, type, digest, length);
}

EXPORT int X509_pubkey_digest(const void *certificate, const void *type, unsigned char *digest, unsigned *length)
{
    const void *caller = CALLER;
    struct tls_library *library = library_of(TLS_CALL_X509_pubkey_digest, NULL, caller);
    if (!library) {
        return 0;
    }
    note_examined(library, certificate, caller);
    return TLS_REAL(library, X509_pubkey_digest)(certificate, type, digest, length);
}
