/* sessions_openssl.c CERTIFICATE KEY: see sessions.h. */
#include "sessions.h"

#define OTHERS(F)                                                                     \
    F(const void *, TLS_method, (void))                                               \
    F(const void *, DTLS_method, (void))                                              \
    F(void *, SSL_CTX_new, (const void *))                                            \
    F(void *, SSL_get1_peer_certificate, (const void *))                              \
    F(void, X509_free, (void *))                                                      \
    F(void, SSL_CTX_free, (void *))                                                   \
    F(int, SSL_CTX_use_certificate_file, (void *, const char *, int))                 \
    F(int, SSL_CTX_use_PrivateKey_file, (void *, const char *, int))                  \
    F(void, SSL_CTX_set_alpn_select_cb, (void *, int (*)(void *, const unsigned char **, unsigned char *, const unsigned char *, unsigned, void *), void *)) \
    F(void, SSL_CTX_set_verify, (void *, int, int (*)(int, void *)))                  \
    F(int, SSL_CTX_set_num_tickets, (void *, size_t))                                 \
    F(void *, SSL_new, (void *))                                                      \
    F(void, SSL_free, (void *))                                                       \
    F(int, SSL_accept, (void *))                                                      \
    F(void, SSL_set_accept_state, (void *))                                           \
    F(void, SSL_set_connect_state, (void *))                                          \
    F(int, SSL_set_fd, (void *, int))                                                 \
    F(void, SSL_set_bio, (void *, void *, void *))                                    \
    F(void *, SSL_get_rbio, (const void *))                                           \
    F(void *, SSL_get_wbio, (const void *))                                           \
    F(const char *, SSL_get_version, (const void *))                                  \
    F(const char *, SSL_state_string, (const void *))                                 \
    F(const char *, SSL_get_servername, (const void *, int))                          \
    F(long, SSL_get_verify_result, (const void *))                                    \
    F(void, SSL_get0_alpn_selected, (const void *, const unsigned char **, unsigned *)) \
    F(void *, SSL_get_certificate, (const void *))                                    \
    F(void *, X509_get_X509_PUBKEY, (const void *))                                   \
    F(const void *, EVP_sha256, (void))                                               \
    F(const void *, BIO_s_mem, (void))                                                \
    F(void *, BIO_new, (const void *))                                                \
    F(void *, BIO_new_dgram, (int, int))                                              \
    F(int, BIO_read, (void *, void *, int))                                           \
    F(int, BIO_write, (void *, const void *, int))                                    \
    F(unsigned long, ERR_get_error, (void))

#define DECLARE(result, name, parameters) static result(*name) parameters;
OTHERS(DECLARE)

struct end {
    void *context, *ssl;
    int fd;
};

static const char *certificate_file, *key_file;
static struct end ends[2];
static int called, answer;

static void turn_to(int end)
{
    who = end ? "server" : "client";
}

static int verify(int good, void *store)
{
    (void)good, (void)store;
    called++;
    return answer;
}

static int verify_all(void *store, void *argument)
{
    (void)store, (void)argument;
    called++;
    return answer;
}

static int choose(void *ssl, const unsigned char **out, unsigned char *length, const unsigned char *in, unsigned in_length, void *argument)
{
    (void)ssl, (void)argument;
    *out = in + 1;
    *length = in[0];
    return in_length ? 0 : 3;
}

/* What the last call has left behind. */
static void say_rest(int end, const char *name, long result, int error, size_t done)
{
    void *ssl = ends[end].ssl;
    turn_to(end);
    say("%s = %ld, error %d, want %d, done %zd, shutdown %d%s", name, result, C(SSL_get_error)(ssl, (int)result), C(SSL_want)(ssl),
        (ssize_t)done, C(SSL_get_shutdown)(ssl), error == EXDEV ? "" : ", errno");
    for (unsigned long code; (code = ERR_get_error());) {
        say("queue %lx", code);
    }
}

#define DO(end, name, ...)                                              \
    do {                                                                \
        errno = EXDEV;                                                  \
        long result_ = (long)C(name)(ends[end].ssl, ##__VA_ARGS__);     \
        say_rest(end, #name, result_, errno, done);                     \
    } while (0)

/* What one end has written into its memory comes to the other; over a socket, it is waited for. */
static void carry(void)
{
    char octets[65536];
    for (int i = 0; i < 2; i++) {
        if (ends[i].fd >= 0) {
            wait_for(ends[i].fd);
            continue;
        }
        for (int n; (n = BIO_read(SSL_get_wbio(ends[i].ssl), octets, sizeof octets)) > 0;) {
            BIO_write(SSL_get_rbio(ends[!i].ssl), octets, n);
        }
    }
}

static void prepare(enum transport transport, int version)
{
    int fds[2];
    size_t done = 77;
    connect_ends(transport, fds);
    for (int i = 0; i < 2; i++) {
        struct end *e = &ends[i];
        turn_to(i);
        e->fd = fds[i];
        e->context = SSL_CTX_new(transport == DATAGRAMS ? DTLS_method() : TLS_method());
        SSL_CTX_use_certificate_file(e->context, certificate_file, 1);
        SSL_CTX_use_PrivateKey_file(e->context, key_file, 1);
        SSL_CTX_set_alpn_select_cb(e->context, choose, NULL);
        SSL_CTX_set_num_tickets(e->context, 0);
        if (version) {
            SAY(SSL_CTX_ctrl, e->context, 123, version, NULL); /* SSL_CTRL_SET_MIN_PROTO_VERSION, and its maximum */
            SAY(SSL_CTX_ctrl, e->context, 124, version, NULL);
        }
        SAY(SSL_CTX_ctrl, e->context, 92, 0, (void *)"X25519:P-256"); /* SSL_CTRL_SET_GROUPS_LIST */
        SAY(SSL_CTX_ctrl, e->context, 92, 0, (void *)"no such group");
        SAY(SSL_CTX_ctrl, e->context, 98, 0, (void *)"RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA256"); /* SSL_CTRL_SET_SIGALGS_LIST */
        SAY(SSL_CTX_ctrl, NULL, 33, 0, NULL);
        SAY(SSL_CTX_set_alpn_protos, e->context, (const unsigned char *)"\x05h", 2);
        SAY(SSL_CTX_set_alpn_protos, e->context, NULL, 0);
        SAY(SSL_CTX_set_alpn_protos, e->context, (const unsigned char *)"\x02h2", 3);
        e->ssl = SSL_new(e->context);
        SAY(SSL_set_alpn_protos, e->ssl, (const unsigned char *)"\x00", 1);
        SAY(SSL_set_alpn_protos, e->ssl, (const unsigned char *)"\x02h2", 3);
        DO(i, SSL_ctrl, 33, 1, NULL); /* SSL_CTRL_MODE */
        DO(i, SSL_ctrl, 92, 0, (void *)"P-256:X25519");
        DO(i, SSL_ctrl, 92, 0, (void *)"no such group");
        DO(i, SSL_ctrl, 9999, 0, NULL);
        DO(i, SSL_pending);
        DO(i, SSL_has_pending);
        DO(i, SSL_shutdown); /* before any handshake */
        if (transport == MEMORY) {
            SSL_set_bio(e->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        } else if (transport == DATAGRAMS) {
            void *bio = BIO_new_dgram(e->fd, 0);
            SSL_set_bio(e->ssl, bio, bio);
        } else {
            SSL_set_fd(e->ssl, e->fd);
        }
    }
    C(SSL_ctrl)(ends[0].ssl, 55, 0, (void *)"dl.test"); /* SSL_CTRL_SET_TLSEXT_HOSTNAME */
    SSL_set_accept_state(ends[1].ssl);
    SSL_set_connect_state(ends[0].ssl);
}

static void finish(void)
{
    for (int i = 0; i < 2; i++) {
        SSL_free(ends[i].ssl);
        SSL_CTX_free(ends[i].context);
        if (ends[i].fd >= 0) {
            close(ends[i].fd);
        }
    }
    while (ERR_get_error()) {
    }
}

/* The ways that lead to a handshake. */
enum way { BY_NAME, BY_HANDSHAKE, BY_READ, BY_WRITE };

static int step(int end, enum way way)
{
    void *ssl = ends[end].ssl;
    size_t done;
    char octets[4];
    switch (way) {
    case BY_NAME: return end ? SSL_accept(ssl) : C(SSL_connect)(ssl);
    case BY_HANDSHAKE: return C(SSL_do_handshake)(ssl);
    case BY_READ: return C(SSL_peek_ex)(ssl, octets, sizeof octets, &done) || C(SSL_get_error)(ssl, 0) == 2 ? -1 : 0;
    default: return C(SSL_write_early_data)(ssl, octets, sizeof octets, &done) - 1;
    }
}

static bool shake_hands(const char *what, enum way way)
{
    bool refused = false;
    called = 0;
    for (int tries = 0; tries < 100 && !refused && (strcmp(SSL_state_string(ends[0].ssl), "SSLOK ") || strcmp(SSL_state_string(ends[1].ssl), "SSLOK ")); tries++) {
        int end = tries % 2, result = step(end, tries < 2 ? way : way == BY_WRITE ? BY_HANDSHAKE : way);
        int error = result > 0 ? 0 : C(SSL_get_error)(ends[end].ssl, result);
        refused = error == 1 && (way != BY_WRITE || tries > 1);
        if (refused) {
            say_rest(end, what, result, EXDEV, 77);
        }
        carry();
    }
    while (ERR_get_error()) {
    }
    turn_to(0);
    say("handshake, %s: %s, called %d", what, SSL_state_string(ends[0].ssl), called);
    turn_to(1);
    say("handshake, %s: %s", what, SSL_state_string(ends[1].ssl));
    return !refused;
}

static void talk(int from)
{
    static const char request[] = "GET /file HTTP/1.1\r\nHost: dl.test\r\n\r\n";
    char octets[100] = "";
    int to = !from;
    size_t done = 77;
    DO(from, SSL_write, request, sizeof request - 1);
    DO(from, SSL_write, request, 0);
    DO(from, SSL_write, request, -1);
    carry();
    DO(to, SSL_has_pending);
    DO(to, SSL_peek, octets, 0);
    DO(to, SSL_peek, octets, 4);
    DO(to, SSL_pending);
    DO(to, SSL_read, octets, 0);
    DO(to, SSL_read, octets, -1);
    DO(to, SSL_read, octets, 4);
    DO(to, SSL_has_pending);
    DO(to, SSL_read, octets + 4, 90);
    say("%s", octets);
    DO(to, SSL_pending);
    DO(to, SSL_read, octets, 10);
    DO(to, SSL_peek, octets, 10);
    DO(from, SSL_write_ex, "extended", 8, &done);
    done = 77;
    DO(from, SSL_write_ex, "", 0, &done);
    carry();
    done = 77;
    DO(to, SSL_peek_ex, octets, 0, &done);
    DO(to, SSL_peek_ex, octets, 4, &done);
    done = 77;
    DO(to, SSL_read_ex, octets, 0, &done);
    DO(to, SSL_read_ex, octets, 90, &done);
    say("%.8s", octets);
    done = 77;
    DO(to, SSL_read_ex, octets, 10, &done);
    done = 77;
    DO(to, SSL_peek_ex, octets, 10, &done);
    done = 77;
    DO(from, SSL_write_early_data, "early", 5, &done);
}

static void examine(void)
{
    void *certificate = SSL_get_certificate(ends[1].ssl);
    unsigned char octets[4000], *at = octets;
    unsigned length = 0;
    void *peer = SSL_get1_peer_certificate(ends[0].ssl);
    if (peer) {
        SAY(X509_cmp, certificate, peer);
    }
    X509_free(peer);
    SAY(i2d_X509, certificate, NULL);
    SAY(i2d_X509, certificate, &at);
    say("%d octets, %d", (int)(at - octets), octets[9]);
    at = octets;
    SAY(i2d_X509_PUBKEY, X509_get_X509_PUBKEY(certificate), &at);
    SAY(i2d_X509_PUBKEY, NULL, NULL);
    say("%d octets, %d", (int)(at - octets), octets[9]);
    SAY(X509_digest, certificate, EVP_sha256(), octets, &length);
    SAY(X509_pubkey_digest, certificate, EVP_sha256(), octets, &length);
    SAY(X509_digest, certificate, EVP_sha256(), octets, NULL);
    say("%u octets, %d", length, octets[9]);
}

static void walk(enum transport transport, int version)
{
    static const char *const names[] = { "TCP", "reversed TCP", "UNIX", "memory", "DTLS" };
    char octets[100];
    size_t done = 77;
    snprintf(where, sizeof where, "%s %s", names[transport], version == 0x304 ? "1.3" : "1.2");

    /* Whose verification says no, in turn: that of certificates or that of all, of the client or of the server. */
    for (int how = 0; how < 4; how++) {
        prepare(transport, version);
        answer = 0;
        SSL_free(ends[how & 1].ssl);
        SSL_CTX_set_verify(ends[how & 1].context, 3, how & 2 ? NULL : verify);
        C(SSL_CTX_set_cert_verify_callback)(ends[how & 1].context, how & 2 ? verify_all : NULL, NULL);
        ends[how & 1].ssl = SSL_new(ends[how & 1].context);
        if (transport == MEMORY) {
            SSL_set_bio(ends[how & 1].ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        } else if (transport == DATAGRAMS) {
            void *bio = BIO_new_dgram(ends[how & 1].fd, 0);
            SSL_set_bio(ends[how & 1].ssl, bio, bio);
        } else {
            SSL_set_fd(ends[how & 1].ssl, ends[how & 1].fd);
        }
        how & 1 ? SSL_set_accept_state(ends[1].ssl) : SSL_set_connect_state(ends[0].ssl);
        shake_hands("refused", how & 2 ? BY_HANDSHAKE : BY_NAME);
        DO(!(how & 1), SSL_read, octets, 10);
        finish();
    }

    for (enum way way = BY_NAME; way <= BY_WRITE; way++) {
        prepare(transport, version);
        answer = 1;
        SSL_CTX_set_verify(ends[0].context, 0, verify);
        if (shake_hands("accepted", way)) {
            for (int i = 0; i < 2; i++) {
                const unsigned char *alpn = NULL;
                unsigned length = 0;
                SSL_get0_alpn_selected(ends[i].ssl, &alpn, &length);
                turn_to(i);
                say("%s, %.*s", SSL_get_version(ends[i].ssl), (int)length, alpn);
                talk(i);
            }
            examine();
            for (int i = 0; i < 2; i++) {
                DO(i, SSL_key_update, 1);
                DO(i, SSL_key_update, 7);
                DO(i, SSL_write, "after", 5);
                carry();
                DO(!i, SSL_read, octets, 10);
                carry();
                DO(i, SSL_read, octets, 10);
            }
            if (version != 0x304 || way == BY_NAME) {
                for (int i = 0; i < 2; i++) {
                    DO(i, SSL_renegotiate);
                }
                for (int tries = 0; tries < 6; tries++) {
                    DO(tries % 2, SSL_do_handshake);
                    carry();
                    DO(!(tries % 2), SSL_read, octets, 10);
                }
            }
            DO(0, SSL_shutdown);
            carry();
            DO(1, SSL_read, octets, 10);
            DO(1, SSL_write, "late", 4);
            DO(1, SSL_shutdown);
            carry();
            DO(0, SSL_shutdown);
            DO(0, SSL_write, "late", 4);
            DO(0, SSL_clear);
            DO(1, SSL_clear);
        }
        finish();
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 3) {
        return 2;
    }
    certificate_file = argv[1];
    key_file = argv[2];
    void *library = open_library("libssl.so.3");
#define LOOK(result, name, parameters) name = (result(*) parameters)look(library, #name);
    OTHERS(LOOK)
    for (int t = 0; t < TRANSPORTS; t++) {
        if (t == DATAGRAMS) {
            walk(t, 0);
        } else {
            walk(t, 0x303);
            walk(t, 0x304);
        }
    }
    return missed((const char *const[]){ "SSL_c", "SSL_d", "SSL_r", "SSL_p", "SSL_w", "SSL_h", "SSL_g", "SSL_s", "SSL_k", "SSL_CTX_", "X509_", "i2d_", NULL });
}
