/* gnutls.c: GnuTLS's sessions (libgnutls.so.30): its hooks, and how a twin of one is made; see tls.h. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/calls.h"
#include "process/settings.h"
#include "framing/hello.h"
#include "tls/clear.h"
#include "tls/tls.h"
#include "tls/twin.h"

/* gnutls.h */
#define GNUTLS_CLIENT (1 << 1)
#define GNUTLS_DATAGRAM (1 << 2)
#define GNUTLS_CRD_CERTIFICATE 1
#define GNUTLS_NAME_DNS 1
#define GNUTLS_SFLAGS_SESSION_TICKET (1 << 7)
#define GNUTLS_TLS1_3 5
#define GNUTLS_HANDSHAKE_CERTIFICATE_REQUEST 13
#define GNUTLS_HOOK_PRE 0
#define GNUTLS_KEYID_USE_SHA256 1
#define GNUTLS_E_AGAIN (-28)
#define GNUTLS_E_INTERRUPTED (-52)
#define GNUTLS_E_PULL_ERROR (-54)
#define GNUTLS_E_USER_ERROR (-67)
#define GNUTLS_E_INTERNAL_ERROR (-59)

typedef struct {
    unsigned char *data;
    unsigned size;
} gnutls_datum;

typedef int (*handshake_hook)(void *session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum *message);

#define FUNCTIONS(F, MARK)                                                                         \
    F(const char *, gnutls_check_version, (const char *required))                                  \
    F(const char *, gnutls_strerror, (int error))                                                  \
    F(int, gnutls_error_is_fatal, (int error))                                                     \
    F(int, gnutls_credentials_get, (void *session, int type, void **credentials))                  \
    F(int, gnutls_credentials_set, (void *session, int type, void *credentials))                   \
    F(void, gnutls_transport_set_int2, (void *session, int receive, int send))                     \
    F(void, gnutls_transport_get_ptr2, (void *session, void **receive, void **send))               \
    F(void, gnutls_transport_set_ptr2, (void *session, void *receive, void *send))                 \
    F(unsigned, gnutls_session_get_flags, (void *session))                                         \
    F(int, gnutls_session_set_data, (void *session, const void *data, size_t length))              \
    F(int, gnutls_session_is_resumed, (void *session))                                             \
    F(int, gnutls_protocol_get_version, (void *session))                                           \
    F(const char *, gnutls_protocol_get_name, (int version))                                       \
    F(int, gnutls_alpn_get_selected_protocol, (void *session, gnutls_datum *protocol))             \
    F(const gnutls_datum *, gnutls_certificate_get_peers, (void *session, unsigned *count))        \
    F(int, gnutls_certificate_verify_peers3, (void *session, const char *name, unsigned *status))  \
    F(int, gnutls_certificate_get_issuer, (void *credentials, void *certificate, void **issuer, unsigned flags)) \
    F(int, gnutls_x509_crt_init, (void **certificate))                                             \
    F(void, gnutls_x509_crt_deinit, (void *certificate))                                           \
    F(int, gnutls_x509_crt_import, (void *certificate, const gnutls_datum *octets, int format))    \
    F(int, gnutls_x509_crt_export2, (void *certificate, int format, gnutls_datum *octets))         \
    F(int, gnutls_x509_crt_get_raw_dn, (void *certificate, gnutls_datum *name))                    \
    F(int, gnutls_x509_crt_get_extension_by_oid2, (void *certificate, const char *oid, unsigned index, gnutls_datum *octets, unsigned *critical)) \
    F(time_t, gnutls_x509_crt_get_activation_time, (void *certificate))                            \
    F(time_t, gnutls_x509_crt_get_expiration_time, (void *certificate))                            \
    F(unsigned, gnutls_x509_crt_check_hostname, (void *certificate, const char *name))             \
    F(int, gnutls_x509_crt_verify, (void *certificate, void **list, int count, unsigned flags, unsigned *status)) \
    F(unsigned, gnutls_certificate_client_get_request_status, (void *session))                     \
    F(void, gnutls_handshake_set_hook_function, (void *session, unsigned type, int when, handshake_hook hook)) \
    F(void, gnutls_session_get_random, (void *session, gnutls_datum *client, gnutls_datum *server)) \
    F(int, gnutls_global_init, (void))                                                             \
    MARK                                                                                           \
    F(void, gnutls_memset, (void *data, int value, size_t size))

#include "functions.h"

/* Functions of the program's by which a session sends and receives, NULL where they are the library's own; and what they are told. */
struct transport {
    ssize_t (*push)(void *pointer, const void *octets, size_t length);
    ssize_t (*push_vector)(void *pointer, const struct iovec *vector, int count);
    ssize_t (*pull)(void *pointer, void *octets, size_t length);
    int (*pull_timeout)(void *pointer, unsigned ms);
    int error;    /* what the last of these calls has failed with, 0: it has not said so */
    bool between; /* octets of the connection before may still lie between the socket and the library */
};

/* What the program has set on a session, for which the library has no getters. */
struct notes {
    unsigned flags;
    void *priority;    /* the library holds a reference as long as the session lives */
    char *priorities;
    bool default_priority;
    bool own_verification;      /* by `verifier`, or by what cannot be used for another session */
    int (*verifier)(void *session);
    char name[256];
    char verified_name[256]; /* the library verifies for this one, "" if that has not been asked for */
    struct transport transport;
};

struct snapshot {
    void *credentials; /* the program may free them only after the session */
    int version;
    bool alpn, asked_for_certificate;
    bool unaskable; /* the program has a function that judges servers, which counts on its handshake */
    gnutls_datum refused; /* the certificate that the program's function has refused last: it is not asked again */
    gnutls_datum leaf, issuer, ticket; /* issuer: as the old server has sent it, empty if it has not */
};

/* Credentials with a verification function of the program's: it is not called for a twin. */
#define VERIFIERS 64
static struct {
    _Atomic(void *) credentials;
    _Atomic(void *) function;
} verifiers[VERIFIERS];
static _Atomic bool more_verifiers; /* there was no room for all */

/* The program has taken the octets or a digest of a key or certificate: it may compare them with a pin. */
enum { PINS_KEY = 1, PINS_CERTIFICATE = 2 };
static _Atomic uint32_t pins;

static void *verifier_of(void *credentials)
{
    for (int i = 0; i < VERIFIERS; i++) {
        if (credentials && atomic_load(&verifiers[i].credentials) == credentials) {
            return atomic_load(&verifiers[i].function);
        }
    }
    return NULL;
}

static bool has_verifier(void *credentials)
{
    return atomic_load(&more_verifiers) || verifier_of(credentials);
}

/* Stands in for the program's verification functions: a twin is judged when its handshake is over. */
static int leave_to_judge(void *session)
{
    (void)session;
    return 0;
}

static void loaded(struct tls_library *library)
{
    snprintf(library->name, sizeof library->name, "GnuTLS %s", F(library, gnutls_check_version)(NULL));
    library->complete = true;
}

static void begun(struct tls *t)
{
    t->noted = calloc(1, sizeof(struct notes));
}

static void describe_handle(struct tls_library *library, void *handle, struct tls_facts *facts)
{
    gnutls_datum alpn = { NULL, 0 };
    facts->version = F(library, gnutls_protocol_get_name)(F(library, gnutls_protocol_get_version)(handle));
    if (!facts->version) {
        facts->version = "";
    }
    if (!F(library, gnutls_alpn_get_selected_protocol)(handle, &alpn) && alpn.data) {
        snprintf(facts->alpn, sizeof facts->alpn, "%.*s", (int)alpn.size, (const char *)alpn.data);
    }
}

static void describe(struct tls *t, struct tls_facts *facts)
{
    struct notes *notes = t->noted;
    if (t->library->complete) {
        describe_handle(t->library, t->handle, facts);
    }
    snprintf(facts->name, sizeof facts->name, "%s", notes ? notes->name : "");
}

static void version_of(struct twin *w, struct tls_facts *facts)
{
    describe_handle(w->library, w->handle, facts);
}

static bool copy(gnutls_datum *to, const gnutls_datum *from)
{
    to->data = malloc(from->size ? from->size : 1);
    if (to->data) {
        memcpy(to->data, from->data, from->size);
        to->size = from->size;
    }
    return to->data != NULL;
}

static void release(struct tls *t)
{
    struct snapshot *p = t->captured;
    struct notes *notes = t->noted;
    if (p) {
        free(p->leaf.data);
        free(p->issuer.data);
        free(p->refused.data);
        if (p->ticket.data) {
            explicit_bzero(p->ticket.data, p->ticket.size);
            free(p->ticket.data);
        }
        free(p);
    }
    if (notes) {
        free(notes->priorities);
        free(notes);
    }
    t->captured = t->noted = NULL;
}

/* Before a ticket has come, TLS 1.3 has none to give and waits for it; after a fatal error there is none any more. */
static void refresh(struct tls *t)
{
    struct tls_library *library = t->library;
    struct snapshot *p = t->captured;
    const struct twin *live = atomic_load(&t->live);
    if (!p || p->ticket.data || (live && *live->name)) { /* by another name's ticket, nobody shows that he is the old server */
        return;
    }
    if (p->version >= GNUTLS_TLS1_3 && !(F(library, gnutls_session_get_flags)(t->last) & GNUTLS_SFLAGS_SESSION_TICKET)) {
        return;
    }
    gnutls_datum ticket = { NULL, 0 };
    if (!TLS_REAL(library, gnutls_session_get_data2)(t->last, &ticket) && ticket.data) {
        gnutls_datum own = { NULL, 0 };
        bool copied = copy(&own, &ticket);
        explicit_bzero(ticket.data, ticket.size);
        free(ticket.data); /* gnutls_free is free */
        if (copied) {
            pthread_mutex_lock(&tls_mutex);
            p->ticket = own;
            pthread_mutex_unlock(&tls_mutex);
        }
    }
}

static void capture(struct tls *t)
{
    struct tls_library *library = t->library;
    struct notes *notes = t->noted;
    struct snapshot *p = library->complete && notes && notes->flags & GNUTLS_CLIENT ? calloc(1, sizeof *p) : NULL;
    unsigned count = 0;
    if (!p) {
        return;
    }
    const gnutls_datum *peers = F(library, gnutls_certificate_get_peers)(t->handle, &count);
    if (!peers || !count || F(library, gnutls_credentials_get)(t->handle, GNUTLS_CRD_CERTIFICATE, &p->credentials)
        || !copy(&p->leaf, peers)) {
        free(p);
        return;
    }
    if (count > 1 && !copy(&p->issuer, &peers[1])) {
        p->issuer.data = NULL;
    }
    /* Above a transport of its own there is a machine of the program's: glib-networking's aborts where it is asked at any other time. */
    bool verifies = notes->own_verification || has_verifier(p->credentials);
    p->unaskable = verifies && notes->transport.pull;
    t->judges = verifies && !p->unaskable;
    p->version = F(library, gnutls_protocol_get_version)(t->handle);
    gnutls_datum alpn = { NULL, 0 };
    p->alpn = !F(library, gnutls_alpn_get_selected_protocol)(t->handle, &alpn) && alpn.data;
    p->asked_for_certificate = F(library, gnutls_certificate_client_get_request_status)(t->handle);
    t->captured = p;
}

static enum tls_outcome outcome_of(struct tls_library *library, ssize_t result)
{
    if (result > 0) {
        return TLS_DATA;
    }
    return !result ? TLS_END : library->complete && F(library, gnutls_error_is_fatal)((int)result) ? TLS_BAD : TLS_AGAIN;
}

static void say(struct tls_data *data, bool writing)
{
    (void)writing;
    int again = errno == EINTR ? GNUTLS_E_INTERRUPTED : GNUTLS_E_AGAIN;
    data->raw = data->outcome == TLS_DATA ? (ssize_t)data->done
        : data->outcome == TLS_END ? 0 : data->outcome == TLS_AGAIN ? again : GNUTLS_E_PULL_ERROR;
}

static size_t pending(struct tls_library *library, void *handle)
{
    return TLS_REAL(library, gnutls_record_check_pending)(handle);
}

static enum tls_outcome twin_read(struct tls_library *library, void *handle, void *buffer, size_t length, size_t *done)
{
    ssize_t n = TLS_REAL(library, gnutls_record_recv)(handle, buffer, length);
    *done = n > 0 ? (size_t)n : 0;
    return outcome_of(library, n);
}

static enum tls_outcome twin_write(struct tls_library *library, void *handle, const void *octets, size_t length, size_t *done)
{
    ssize_t n = TLS_REAL(library, gnutls_record_send)(handle, octets, length);
    *done = n > 0 ? (size_t)n : 0;
    return outcome_of(library, n);
}

/* The credentials hold the client's certificate: it goes to nobody who is not known to have had it. */
static int refuse_request(void *session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum *message)
{
    (void)session, (void)type, (void)when, (void)message;
    return incoming ? GNUTLS_E_USER_ERROR : 0;
}

static enum ms_needs needs(const struct tls *t);

static enum ms_why make(struct twin *w, struct tls *t)
{
    struct tls_library *library = t->library;
    struct snapshot *p = t->captured;
    struct notes *notes = t->noted;
    bool other = *w->name; /* who gets no word of what the program and its own server have agreed */
    const char *name = other ? w->name : notes->name;
    if (other && (needs(t) != MS_NEEDS_NAME || (*notes->verified_name && strcmp(notes->verified_name, notes->name)))) {
        return MS_WHY_TWIN_OTHER_NAME;
    }
    if (TLS_REAL(library, gnutls_init)(&w->handle, notes->flags)) {
        w->handle = NULL;
        return MS_WHY_GNUTLS_SESSION;
    }
    int error;
    if (notes->priorities) {
        error = TLS_REAL(library, gnutls_priority_set_direct)(w->handle, notes->priorities, NULL);
    } else if (notes->priority || !notes->default_priority) {
        error = TLS_REAL(library, gnutls_priority_set)(w->handle, notes->priority);
    } else {
        error = TLS_REAL(library, gnutls_set_default_priority)(w->handle);
    }
    if (!error && *name) {
        error = TLS_REAL(library, gnutls_server_name_set)(w->handle, GNUTLS_NAME_DNS, name, strlen(name));
    }
    if (!error && p->alpn) {
        gnutls_datum http1 = { (unsigned char *)"http/1.1", 8 };
        error = TLS_REAL(library, gnutls_alpn_set_protocols)(w->handle, &http1, 1, 0);
    }
    if (!error) {
        error = F(library, gnutls_credentials_set)(w->handle, GNUTLS_CRD_CERTIFICATE, p->credentials);
    }
    if (error) {
        return MS_WHY_GNUTLS_SETTINGS;
    }
    TLS_REAL(library, gnutls_session_set_verify_function)(w->handle, leave_to_judge); /* before that of the credentials */
    if (!p->asked_for_certificate || other) {
        F(library, gnutls_handshake_set_hook_function)(w->handle, GNUTLS_HANDSHAKE_CERTIFICATE_REQUEST, GNUTLS_HOOK_PRE, refuse_request);
    }
    if (p->ticket.data && !other) {
        F(library, gnutls_session_set_data)(w->handle, p->ticket.data, p->ticket.size);
    }
    F(library, gnutls_transport_set_int2)(w->handle, w->fd, w->fd);
    return MS_WHY_NONE;
}

static enum tls_outcome handshake(struct twin *w, bool *wants_write)
{
    int result = TLS_REAL(w->library, gnutls_handshake)(w->handle);
    *wants_write = TLS_REAL(w->library, gnutls_record_get_direction)(w->handle) == 1;
    if (!result) {
        return TLS_DATA;
    }
    if (!F(w->library, gnutls_error_is_fatal)(result)) {
        return TLS_AGAIN;
    }
    w->failure = result == GNUTLS_E_USER_ERROR ? MS_WHY_HANDSHAKE_ASKS : MS_WHY_HANDSHAKE_FOR;
    snprintf(w->detail, sizeof w->detail, "%s", F(w->library, gnutls_strerror)(result));
    return TLS_BAD;
}

static void *import(struct tls_library *library, const gnutls_datum *octets)
{
    void *certificate = NULL;
    if (!octets->data || F(library, gnutls_x509_crt_init)(&certificate)) {
        return NULL;
    }
    if (F(library, gnutls_x509_crt_import)(certificate, octets, 0)) {
        F(library, gnutls_x509_crt_deinit)(certificate);
        return NULL;
    }
    return certificate;
}

static bool has_same_key(struct tls_library *library, void **leaves)
{
    unsigned char id[2][64];
    size_t length[2] = { sizeof id[0], sizeof id[1] };
    for (int i = 0; i < 2; i++) {
        if (TLS_REAL(library, gnutls_x509_crt_get_key_id)(leaves[i], GNUTLS_KEYID_USE_SHA256, id[i], &length[i])) {
            return false;
        }
    }
    return length[0] == length[1] && !memcmp(id[0], id[1], length[0]);
}

static bool is_equal(const gnutls_datum *a, const gnutls_datum *b)
{
    return a->data && b->data && a->size == b->size && !memcmp(a->data, b->data, a->size);
}

static bool has_same_names(struct tls_library *library, void **leaves)
{
    gnutls_datum name[2] = { { NULL, 0 }, { NULL, 0 } }, others[2] = { { NULL, 0 }, { NULL, 0 } };
    bool there = true;
    for (int i = 0; i < 2; i++) {
        unsigned critical;
        there = there && !F(library, gnutls_x509_crt_get_raw_dn)(leaves[i], &name[i])
            && !F(library, gnutls_x509_crt_get_extension_by_oid2)(leaves[i], "2.5.29.17", 0, &others[i], &critical);
    }
    bool same = there && is_equal(&name[0], &name[1]) && is_equal(&others[0], &others[1]);
    for (int i = 0; i < 2; i++) {
        free(name[i].data); /* gnutls_free is free */
        free(others[i].data);
    }
    return same;
}

/* The certificate that this one was issued by: the one that was sent with it, else one of those that the program trusts. */
static void *issuer_of(struct tls_library *library, void *credentials, void *leaf, const gnutls_datum *sent)
{
    void *trusted = NULL, *found = NULL;
    gnutls_datum octets = { NULL, 0 };
    if (sent->data) {
        return import(library, sent);
    }
    if (!F(library, gnutls_certificate_get_issuer)(credentials, leaf, &trusted, 0) && !F(library, gnutls_x509_crt_export2)(trusted, 0, &octets)) {
        found = import(library, &octets);
    }
    free(octets.data);
    return found;
}

/* Both were issued by the very same certificate, whatever that itself is worth. */
static bool has_same_issuer(struct tls_library *library, const struct snapshot *p, void **leaves, const gnutls_datum *sent)
{
    void *issuers[2] = { issuer_of(library, p->credentials, leaves[0], &p->issuer), issuer_of(library, p->credentials, leaves[1], sent) };
    gnutls_datum octets[2] = { { NULL, 0 }, { NULL, 0 } };
    bool same = true;
    for (int i = 0; i < 2; i++) {
        unsigned status = 0;
        same = same && issuers[i] && !F(library, gnutls_x509_crt_export2)(issuers[i], 0, &octets[i])
            && !F(library, gnutls_x509_crt_verify)(leaves[i], &issuers[i], 1, 0, &status) && !status;
    }
    same = same && is_equal(&octets[0], &octets[1]);
    for (int i = 0; i < 2; i++) {
        free(octets[i].data);
        if (issuers[i]) {
            F(library, gnutls_x509_crt_deinit)(issuers[i]);
        }
    }
    return same;
}

/* What speaks for a certificate by the library's own measure. */
enum { VERIFIES = 1, IS_FOR_NAME = 2, IS_CURRENT = 4 };

static unsigned merits(struct tls_library *library, void *session, void *leaf, const char *name)
{
    time_t now = time(NULL);
    unsigned status = 0;
    bool current = F(library, gnutls_x509_crt_get_activation_time)(leaf) <= now && F(library, gnutls_x509_crt_get_expiration_time)(leaf) > now;
    bool verifies = !F(library, gnutls_certificate_verify_peers3)(session, *name ? name : NULL, &status) && !status;
    return (verifies ? VERIFIES : 0) | (current ? IS_CURRENT : 0)
        | (*name && F(library, gnutls_x509_crt_check_hostname)(leaf, name) ? IS_FOR_NAME : 0);
}

/* Why the second of two certificates will not do for the first, or MS_WHY_NONE. `sent`: the one that was sent after the second. */
static enum ms_why compare(struct twin *w, void **leaves, const gnutls_datum *sent, const char **how)
{
    struct tls_library *library = w->library;
    struct snapshot *p = w->session->captured;
    struct notes *notes = w->session->noted;
    uint32_t pinned = atomic_load(&pins);
    bool same_key = has_same_key(library, leaves);
    if (pinned & PINS_CERTIFICATE || (pinned && !same_key)) {
        return MS_WHY_CERT_EXAMINED;
    }
    unsigned had = merits(library, w->session->handle, leaves[0], notes->name), has = merits(library, w->handle, leaves[1], notes->name);
    unsigned lacks = had & ~has;
    if (lacks & (VERIFIES | IS_FOR_NAME)) {
        snprintf(w->detail, sizeof w->detail, "%s", notes->name);
        return MS_WHY_CERT_FOR;
    }
    if (lacks) {
        return MS_WHY_CERT_EXPIRED;
    }
    bool other_name = *notes->verified_name && strcmp(notes->verified_name, notes->name);
    if (same_key) {
        *how = "same key";
    } else if (p->unaskable) {
        return MS_WHY_CERT_JUDGED_EARLY;
    } else if (had & VERIFIES && had & IS_FOR_NAME && !other_name) {
        *how = "verified";
    } else if (tls_goes_by_issuer() && has & IS_CURRENT && has_same_names(library, leaves) && has_same_issuer(library, p, leaves, sent)) {
        *how = "same issuer";
    } else {
        return w->session->judges || other_name ? MS_WHY_CERT_JUDGED : MS_WHY_CERT_OLD_UNVERIFIED;
    }
    return MS_WHY_NONE;
}

/* Why the certificate of a server of another name is none that the program's own verification would take for that, or MS_WHY_NONE. */
static enum ms_why judge_other(struct twin *w, const gnutls_datum *sent, const char **how)
{
    struct tls_library *library = w->library;
    void *leaf = import(library, sent);
    if (!leaf) {
        return MS_WHY_CERT_NOT_READ;
    }
    unsigned has = merits(library, w->handle, leaf, w->name);
    F(library, gnutls_x509_crt_deinit)(leaf);
    if (~has & (VERIFIES | IS_FOR_NAME)) {
        snprintf(w->detail, sizeof w->detail, "%.200s", w->name);
        return MS_WHY_CERT_FOR;
    }
    *how = "verified for its own name";
    return has & IS_CURRENT ? MS_WHY_NONE : MS_WHY_CERT_EXPIRED;
}

static enum ms_why judge(struct twin *w, const char **how)
{
    struct tls_library *library = w->library;
    struct snapshot *p = w->session->captured;
    unsigned count = 0;
    if (F(library, gnutls_protocol_get_version)(w->handle) < p->version) {
        return MS_WHY_OLDER_TLS;
    }
    if (!*w->name && F(library, gnutls_session_is_resumed)(w->handle)) {
        *how = "resumed";
        return MS_WHY_NONE;
    }
    const gnutls_datum *peers = F(library, gnutls_certificate_get_peers)(w->handle, &count);
    if (!peers || !count) {
        return MS_WHY_NO_CERT;
    }
    if (*w->name) {
        return judge_other(w, peers, how);
    }
    if (peers->size == p->leaf.size && !memcmp(peers->data, p->leaf.data, p->leaf.size)) {
        *how = "same certificate";
        return MS_WHY_NONE;
    }
    void *leaves[2] = { import(library, &p->leaf), import(library, peers) };
    const gnutls_datum none = { NULL, 0 };
    enum ms_why why = leaves[0] && leaves[1] ? compare(w, leaves, count > 1 ? &peers[1] : &none, how) : MS_WHY_CERT_NOT_READ;
    for (int i = 0; i < 2; i++) {
        if (leaves[i]) {
            F(library, gnutls_x509_crt_deinit)(leaves[i]);
        }
    }
    w->asks = !why && w->session->judges;
    return w->asks && is_equal(peers, &p->refused) ? MS_WHY_CERT_REFUSED : why;
}

/* What a function of the program's asks of its own session is answered for the twin that it judges. */
static _Thread_local struct {
    void *session, *twin;
    const void *frame; /* of the call that has it judge: it may be left by siglongjmp */
} shown;

static void *shown_for(void *session)
{
    if (shown.frame && (uintptr_t)shown.frame < (uintptr_t)__builtin_frame_address(0)) {
        shown.frame = NULL;
    }
    return shown.frame && shown.session == session ? shown.twin : session;
}

static bool ask(struct tls *t, struct twin *w)
{
    const struct notes *notes = t->noted;
    struct snapshot *p = t->captured;
    int (*function)(void *) = notes->verifier ? notes->verifier : (int (*)(void *))verifier_of(p->credentials);
    if (!function) {
        return false;
    }
    shown.session = t->handle;
    shown.twin = w->handle;
    shown.frame = __builtin_frame_address(0);
    bool good = !function(t->handle);
    shown.frame = NULL;
    if (tls_find(t->handle) != t) {
        return false;
    }
    unsigned count = 0;
    const gnutls_datum *peers = F(t->library, gnutls_certificate_get_peers)(w->handle, &count);
    if (!good && peers && count) {
        pthread_mutex_lock(&tls_mutex);
        free(p->refused.data);
        p->refused.data = NULL;
        copy(&p->refused, peers);
        pthread_mutex_unlock(&tls_mutex);
    }
    return good;
}

static enum ms_needs needs(const struct tls *t)
{
    struct notes *notes = t->noted;
    unsigned status = 0;
    if (atomic_load(&pins)) {
        return atomic_load(&pins) & PINS_CERTIFICATE ? MS_NEEDS_CERT_EXAMINED : MS_NEEDS_KEY_EXAMINED;
    }
    if (((struct snapshot *)t->captured)->unaskable) {
        return MS_NEEDS_KEY_JUDGED;
    }
    if (*notes->name && !F(t->library, gnutls_certificate_verify_peers3)(t->handle, notes->name, &status) && !status) {
        return t->judges ? MS_NEEDS_JUDGEMENT : MS_NEEDS_NAME;
    }
    return MS_NEEDS_KEY_UNVERIFIED;
}

/*
 * The twin that is the program's session now receives and sends as that did: a program may go by what its own functions have
 * met, as glib-networking does, to which "try again" means that at once unless its function has found nothing.
 */
static struct transport *transport_of(const struct twin *w)
{
    return &((struct notes *)w->session->noted)->transport;
}

static void *pointer_of(const struct twin *w, bool sends)
{
    void *receive, *send;
    F(w->library, gnutls_transport_get_ptr2)(w->session->handle, &receive, &send);
    return sends ? send : receive;
}

/* Such a function has failed, and has told that of the session that the program knows. */
static void pass_error(const struct twin *w)
{
    int error = transport_of(w)->error;
    TLS_REAL(w->library, gnutls_transport_set_errno)(w->handle, error ? error : errno);
}

static ssize_t push(void *twin, const void *octets, size_t length)
{
    struct twin *w = twin;
    struct transport *transport = transport_of(w);
    struct iovec whole = { (void *)octets, length };
    transport->error = 0;
    ssize_t n = transport->push ? transport->push(pointer_of(w, true), octets, length)
                                : transport->push_vector(pointer_of(w, true), &whole, 1);
    if (n < 0) {
        pass_error(w);
    }
    return n;
}

/* Where the program's function reads ahead, what is not fresh from the socket at first is of the connection before. */
static ssize_t pull(void *twin, void *octets, size_t length)
{
    struct twin *w = twin;
    struct transport *transport = transport_of(w);
    for (;;) {
        struct stream *s = tls_stream(w->session);
        uint64_t seen = s ? s->present.seen : 0;
        transport->error = 0;
        ssize_t n = transport->pull(pointer_of(w, false), octets, length);
        if (n < 0) {
            pass_error(w);
        }
        if (n <= 0 || !s || !transport->between) {
            return n;
        }
        uint64_t fresh = s->present.seen - seen;
        transport->between = !fresh;
        size_t old = (uint64_t)n > fresh ? (size_t)n - (size_t)fresh : 0;
        if (old < (size_t)n) {
            memmove(octets, (char *)octets + old, (size_t)n - old);
            return n - (ssize_t)old;
        }
    }
}

static int pull_timeout(void *twin, unsigned ms)
{
    struct twin *w = twin;
    struct transport *transport = transport_of(w);
    struct stream *s = tls_stream(w->session);
    struct pollfd readable = { .fd = s ? s->fd : -1, .events = POLLIN };
    return transport->pull_timeout ? transport->pull_timeout(pointer_of(w, false), ms) : REAL(poll)(&readable, 1, (int)ms);
}

static void attach(struct twin *w, int fd)
{
    struct tls_library *library = w->library;
    struct transport *transport = w->fd < 0 ? transport_of(w) : NULL; /* before, it has a socket of its own */
    bool pulls = transport && transport->pull, pushes = transport && (transport->push || transport->push_vector);
    void *own = (void *)(intptr_t)fd;
    F(library, gnutls_transport_set_ptr2)(w->handle, pulls ? w : own, pushes ? w : own);
    if (pulls) {
        transport->between = true;
        TLS_REAL(library, gnutls_transport_set_pull_function)(w->handle, pull);
        TLS_REAL(library, gnutls_transport_set_pull_timeout_function)(w->handle, pull_timeout);
    }
    if (pushes) {
        TLS_REAL(library, gnutls_transport_set_push_function)(w->handle, push);
    }
}

static void destroy(struct twin *w)
{
    if (w->handle) {
        TLS_REAL(w->library, gnutls_deinit)(w->handle);
        w->handle = NULL;
    }
}

/* Only the sessions of clients are known. */
static bool hello(struct tls_library *library, void *session, uint8_t *random)
{
    gnutls_datum client = { NULL, 0 };
    if (!tls_find(session)) {
        return false;
    }
    F(library, gnutls_session_get_random)(session, &client, NULL);
    if (!client.data || client.size != HELLO_RANDOM) {
        return false;
    }
    memcpy(random, client.data, HELLO_RANDOM);
    return true;
}

static const char *const files[] = { "libgnutls", NULL };

static const char *const prefixes[] = { "gnutls_", NULL };

/* A function of the program's own that receives may wait by itself, and its callers rely on that. */
static bool clear(const struct tls *t)
{
    const struct notes *notes = t->noted;
    return notes && !notes->transport.pull;
}

const struct tls_kind tls_gnutls = {
    KIND_IN_COMMON,
    .clear = clear,
    .files = files,
    .prefixes = prefixes,
};

/* The hooks. */

static struct tls_library *library_of(enum tls_call call, const struct tls *t, const void *caller)
{
    return t ? t->library : tls_library_of(call, &tls_gnutls, caller);
}

/* `t` and `library` for a hook, or the hook's result where there is no library. */
#define LOOK_UP(name, session, missing)                                   \
    const void *caller = CALLER;                                          \
    struct tls *t = tls_find(session);                                    \
    struct tls_library *library = library_of(TLS_CALL_##name, t, caller); \
    if (!library) {                                                       \
        return missing;                                                   \
    }

static struct notes *notes_of(struct tls *t)
{
    return t && !tls_is_at_work() ? t->noted : NULL;
}

EXPORT int gnutls_init(void **session, unsigned flags)
{
    LOOK_UP(gnutls_init, NULL, GNUTLS_E_INTERNAL_ERROR)
    int result = TLS_REAL(library, gnutls_init)(session, flags);
    if (!result && flags & GNUTLS_CLIENT && !(flags & GNUTLS_DATAGRAM) && !tls_is_at_work() && (t = tls_get(library, *session)) && t->noted) {
        ((struct notes *)t->noted)->flags = flags;
    }
    return result;
}

EXPORT void gnutls_deinit(void *session)
{
    LOOK_UP(gnutls_deinit, session, )
    if (t) {
        tls_gone(t);
    }
    TLS_REAL(library, gnutls_deinit)(session);
}

EXPORT int gnutls_priority_set(void *session, void *priority)
{
    LOOK_UP(gnutls_priority_set, session, GNUTLS_E_INTERNAL_ERROR)
    int result = TLS_REAL(library, gnutls_priority_set)(session, priority);
    struct notes *notes = notes_of(t);
    if (!result && notes) {
        free(notes->priorities);
        notes->priorities = NULL;
        notes->priority = priority;
        notes->default_priority = false;
    }
    return result;
}

EXPORT int gnutls_priority_set_direct(void *session, const char *priorities, const char **error_position)
{
    LOOK_UP(gnutls_priority_set_direct, session, GNUTLS_E_INTERNAL_ERROR)
    int result = TLS_REAL(library, gnutls_priority_set_direct)(session, priorities, error_position);
    struct notes *notes = notes_of(t);
    if (!result && notes) {
        free(notes->priorities);
        notes->priorities = priorities ? strdup(priorities) : NULL;
        notes->priority = NULL;
        notes->default_priority = !notes->priorities;
    }
    return result;
}

EXPORT int gnutls_set_default_priority(void *session)
{
    LOOK_UP(gnutls_set_default_priority, session, GNUTLS_E_INTERNAL_ERROR)
    int result = TLS_REAL(library, gnutls_set_default_priority)(session);
    struct notes *notes = notes_of(t);
    if (!result && notes) {
        free(notes->priorities);
        notes->priorities = NULL;
        notes->priority = NULL;
        notes->default_priority = true;
    }
    return result;
}

EXPORT int gnutls_server_name_set(void *session, int type, const void *name, size_t length)
{
    LOOK_UP(gnutls_server_name_set, session, GNUTLS_E_INTERNAL_ERROR)
    int result = TLS_REAL(library, gnutls_server_name_set)(session, type, name, length);
    struct notes *notes = notes_of(t);
    if (!result && notes && type == GNUTLS_NAME_DNS && length < sizeof notes->name) {
        snprintf(notes->name, sizeof notes->name, "%.*s", (int)length, (const char *)name);
    }
    return result;
}

/* The library takes no more. */
#define PROTOCOLS 8

/* A client's offer. A server's is a choice that its client has to agree with. */
EXPORT int gnutls_alpn_set_protocols(void *session, const void *protocols, unsigned count, unsigned flags)
{
    LOOK_UP(gnutls_alpn_set_protocols, session, GNUTLS_E_INTERNAL_ERROR)
    const gnutls_datum *list = protocols;
    gnutls_datum kept[PROTOCOLS];
    unsigned n = 0;
    bool has_h2 = false, has_http1 = false;
    for (unsigned i = 0; notes_of(t) && i < count && count <= PROTOCOLS; i++) {
        if (list[i].size == 2 && !memcmp(list[i].data, "h2", 2)) {
            has_h2 = true;
            continue;
        }
        has_http1 = has_http1 || (list[i].size == 8 && !memcmp(list[i].data, "http/1.1", 8));
        kept[n++] = list[i];
    }
    if (has_h2 && has_http1 && !settings_keep_http2()) {
        return TLS_REAL(library, gnutls_alpn_set_protocols)(session, kept, n, flags);
    }
    return TLS_REAL(library, gnutls_alpn_set_protocols)(session, protocols, count, flags);
}

EXPORT int gnutls_handshake(void *session)
{
    LOOK_UP(gnutls_handshake, session, GNUTLS_E_INTERNAL_ERROR)
    if (tls_is_nested(session, t, caller)) {
        return TLS_REAL(library, gnutls_handshake)(session);
    }
    if (t && t->captured) {
        /* The server has asked for another (GNUTLS_E_REHANDSHAKE). */
        struct tls_present present;
        tls_spoil(t, MS_WHY_TLS_RENEGOTIATED);
        session = tls_enter(&present, library, t, session);
        int again = TLS_REAL(library, gnutls_handshake)(session);
        tls_leave(&present);
        return again;
    }
    struct tls_frame before;
    tls_begin(&before, library, session, t);
    int result = TLS_REAL(library, gnutls_handshake)(session);
    tls_look_below(library, session, t, result);
    tls_end(&before);
    return result;
}

static enum tls_outcome carry_recv(struct tls_data *data)
{
    data->raw = TLS_REAL(data->library, gnutls_record_recv)(data->handle, data->buffer, data->length);
    data->done = data->raw > 0 ? (size_t)data->raw : 0;
    return outcome_of(data->library, data->raw);
}

static enum tls_outcome carry_send(struct tls_data *data)
{
    data->raw = TLS_REAL(data->library, gnutls_record_send)(data->handle, data->buffer, data->length);
    data->done = data->raw > 0 ? (size_t)data->raw : 0;
    return outcome_of(data->library, data->raw);
}

EXPORT ssize_t gnutls_record_recv(void *session, void *buffer, size_t length)
{
    LOOK_UP(gnutls_record_recv, session, GNUTLS_E_INTERNAL_ERROR)
    if (tls_is_nested(session, t, caller) || !length || !buffer) {
        return TLS_REAL(library, gnutls_record_recv)(session, buffer, length);
    }
    struct tls_data data = { .t = t, .library = library, .handle = session, .buffer = buffer, .length = length };
    tls_read(&data, carry_recv);
    return data.outcome == TLS_DATA ? (ssize_t)data.done : data.raw;
}

EXPORT ssize_t gnutls_record_send(void *session, const void *octets, size_t length)
{
    LOOK_UP(gnutls_record_send, session, GNUTLS_E_INTERNAL_ERROR)
    if (tls_is_nested(session, t, caller)) {
        return TLS_REAL(library, gnutls_record_send)(session, octets, length);
    }
    /* A call with nothing repeats one that was put off (gnutls_record_send(3)): the octets are not seen again. */
    if (!octets || !length) {
        tls_spoil(t, MS_WHY_TLS_REPEATS);
    }
    struct tls_data data = { .t = t, .library = library, .handle = session, .buffer = (void *)octets, .length = length };
    tls_write(&data, carry_send);
    return data.raw;
}

/* Less common ways of sending and receiving: the session goes on, but is not followed any more. */
#define NOT_FOLLOWED(result, name, parameters, arguments, why)                    \
    EXPORT result name parameters                                                 \
    {                                                                             \
        LOOK_UP(name, session, GNUTLS_E_INTERNAL_ERROR)                           \
        if (tls_is_nested(session, t, caller)) {                                  \
            return TLS_REAL(library, name) arguments;                             \
        }                                                                         \
        struct tls_present present;                                               \
        tls_spoil(t, why);                                                        \
        session = tls_enter(&present, library, t, session);                       \
        result outcome = TLS_REAL(library, name) arguments;                       \
        tls_leave(&present);                                                      \
        return outcome;                                                           \
    }

NOT_FOLLOWED(ssize_t, gnutls_record_recv_seq, (void *session, void *buffer, size_t length, unsigned char *sequence),
             (session, buffer, length, sequence), MS_WHY_TLS_NUMBERS)
NOT_FOLLOWED(ssize_t, gnutls_record_recv_packet, (void *session, void **packet), (session, packet), MS_WHY_TLS_PACKETS)
NOT_FOLLOWED(ssize_t, gnutls_record_send2, (void *session, const void *octets, size_t length, size_t pad, unsigned flags),
             (session, octets, length, pad, flags), MS_WHY_TLS_PADS)
NOT_FOLLOWED(ssize_t, gnutls_record_send_early_data, (void *session, const void *octets, size_t length),
             (session, octets, length), MS_WHY_TLS_EARLY_DATA)
NOT_FOLLOWED(ssize_t, gnutls_record_send_range, (void *session, const void *octets, size_t length, const void *range),
             (session, octets, length, range), MS_WHY_TLS_HIDES)
NOT_FOLLOWED(int, gnutls_rehandshake, (void *session), (session), MS_WHY_TLS_RENEGOTIATED)
NOT_FOLLOWED(int, gnutls_reauth, (void *session, unsigned flags), (session, flags), MS_WHY_TLS_AUTHENTICATED)

/* What is written meanwhile lies in the session: that stays the present one (swap.c). */
EXPORT void gnutls_record_cork(void *session)
{
    LOOK_UP(gnutls_record_cork, session, )
    struct tls_present present;
    void *handle = tls_enter(&present, library, t, session);
    TLS_REAL(library, gnutls_record_cork)(handle);
    if (t) {
        atomic_store(&t->corked, 1);
    }
    tls_leave(&present);
}

static int uncorked(struct tls *t, int result)
{
    if (t && result >= 0) {
        atomic_store(&t->corked, 0);
    }
    return result;
}

/* The functions by which a session sends and receives. */
#define TRANSPORT(name, type, set)                             \
    EXPORT void name(void *session, type)                      \
    {                                                          \
        LOOK_UP(name, session, )                               \
        struct notes *notes = notes_of(t);                     \
        if (notes) {                                           \
            struct transport *transport = &notes->transport;   \
            set;                                               \
        }                                                      \
        TLS_REAL(library, name)(session, function);            \
    }

TRANSPORT(gnutls_transport_set_push_function, ssize_t (*function)(void *, const void *, size_t),
          (transport->push = function, transport->push_vector = NULL))
TRANSPORT(gnutls_transport_set_vec_push_function, ssize_t (*function)(void *, const struct iovec *, int),
          (transport->push_vector = function, transport->push = NULL))
TRANSPORT(gnutls_transport_set_pull_function, ssize_t (*function)(void *, void *, size_t), transport->pull = function)
TRANSPORT(gnutls_transport_set_pull_timeout_function, int (*function)(void *, unsigned), transport->pull_timeout = function)

EXPORT void gnutls_transport_set_errno(void *session, int error)
{
    LOOK_UP(gnutls_transport_set_errno, session, )
    struct notes *notes = notes_of(t);
    if (notes) {
        notes->transport.error = error;
    }
    TLS_REAL(library, gnutls_transport_set_errno)(session, error);
}

/* Calls that ask or tell something of the connection, not of the session the program made. */
#define PRESENT(enter, result, name, parameters, missing, expression)             \
    EXPORT result name parameters                                                 \
    {                                                                             \
        LOOK_UP(name, session, missing)                                           \
        struct tls_present present;                                               \
        void *handle = enter(&present, library, t, session);                      \
        result outcome = expression;                                              \
        tls_leave(&present);                                                      \
        return outcome;                                                           \
    }
#define ON_PRESENT(...) PRESENT(tls_enter, __VA_ARGS__)

PRESENT(tls_enter_to_look, size_t, gnutls_record_check_pending, (void *session), 0,
        tls_pending(t, TLS_REAL(library, gnutls_record_check_pending)(handle)))
/* Where the octets are fed, what the library sends by itself has nowhere to go. */
#define UNLESS_FED(expression) (clear_is_fed(t) ? 0 : (expression))

static int fed_bye(struct tls *t)
{
    clear_end(t);
    return 0;
}

ON_PRESENT(int, gnutls_bye, (void *session, int how), GNUTLS_E_INTERNAL_ERROR,
           (tls_half_closed(t), clear_is_fed(t) ? fed_bye(t) : TLS_REAL(library, gnutls_bye)(handle, how)))
ON_PRESENT(int, gnutls_record_uncork, (void *session, unsigned flags), GNUTLS_E_INTERNAL_ERROR,
           uncorked(t, TLS_REAL(library, gnutls_record_uncork)(handle, flags)))
ON_PRESENT(int, gnutls_alert_get, (void *session), 0, TLS_REAL(library, gnutls_alert_get)(handle))
ON_PRESENT(int, gnutls_alert_send, (void *session, int level, int description), GNUTLS_E_INTERNAL_ERROR,
           UNLESS_FED(TLS_REAL(library, gnutls_alert_send)(handle, level, description)))
ON_PRESENT(int, gnutls_session_key_update, (void *session, unsigned flags), GNUTLS_E_INTERNAL_ERROR,
           UNLESS_FED(TLS_REAL(library, gnutls_session_key_update)(handle, flags)))

/* Over TLS 1.3 they read records, until a ticket has come. None comes where the octets are fed. */
static bool may_ask(struct tls *t, struct tls_library *library, void *handle)
{
    return !clear_is_fed(t) || F(library, gnutls_protocol_get_version)(handle) < GNUTLS_TLS1_3
        || F(library, gnutls_session_get_flags)(handle) & GNUTLS_SFLAGS_SESSION_TICKET;
}

ON_PRESENT(int, gnutls_session_get_data, (void *session, void *data, size_t *size), GNUTLS_E_INTERNAL_ERROR,
           may_ask(t, library, handle) ? TLS_REAL(library, gnutls_session_get_data)(handle, data, size) : GNUTLS_E_AGAIN)
ON_PRESENT(int, gnutls_session_get_data2, (void *session, void *data), GNUTLS_E_INTERNAL_ERROR,
           may_ask(t, library, handle) ? TLS_REAL(library, gnutls_session_get_data2)(handle, data) : GNUTLS_E_AGAIN)

EXPORT int gnutls_record_get_direction(void *session)
{
    LOOK_UP(gnutls_record_get_direction, session, 0)
    return TLS_REAL(library, gnutls_record_get_direction)(t ? t->last : session);
}

EXPORT void gnutls_session_set_verify_cert(void *session, const char *name, unsigned flags)
{
    LOOK_UP(gnutls_session_set_verify_cert, session, )
    struct notes *notes = notes_of(t);
    struct tls_frame before;
    if (notes) {
        notes->verifier = NULL;
        notes->own_verification = !name || strlen(name) >= sizeof notes->verified_name;
        snprintf(notes->verified_name, sizeof notes->verified_name, "%s", name ? name : "");
    }
    tls_begin(&before, library, session, t); /* it sets a function of the library's own */
    TLS_REAL(library, gnutls_session_set_verify_cert)(session, name, flags);
    tls_end(&before);
}

EXPORT void gnutls_session_set_verify_function(void *session, int (*function)(void *))
{
    LOOK_UP(gnutls_session_set_verify_function, session, )
    struct notes *notes = notes_of(t);
    if (notes && !tls_is_nested(session, t, caller)) {
        notes->verifier = function;
        notes->own_verification = function != NULL;
    }
    TLS_REAL(library, gnutls_session_set_verify_function)(session, function);
}

static void note_verifier(void *credentials, int (*function)(void *))
{
    for (int i = 0; i < VERIFIERS; i++) {
        void *was = NULL;
        if (atomic_load(&verifiers[i].credentials) == credentials
            || (function && atomic_compare_exchange_strong(&verifiers[i].credentials, &was, credentials))) {
            atomic_store(&verifiers[i].function, (void *)function);
            return;
        }
    }
    if (function) {
        atomic_store(&more_verifiers, true);
    }
}

EXPORT void gnutls_certificate_set_verify_function(void *credentials, int (*function)(void *))
{
    LOOK_UP(gnutls_certificate_set_verify_function, NULL, )
    note_verifier(credentials, function);
    TLS_REAL(library, gnutls_certificate_set_verify_function)(credentials, function);
}

/* What a program compares with pins. The library asks for some of it itself, when it verifies. */
#define PINS(what, name, parameters, arguments)                                   \
    EXPORT int name parameters                                                    \
    {                                                                             \
        LOOK_UP(name, NULL, GNUTLS_E_INTERNAL_ERROR)                              \
        Dl_info info;                                                             \
        if (!(dladdr(caller, &info) && info.dli_fbase == library->base)) {        \
            atomic_fetch_or(&pins, what);                                         \
        }                                                                         \
        return TLS_REAL(library, name) arguments;                                 \
    }

PINS(PINS_KEY, gnutls_pubkey_export, (void *key, int format, void *octets, size_t *length), (key, format, octets, length))
PINS(PINS_KEY, gnutls_pubkey_get_key_id, (void *key, unsigned flags, unsigned char *id, size_t *length), (key, flags, id, length))
PINS(PINS_KEY, gnutls_x509_crt_get_key_id, (void *certificate, unsigned flags, unsigned char *id, size_t *length),
     (certificate, flags, id, length))
PINS(PINS_CERTIFICATE, gnutls_x509_crt_get_fingerprint, (void *certificate, int digest, void *octets, size_t *length),
     (certificate, digest, octets, length))
PINS(PINS_CERTIFICATE, gnutls_fingerprint, (int digest, const void *octets, void *result, size_t *length), (digest, octets, result, length))

/* What a program asks of the server of its session: within its verification function, of the one that is judged. */
#define OF_SERVER(result, name, missing, parameters, arguments)                   \
    EXPORT result name parameters                                                 \
    {                                                                             \
        LOOK_UP(name, session, missing)                                           \
        session = shown_for(session);                                             \
        return TLS_REAL(library, name) arguments;                                 \
    }

OF_SERVER(const void *, gnutls_certificate_get_peers, NULL, (void *session, unsigned *count), (session, count))
OF_SERVER(int, gnutls_certificate_verify_peers, GNUTLS_E_INTERNAL_ERROR,
          (void *session, void *data, unsigned elements, unsigned *status), (session, data, elements, status))
OF_SERVER(int, gnutls_certificate_verify_peers2, GNUTLS_E_INTERNAL_ERROR, (void *session, unsigned *status), (session, status))
OF_SERVER(int, gnutls_certificate_verify_peers3, GNUTLS_E_INTERNAL_ERROR, (void *session, const char *name, unsigned *status),
          (session, name, status))
OF_SERVER(long, gnutls_certificate_expiration_time_peers, -1, (void *session), (session))
OF_SERVER(long, gnutls_certificate_activation_time_peers, -1, (void *session), (session))
OF_SERVER(int, gnutls_ocsp_status_request_get, GNUTLS_E_INTERNAL_ERROR, (void *session, void *response), (session, response))
OF_SERVER(int, gnutls_ocsp_status_request_get2, GNUTLS_E_INTERNAL_ERROR, (void *session, unsigned index, void *response),
          (session, index, response))
OF_SERVER(unsigned, gnutls_ocsp_status_request_is_checked, 0, (void *session, unsigned flags), (session, flags))
