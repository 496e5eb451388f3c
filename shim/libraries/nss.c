/*
 * nss.c: NSS's sessions (libssl3.so, of Firefox and others): its hook, and how a twin of one is made; see tls.h.
 *
 * A session is a layer of a descriptor of NSPR's (PRFileDesc), whose calls go through a table of functions: a layer above calls those
 * without any name that could be interposed. So SSL_ImportFD(), which makes the layer, is hooked, and gives it a table of which those that carry
 * data are Midstream's. What stays the same however many layers are put on it is the layer's own data; that is the handle. It begins with the
 * descriptor, as the library has seen it last.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/calls.h"
#include "process/settings.h"
#include "tls/below.h"
#include "tls/tls.h"
#include "tls/twin.h"

/* prio.h, prerr.h, ssl.h */
#define PR_WOULD_BLOCK_ERROR (-5998)
#define PR_IO_ERROR (-5991)
#define PR_NOT_CONNECTED_ERROR (-5978)
#define PR_CONNECT_RESET_ERROR (-5961)
#define PR_MSG_PEEK 2
#define PR_POLL_READ 1
#define PR_SHUTDOWN_RCV 0
#define PR_OPTION_NONBLOCKING 0
#define PR_SUCCESS 0
#define PR_FAILURE (-1)
#define SEC_SUCCESS 0
#define SEC_FAILURE (-1)
#define SSL_HANDSHAKE_AS_CLIENT 5
#define SSL_ENABLE_FALSE_START 22
#define SSL_ENABLE_0RTT_DATA 33
#define SSL_NEXT_PROTO_SELECTED 4

struct descriptor;

/* PRIOVec */
struct part {
    char *octets;
    int count;
};

/* PRIOMethods */
struct methods {
    int file_type;
    int (*close)(struct descriptor *fd);
    int (*read)(struct descriptor *fd, void *buffer, int amount);
    int (*write)(struct descriptor *fd, const void *buffer, int amount);
    int (*available)(struct descriptor *fd);
    int64_t (*available64)(struct descriptor *fd);
    void *fsync, *seek, *seek64, *file_info, *file_info64;
    int (*writev)(struct descriptor *fd, const struct part *vector, int count, unsigned timeout);
    void *connect, *accept, *bind, *listen;
    int (*shutdown)(struct descriptor *fd, int how);
    int (*recv)(struct descriptor *fd, void *buffer, int amount, int flags, unsigned timeout);
    int (*send)(struct descriptor *fd, const void *buffer, int amount, int flags, unsigned timeout);
    void *recvfrom, *sendto;
    short (*poll)(struct descriptor *fd, short wanted, short *found);
    void *acceptread, *transmitfile;
    int (*getsockname)(struct descriptor *fd, void *address);
    int (*getpeername)(struct descriptor *fd, void *address);
    void *reserved_6, *reserved_5;
    int (*getsocketoption)(struct descriptor *fd, void *data);
    int (*setsocketoption)(struct descriptor *fd, const void *data);
    void *sendfile, *connectcontinue, *reserved[4];
};

/* PRFileDesc */
struct descriptor {
    const struct methods *methods;
    void *secret;
    struct descriptor *lower, *higher;
    void (*dtor)(struct descriptor *fd);
    int identity;
};

/* PRSocketOptionData, as far as it is needed */
struct option {
    int option;
    union {
        int value;
        size_t longest;
    };
    char rest[128];
};

/* SECItem */
struct item {
    int type;
    unsigned char *data;
    unsigned length;
};

#define FUNCTIONS(F, MARK)                                                                         \
    F(const char *, NSSSSL_GetVersion, (void))                                                     \
    F(int, PR_GetError, (void))                                                                    \
    F(void, PR_SetError, (int error, int system))                                                  \
    F(int, PR_GetUniqueIdentity, (const char *name))                                               \
    F(const struct methods *, PR_GetDefaultIOMethods, (void))                                      \
    F(struct descriptor *, PR_CreateIOLayerStub, (int identity, const struct methods *methods))    \
    F(struct descriptor *, PR_PopIOLayer, (struct descriptor *fd, int identity))                   \
    F(void, PR_Free, (void *memory))                                                               \
    F(int, SSL_ResetHandshake, (struct descriptor *fd, int as_server))                             \
    F(int, SSL_DataPending, (struct descriptor *fd))                                               \
    F(int, SSL_OptionSet, (struct descriptor *fd, int option, long value))                         \
    F(int, SSL_OptionGet, (struct descriptor *fd, int option, int *value))                         \
    F(int, SSL_AuthCertificateHook, (struct descriptor *fd, int (*hook)(void *, struct descriptor *, int, int), void *argument)) \
    F(int, SSL_BadCertHook, (struct descriptor *fd, int (*hook)(void *, struct descriptor *), void *argument)) \
    F(int, SSL_GetClientAuthDataHook, (struct descriptor *fd, int (*hook)(void *, struct descriptor *, void *, void **, void **), void *argument)) \
    F(int, SSL_HandshakeCallback, (struct descriptor *fd, void (*callback)(struct descriptor *, void *), void *argument)) \
    F(int, SSL_SetCanFalseStartCallback, (struct descriptor *fd, void *callback, void *argument))  \
    F(int, SSL_GetNextProto, (struct descriptor *fd, int *state, unsigned char *octets, unsigned *length, unsigned room)) \
    F(int, SSL_GetChannelInfo, (struct descriptor *fd, void *info, unsigned length))               \
    F(char *, SSL_RevealURL, (struct descriptor *fd))                                              \
    F(void *, SSL_PeerCertificate, (struct descriptor *fd))                                        \
    F(void, CERT_DestroyCertificate, (void *certificate))                                          \
    F(int, CERT_GetCertificateDer, (const void *certificate, struct item *octets))                 \
    F(void *, CERT_ExtractPublicKey, (void *certificate))                                          \
    F(struct item *, SECKEY_EncodeDERSubjectPublicKeyInfo, (const void *key))                      \
    F(void, SECKEY_DestroyPublicKey, (void *key))                                                  \
    F(void, SECITEM_FreeItem, (struct item *octets, int itself))                                   \
    F(void *, SSL_GetExperimentalAPI, (const char *name))                                          \
    F(int, SSL_AlertSentCallback, (struct descriptor *fd, void *callback, void *argument))         \
    F(int, SSL_AlertReceivedCallback, (struct descriptor *fd, void *callback, void *argument))

#include "functions.h"

/* The library's own functions for its layer, and those that stand in for them: of the one copy that a process has. */
static const struct methods *_Atomic own_methods;
static struct methods hooked_methods, wire_methods;
static int wire_identity;

struct octets {
    unsigned char *data;
    size_t size;
};

struct snapshot {
    struct descriptor *model; /* a session that is never connected, with all that the program has set */
    struct octets leaf, key;
    unsigned version;
    bool http1;
};

static struct descriptor *descriptor_of(const void *handle) { return *(struct descriptor *const *)handle; }

static const struct methods *own(void) { return atomic_load(&own_methods); }

static void loaded(struct tls_library *library)
{
    snprintf(library->name, sizeof library->name, "NSS %s", F(library, NSSSSL_GetVersion)());
    library->complete = true;
}

static void begun(struct tls *t) { (void)t; }

/* A version as the others write it. SSLChannelInfo: its length (32 bits), and the version (16). */
static unsigned version_number(struct tls_library *library, void *handle)
{
    struct {
        uint32_t length;
        uint16_t version;
        char rest[58]; /* fewer octets than it has: the library takes no more than it knows */
    } info = { 0 };
    return F(library, SSL_GetChannelInfo)(descriptor_of(handle), &info, sizeof info) == SEC_SUCCESS ? info.version : 0;
}

static void describe_handle(struct tls_library *library, void *handle, struct tls_facts *facts)
{
    unsigned char alpn[sizeof facts->alpn] = "";
    unsigned length = 0, version = version_number(library, handle);
    int state = 0;
    facts->version = version == 0x0304 ? "TLSv1.3" : version == 0x0303 ? "TLSv1.2" : version ? "TLSv1.1" : "";
    if (F(library, SSL_GetNextProto)(descriptor_of(handle), &state, alpn, &length, sizeof alpn - 1) == SEC_SUCCESS && length) {
        snprintf(facts->alpn, sizeof facts->alpn, "%.*s", (int)length, (const char *)alpn);
    }
}

static void describe(struct tls *t, struct tls_facts *facts)
{
    char *name = F(t->library, SSL_RevealURL)(descriptor_of(t->handle));
    describe_handle(t->library, t->handle, facts);
    snprintf(facts->name, sizeof facts->name, "%s", name ? name : "");
    if (name) {
        F(t->library, PR_Free)(name);
    }
}

static void version_of(struct twin *w, struct tls_facts *facts) { describe_handle(w->library, w->handle, facts); }

static bool copy(struct octets *to, const struct item *from)
{
    to->data = from->data ? malloc(from->length ? from->length : 1) : NULL;
    if (to->data) {
        memcpy(to->data, from->data, from->length);
        to->size = from->length;
    }
    return to->data;
}

/* The server's certificate and its key. False: it has shown none that is understood. */
static bool read_certificate(struct tls_library *library, void *handle, struct octets *leaf, struct octets *key)
{
    void *certificate = F(library, SSL_PeerCertificate)(descriptor_of(handle));
    void *public = certificate ? F(library, CERT_ExtractPublicKey)(certificate) : NULL;
    struct item *info = public ? F(library, SECKEY_EncodeDERSubjectPublicKeyInfo)(public) : NULL;
    struct item der = { 0, NULL, 0 };
    bool done = info && F(library, CERT_GetCertificateDer)(certificate, &der) == SEC_SUCCESS && copy(leaf, &der) && copy(key, info);
    if (info) {
        F(library, SECITEM_FreeItem)(info, 1);
    }
    if (public) {
        F(library, SECKEY_DestroyPublicKey)(public);
    }
    if (certificate) {
        F(library, CERT_DestroyCertificate)(certificate);
    }
    return done;
}

/* The lowest layer of sessions that Midstream makes: a socket that does not wait, or none. Its number is its data. */
static int number_of(const struct descriptor *fd) { return (int)(intptr_t)fd->secret; }

static int wire_result(ssize_t n)
{
    if (n < 0) {
        int error = errno;
        F(tls_last, PR_SetError)(error == EAGAIN || error == EINTR ? PR_WOULD_BLOCK_ERROR
                : error == ECONNRESET || error == EPIPE ? PR_CONNECT_RESET_ERROR : PR_IO_ERROR, error);
    }
    return (int)n;
}

static int wire_recv(struct descriptor *fd, void *buffer, int amount, int flags, unsigned timeout)
{
    (void)timeout;
    return wire_result(recv(number_of(fd), buffer, (size_t)amount, flags & PR_MSG_PEEK ? MSG_PEEK : 0));
}

static int wire_send(struct descriptor *fd, const void *octets, int amount, int flags, unsigned timeout)
{
    (void)flags, (void)timeout;
    return wire_result(send(number_of(fd), octets, (size_t)amount, MSG_NOSIGNAL));
}

static int wire_read(struct descriptor *fd, void *buffer, int amount) { return wire_recv(fd, buffer, amount, 0, 0); }

static int wire_write(struct descriptor *fd, const void *octets, int amount) { return wire_send(fd, octets, amount, 0, 0); }

/* The library asks whether there is a connection, and for what its sessions are remembered. */
static int wire_getpeername(struct descriptor *fd, void *address)
{
    struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
    socklen_t length = sizeof peer;
    if (number_of(fd) < 0 || getpeername(number_of(fd), (struct sockaddr *)&peer, &length)) {
        F(tls_last, PR_SetError)(PR_NOT_CONNECTED_ERROR, 0);
        return PR_FAILURE;
    }
    memcpy(address, &peer, peer.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)); /* PRNetAddr */
    return PR_SUCCESS;
}

static int wire_getsocketoption(struct descriptor *fd, void *data)
{
    struct option *o = data;
    (void)fd;
    o->value = o->option == PR_OPTION_NONBLOCKING;
    return PR_SUCCESS;
}

static int wire_setsocketoption(struct descriptor *fd, const void *data)
{
    (void)fd, (void)data;
    return PR_SUCCESS;
}

static int wire_shutdown(struct descriptor *fd, int how)
{
    (void)fd, (void)how;
    return PR_SUCCESS;
}

static short wire_poll(struct descriptor *fd, short wanted, short *found)
{
    (void)fd;
    *found = 0;
    return wanted;
}

/* The socket is the stream's, or closed by whoever has made it. */
static int wire_close(struct descriptor *fd)
{
    fd->dtor(fd);
    return PR_SUCCESS;
}

/* A session on a socket, or -1, like another one. Its handle, or NULL. */
static void *make_session(struct tls_library *library, struct descriptor *model, int fd)
{
    struct descriptor *wire = F(library, PR_CreateIOLayerStub)(wire_identity, &wire_methods);
    if (!wire) {
        return NULL;
    }
    wire->secret = (void *)(intptr_t)fd;
    struct descriptor *made = TLS_REAL(library, SSL_ImportFD)(model, wire);
    if (!made) {
        wire_close(wire);
    }
    return made ? made->secret : NULL;
}

static void close_session(void *handle) { own()->close(descriptor_of(handle)); }

static void release(struct tls *t)
{
    struct snapshot *p = t->captured;
    if (p) {
        struct tls_frame before;
        tls_begin(&before, t->library, t->handle, NULL);
        own()->close(p->model);
        tls_end(&before);
        free(p->leaf.data);
        free(p->key.data);
        free(p);
    }
    t->captured = NULL;
}

static void refresh(struct tls *t) { (void)t; } /* sessions are remembered by the library, for an address */

static void capture(struct tls *t)
{
    struct tls_library *library = t->library;
    struct descriptor *fd = descriptor_of(t->handle);
    struct option blocking = { .option = PR_OPTION_NONBLOCKING };
    struct tls_facts facts = { "", "", "" };
    bool waits = fd->methods->getsocketoption(fd, &blocking) != PR_SUCCESS || !blocking.value;
    struct snapshot *p = waits ? NULL : calloc(1, sizeof *p); /* on one that waits, a call does not come back when the stream has moved */
    void *model = p && read_certificate(library, t->handle, &p->leaf, &p->key) ? make_session(library, fd, -1) : NULL;
    if (!model) {
        if (p) {
            free(p->leaf.data);
            free(p->key.data);
        }
        free(p);
        return;
    }
    p->model = descriptor_of(model);
    p->version = version_number(library, t->handle);
    describe_handle(library, t->handle, &facts);
    p->http1 = !strcmp(facts.alpn, "http/1.1");
    t->captured = p;
}

static enum tls_outcome outcome_of(struct tls_library *library, int result)
{
    return result > 0 ? TLS_DATA : !result ? TLS_END : F(library, PR_GetError)() == PR_WOULD_BLOCK_ERROR ? TLS_AGAIN : TLS_BAD;
}

static void say(struct tls_data *data, bool writing)
{
    (void)writing;
    data->raw = data->outcome == TLS_DATA ? (ssize_t)data->done : data->outcome == TLS_END ? 0 : -1;
    if (data->raw < 0) {
        F(data->library, PR_SetError)(data->outcome == TLS_AGAIN ? PR_WOULD_BLOCK_ERROR : PR_CONNECT_RESET_ERROR, 0);
    }
}

static size_t pending(struct tls_library *library, void *handle)
{
    int n = F(library, SSL_DataPending)(descriptor_of(handle));
    return n > 0 ? (size_t)n : 0;
}

/* How long the program's call of this thread may wait (PRIntervalTime), where its socket waits at all. A twin's does not. */
static _Thread_local unsigned patience;

static int recv_on(struct tls_library *library, void *handle, void *buffer, size_t length, int flags)
{
    tls_last = library;
    return own()->recv(descriptor_of(handle), buffer, length > INT32_MAX ? INT32_MAX : (int)length, flags, patience);
}

static int send_on(struct tls_library *library, void *handle, const void *octets, size_t length)
{
    tls_last = library;
    return own()->send(descriptor_of(handle), octets, length > INT32_MAX ? INT32_MAX : (int)length, 0, patience);
}

static enum tls_outcome twin_read(struct tls_library *library, void *handle, void *buffer, size_t length, size_t *done)
{
    int n = recv_on(library, handle, buffer, length, 0);
    *done = n > 0 ? (size_t)n : 0;
    return outcome_of(library, n);
}

static enum tls_outcome twin_write(struct tls_library *library, void *handle, const void *octets, size_t length, size_t *done)
{
    int n = send_on(library, handle, octets, length);
    *done = n > 0 ? (size_t)n : 0;
    return outcome_of(library, n);
}

/* A twin is judged when its handshake is over. */
static int leave_to_judge(void *argument, struct descriptor *fd, int check, int is_server)
{
    (void)argument, (void)fd, (void)check, (void)is_server;
    return SEC_SUCCESS;
}

static int refuse(void *argument, struct descriptor *fd)
{
    (void)argument, (void)fd;
    return SEC_FAILURE;
}

/* The program's own are not to hear of a session that they do not know. */
static int keep_no_token(struct descriptor *fd, const unsigned char *token, unsigned length, void *argument)
{
    (void)fd, (void)token, (void)length, (void)argument;
    return SEC_SUCCESS;
}

static bool silence(struct tls_library *library, struct descriptor *fd)
{
    int (*set_token_callback)(struct descriptor *, int (*)(struct descriptor *, const unsigned char *, unsigned, void *), void *) =
        F(library, SSL_GetExperimentalAPI)("SSL_SetResumptionTokenCallback");
    return F(library, SSL_AlertSentCallback)(fd, NULL, NULL) == SEC_SUCCESS && F(library, SSL_AlertReceivedCallback)(fd, NULL, NULL) == SEC_SUCCESS
        && set_token_callback && set_token_callback(fd, keep_no_token, NULL) == SEC_SUCCESS;
}

/* The client's certificate goes to nobody who is not known to have had it. */
static int refuse_request(void *twin, struct descriptor *fd, void *names, void **certificate, void **key)
{
    (void)fd, (void)names, (void)certificate, (void)key;
    ((struct twin *)twin)->failure = MS_WHY_HANDSHAKE_ASKS;
    return SEC_FAILURE;
}

static enum ms_why make(struct twin *w, struct tls *t)
{
    static const unsigned char http1[] = "\x08http/1.1";
    struct tls_library *library = t->library;
    struct snapshot *p = t->captured;
    if (*w->name) {
        return MS_WHY_TWIN_OTHER_NAME; /* its programs verify by themselves, and later */
    }
    tls_last = library;
    w->handle = make_session(library, p->model, w->fd);
    struct descriptor *fd = w->handle ? descriptor_of(w->handle) : NULL;
    if (!fd) {
        return MS_WHY_NSS_SESSION;
    }
    bool set = F(library, SSL_AuthCertificateHook)(fd, leave_to_judge, NULL) == SEC_SUCCESS
        && F(library, SSL_BadCertHook)(fd, refuse, NULL) == SEC_SUCCESS && F(library, SSL_HandshakeCallback)(fd, NULL, NULL) == SEC_SUCCESS
        && F(library, SSL_GetClientAuthDataHook)(fd, refuse_request, w) == SEC_SUCCESS
        && F(library, SSL_OptionSet)(fd, SSL_ENABLE_FALSE_START, 0) == SEC_SUCCESS
        && F(library, SSL_OptionSet)(fd, SSL_ENABLE_0RTT_DATA, 0) == SEC_SUCCESS
        && (!p->http1 || TLS_REAL(library, SSL_SetNextProtoNego)(fd, http1, sizeof http1 - 1) == SEC_SUCCESS)
        && silence(library, fd) && F(library, SSL_ResetHandshake)(fd, 0) == SEC_SUCCESS;
    F(library, SSL_SetCanFalseStartCallback)(fd, NULL, NULL);
    return set ? MS_WHY_NONE : MS_WHY_NSS_SESSION;
}

static enum tls_outcome handshake(struct twin *w, bool *wants_write)
{
    struct tls_library *library = w->library;
    *wants_write = false;
    int result = TLS_REAL(library, SSL_ForceHandshake)(descriptor_of(w->handle));
    if (w->failure == MS_WHY_HANDSHAKE_ASKS) {
        return TLS_BAD;
    }
    if (result == SEC_SUCCESS) {
        return TLS_DATA;
    }
    int error = F(library, PR_GetError)();
    if (error == PR_WOULD_BLOCK_ERROR) {
        return TLS_AGAIN;
    }
    w->failure = MS_WHY_HANDSHAKE_FOR;
    snprintf(w->detail, sizeof w->detail, "error %d of NSS", error);
    return TLS_BAD;
}

static bool is_equal(const struct octets *a, const struct octets *b)
{
    return a->data && b->data && a->size == b->size && !memcmp(a->data, b->data, a->size);
}

/* The program verifies certificates as it likes, or later: only one with the same key is that of the same server. */
static enum ms_why judge(struct twin *w, const char **how)
{
    struct snapshot *p = w->session->captured;
    struct octets leaf = { NULL, 0 }, key = { NULL, 0 };
    enum ms_why why = MS_WHY_NONE;
    if (version_number(w->library, w->handle) < p->version) {
        return MS_WHY_OLDER_TLS;
    }
    if (!read_certificate(w->library, w->handle, &leaf, &key)) {
        why = MS_WHY_NO_CERT;
    } else if (is_equal(&leaf, &p->leaf)) {
        *how = "same certificate";
    } else if (is_equal(&key, &p->key)) {
        *how = "same key";
    } else {
        why = MS_WHY_CERT_JUDGED_EARLY;
    }
    free(leaf.data);
    free(key.data);
    return why;
}

static bool ask(struct tls *t, struct twin *w)
{
    (void)t, (void)w;
    return false; /* its function counts on its own handshake */
}

static enum ms_needs needs(const struct tls *t)
{
    (void)t;
    return MS_NEEDS_KEY_JUDGED;
}

static void attach(struct twin *w, int fd)
{
    struct descriptor *layer = descriptor_of(w->handle);
    while (layer->lower) {
        layer = layer->lower;
    }
    layer->secret = (void *)(intptr_t)fd;
}

static void destroy(struct twin *w)
{
    if (w->handle) {
        tls_last = w->library;
        attach(w, -1); /* NSS says close_notify: its number may be the next connection's by now */
        close_session(w->handle);
        w->handle = NULL;
    }
}

static bool hello(struct tls_library *library, void *handle, uint8_t *random)
{
    (void)library;
    return below_random(tls_find(handle), random);
}

static const char *const files[] = { "libssl3.so", NULL };
static const char *const prefixes[] = { "SSL_ImportFD", "SSL_ForceHandshake", "SSL_AuthCertificateComplete", "SSL_ClientCertCallbackComplete",
                                        "SSL_ReHandshake", "SSL_SetNextProtoNego", NULL };

const struct tls_kind tls_nss = {
    KIND_IN_COMMON,
    .files = files,
    .prefixes = prefixes,
};

/* The functions of the layer. The descriptor may be another one than at the last call: the library notes that in the same place. */

static struct tls *session_of(struct descriptor *fd)
{
    struct tls *t = tls_find(fd->secret);
    if (t && !tls_inside()) {
        *(struct descriptor **)fd->secret = fd;
    }
    return t;
}

static enum tls_outcome carry_recv(struct tls_data *data)
{
    data->raw = recv_on(data->library, data->handle, data->buffer, data->length, data->peek ? PR_MSG_PEEK : 0);
    data->done = data->raw > 0 ? (size_t)data->raw : 0;
    return outcome_of(data->library, (int)data->raw);
}

static enum tls_outcome carry_send(struct tls_data *data)
{
    data->raw = send_on(data->library, data->handle, data->buffer, data->length);
    data->done = data->raw > 0 ? (size_t)data->raw : 0;
    return outcome_of(data->library, (int)data->raw);
}

static int layer_recv(struct descriptor *fd, void *buffer, int amount, int flags, unsigned timeout)
{
    struct tls *t = session_of(fd);
    if (!t || tls_is_nested(fd->secret, t, NULL) || amount <= 0 || !buffer) {
        return own()->recv(fd, buffer, amount, flags, timeout);
    }
    struct tls_data data = { .t = t, .library = t->library, .handle = fd->secret, .buffer = buffer, .length = (size_t)amount, .peek = flags & PR_MSG_PEEK };
    patience = timeout;
    tls_read(&data, carry_recv);
    return data.outcome == TLS_DATA ? (int)data.done : (int)data.raw;
}

static int layer_send(struct descriptor *fd, const void *octets, int amount, int flags, unsigned timeout)
{
    struct tls *t = session_of(fd);
    if (!t || tls_is_nested(fd->secret, t, NULL) || amount <= 0 || !octets) {
        return own()->send(fd, octets, amount, flags, timeout);
    }
    struct tls_data data = { .t = t, .library = t->library, .handle = fd->secret, .buffer = (void *)octets, .length = (size_t)amount };
    patience = timeout;
    tls_write(&data, carry_send);
    /* Before any ClientHello has been seen it is no early data: the session may begin in the clear, as with a proxy. */
    if (data.outcome == TLS_DATA && !t->captured && tls_stream(t) && !version_number(t->library, t->handle)) {
        tls_spoil(t, MS_WHY_TLS_EARLY_DATA); /* the handshake is not over: it may have to be sent again */
    }
    return (int)data.raw;
}

static int layer_writev(struct descriptor *fd, const struct part *vector, int count, unsigned timeout)
{
    int done = 0;
    for (int i = 0; i < count; i++) {
        int n = vector[i].count > 0 ? layer_send(fd, vector[i].octets, vector[i].count, 0, timeout) : 0;
        if (n < 0) {
            return done ? done : n;
        }
        done += n;
        if (n < vector[i].count) {
            break;
        }
    }
    return done;
}

static int layer_read(struct descriptor *fd, void *buffer, int amount) { return layer_recv(fd, buffer, amount, 0, ~0U); }

static int layer_write(struct descriptor *fd, const void *octets, int amount) { return layer_send(fd, octets, amount, 0, ~0U); }

static int layer_available(struct descriptor *fd)
{
    struct tls *t = session_of(fd);
    struct tls_present present;
    if (!t || tls_is_own(t)) {
        return own()->available(fd);
    }
    void *handle = tls_enter_to_look(&present, t->library, t, fd->secret);
    size_t n = tls_pending(t, pending(t->library, handle));
    tls_leave(&present);
    return (int)n;
}

static int64_t layer_available64(struct descriptor *fd) { return layer_available(fd); }

/* What a program waits for is below, unless there is something for it above. */
static short layer_poll(struct descriptor *fd, short wanted, short *found)
{
    struct tls *t = session_of(fd);
    if (!t || tls_is_own(t)) {
        return own()->poll(fd, wanted, found);
    }
    *found = 0;
    if (wanted & PR_POLL_READ && layer_available(fd) > 0) {
        *found = PR_POLL_READ;
        return wanted;
    }
    return fd->lower->methods->poll(fd->lower, wanted, found);
}

static int layer_shutdown(struct descriptor *fd, int how)
{
    struct tls *t = session_of(fd);
    if (!t || how == PR_SHUTDOWN_RCV) {
        return own()->shutdown(fd, how);
    }
    struct tls_present present;
    void *handle = tls_enter(&present, t->library, t, fd->secret);
    tls_half_closed(t);
    int result = handle == fd->secret ? own()->shutdown(fd, how) : own()->shutdown(descriptor_of(handle), how);
    if (handle != fd->secret) {
        fd->lower->methods->shutdown(fd->lower, how);
    }
    tls_leave(&present);
    return result;
}

/* The library ends the program's own session, whose records are for nobody if another one has taken its place: that is ended first. */
static int layer_close(struct descriptor *fd)
{
    struct tls *t = session_of(fd);
    if (t) {
        if (!tls_is_own(t)) {
            struct tls_present present;
            void *handle = tls_enter(&present, t->library, t, fd->secret);
            if (handle != fd->secret) {
                own()->shutdown(descriptor_of(handle), 1);
            }
            tls_leave(&present);
        }
        tls_gone(t);
    }
    return own()->close(fd);
}

/* The hooks. */

static struct tls_library *library_of(enum tls_call call, const void *caller) { return tls_library_of(call, &tls_nss, caller); }

/* The tables, once. */
static void make_tables(struct tls_library *library, struct descriptor *fd)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    if (!own()) {
        hooked_methods = *fd->methods;
        hooked_methods.close = layer_close;
        hooked_methods.read = layer_read;
        hooked_methods.write = layer_write;
        hooked_methods.writev = layer_writev;
        hooked_methods.available = layer_available;
        hooked_methods.available64 = layer_available64;
        hooked_methods.recv = layer_recv;
        hooked_methods.send = layer_send;
        hooked_methods.poll = layer_poll;
        hooked_methods.shutdown = layer_shutdown;
        wire_methods = *F(library, PR_GetDefaultIOMethods)();
        wire_methods.close = wire_close;
        wire_methods.read = wire_read;
        wire_methods.write = wire_write;
        wire_methods.recv = wire_recv;
        wire_methods.send = wire_send;
        wire_methods.poll = wire_poll;
        wire_methods.shutdown = wire_shutdown;
        wire_methods.getpeername = wire_getpeername;
        wire_methods.getsocketoption = wire_getsocketoption;
        wire_methods.setsocketoption = wire_setsocketoption;
        wire_identity = F(library, PR_GetUniqueIdentity)("midstream");
        atomic_store(&own_methods, fd->methods);
    }
    pthread_mutex_unlock(&mutex);
}

/* False: the process has another copy of NSS as well, or its sessions are not as they are known here. */
static bool set_up(struct tls_library *library, struct descriptor *fd)
{
    if (!own()) { /* a child of a fork may find the lock taken for good: only the first session asks for it */
        make_tables(library, fd);
    }
    return own() == fd->methods && fd->secret && descriptor_of(fd->secret) == fd;
}

EXPORT void *SSL_ImportFD(void *model, void *descriptor)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_ImportFD, CALLER);
    if (!library) {
        return NULL;
    }
    struct descriptor *fd = TLS_REAL(library, SSL_ImportFD)(model, descriptor);
    if (fd && library->complete && !tls_is_at_work() && set_up(library, fd) && tls_get(library, fd->secret)) {
        fd->methods = &hooked_methods;
    }
    return fd;
}

/* The session of a descriptor, whatever lies on it. */
static struct tls *session_below(void *descriptor)
{
    struct tls *t = NULL;
    for (struct descriptor *fd = descriptor; fd && !t; fd = fd->lower) {
        t = fd->methods == &hooked_methods ? session_of(fd) : NULL;
    }
    return t;
}

/* Calls that go on with a handshake. */
#define SHAKES_HANDS(name, parameters, arguments)                                 \
    EXPORT int name parameters                                                    \
    {                                                                             \
        const void *caller = CALLER;                                              \
        struct tls_library *library = library_of(TLS_CALL_##name, caller);        \
        struct tls *t = session_below(descriptor);                                \
        if (!library) {                                                           \
            return SEC_FAILURE;                                                   \
        }                                                                         \
        if (!t || t->captured || tls_is_nested(t->handle, t, caller)) {           \
            return TLS_REAL(library, name) arguments;                             \
        }                                                                         \
        struct tls_frame before;                                                  \
        tls_begin(&before, library, t->handle, t);                                \
        int result = TLS_REAL(library, name) arguments;                           \
        tls_look_below(library, t->handle, t, result != SEC_SUCCESS);             \
        tls_end(&before);                                                         \
        return result;                                                            \
    }

SHAKES_HANDS(SSL_ForceHandshake, (void *descriptor), (descriptor))
SHAKES_HANDS(SSL_AuthCertificateComplete, (void *descriptor, int error), (descriptor, error))
SHAKES_HANDS(SSL_ClientCertCallbackComplete, (void *descriptor, int outcome, void *key, void *certificate), (descriptor, outcome, key, certificate))

/* Another handshake on the same connection. */
#define SHAKES_HANDS_AGAIN(name, parameters, arguments)                           \
    EXPORT int name parameters                                                    \
    {                                                                             \
        struct tls_library *library = library_of(TLS_CALL_##name, CALLER);        \
        if (!library) {                                                           \
            return SEC_FAILURE;                                                   \
        }                                                                         \
        tls_spoil(session_below(descriptor), MS_WHY_TLS_RENEGOTIATED);            \
        return TLS_REAL(library, name) arguments;                                 \
    }

SHAKES_HANDS_AGAIN(SSL_ReHandshake, (void *descriptor, int flush), (descriptor, flush))
SHAKES_HANDS_AGAIN(SSL_ReHandshakeWithTimeout, (void *descriptor, int flush, unsigned timeout), (descriptor, flush, timeout))

/* What a session, or a model of some, is to be is known only where the program says so (as Firefox does): a server's list is its own. */
static bool is_said_client(struct tls_library *library, void *descriptor)
{
    int is = 0;
    return F(library, SSL_OptionGet)(descriptor, SSL_HANDSHAKE_AS_CLIENT, &is) == SEC_SUCCESS && is;
}

EXPORT int SSL_SetNextProtoNego(void *descriptor, const unsigned char *list, unsigned length)
{
    struct tls_library *library = library_of(TLS_CALL_SSL_SetNextProtoNego, CALLER);
    unsigned char kept[256];
    size_t kept_length;
    if (!library) {
        return SEC_FAILURE;
    }
    if (!settings_keep_http2() && length <= sizeof kept && is_said_client(library, descriptor) && tls_without_h2(list, length, kept, &kept_length)) {
        return TLS_REAL(library, SSL_SetNextProtoNego)(descriptor, kept, (unsigned)kept_length);
    }
    return TLS_REAL(library, SSL_SetNextProtoNego)(descriptor, list, length);
}
