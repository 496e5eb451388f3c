/* sessions_gnutls.c CERTIFICATE KEY: see sessions.h. */
#include "sessions.h"

typedef struct {
    const void *data;
    unsigned size;
} datum;

#define SERVER 1
#define CLIENT 2
#define DATAGRAM 4
#define NONBLOCK 8
#define NO_TICKETS (1 << 8)
#define POST_HANDSHAKE_AUTH (1 << 10)

#define OTHERS(F)                                                                     \
    F(int, gnutls_certificate_allocate_credentials, (void **))                        \
    F(void, gnutls_certificate_free_credentials, (void *))                            \
    F(int, gnutls_certificate_set_x509_key_file, (void *, const char *, const char *, int)) \
    F(int, gnutls_credentials_set, (void *, int, void *))                             \
    F(void, gnutls_transport_set_int2, (void *, int, int))                            \
    F(void, gnutls_transport_set_ptr, (void *, void *))                               \
    F(void, gnutls_certificate_server_set_request, (void *, int))                     \
    F(int, gnutls_priority_init, (void **, const char *, const char **))              \
    F(void, gnutls_priority_deinit, (void *))                                         \
    F(int, gnutls_alpn_get_selected_protocol, (void *, datum *))                      \
    F(char *, gnutls_session_get_desc, (void *))                                      \
    F(int, gnutls_x509_crt_init, (void **))                                           \
    F(int, gnutls_x509_crt_import, (void *, const datum *, int))                      \
    F(void, gnutls_x509_crt_deinit, (void *))                                         \
    F(int, gnutls_pubkey_init, (void **))                                             \
    F(int, gnutls_pubkey_import_x509, (void *, void *, unsigned))                     \
    F(void, gnutls_pubkey_deinit, (void *))                                           \
    F(void, gnutls_packet_get, (void *, datum *, unsigned char *))                    \
    F(void, gnutls_packet_deinit, (void *))                                           \
    F(int, gnutls_server_name_get, (void *, void *, size_t *, unsigned *, unsigned))

#define DECLARE(result, name, parameters) static result(*name) parameters;
OTHERS(DECLARE)

static const char *certificate_file, *key_file;

struct end {
    void *session, *credentials;
    int fd;
    unsigned char memory[65536]; /* what has come */
    size_t length;
    struct end *other;
};

static struct end ends[2];
static int verified[2], answer;

static int verify(void *session)
{
    for (int i = 0; i < 2; i++) {
        verified[i] += ends[i].session == session;
    }
    return answer;
}

static ssize_t push(void *end, const void *octets, size_t length)
{
    struct end *to = ((struct end *)end)->other;
    memcpy(to->memory + to->length, octets, length);
    to->length += length;
    return (ssize_t)length;
}

static ssize_t push_vector(void *end, const struct iovec *vector, int count)
{
    ssize_t n = 0;
    for (int i = 0; i < count; i++) {
        n += push(end, vector[i].iov_base, vector[i].iov_len);
    }
    return n;
}

static ssize_t pull(void *end, void *octets, size_t length)
{
    struct end *from = end;
    size_t n = length < from->length ? length : from->length;
    if (!n) {
        C(gnutls_transport_set_errno)(from->session, EAGAIN);
        return -1;
    }
    memcpy(octets, from->memory, n);
    memmove(from->memory, from->memory + n, from->length -= n);
    return (ssize_t)n;
}

static int pull_timeout(void *end, unsigned ms)
{
    (void)ms;
    return ((struct end *)end)->length > 0;
}

static void turn_to(int end)
{
    who = end ? "server" : "client";
}

/* Makes the two sessions, and says what the functions answer that prepare one. */
static void prepare(enum transport transport, const char *priorities)
{
    int fds[2];
    unsigned kind = transport == DATAGRAMS ? DATAGRAM | NONBLOCK : NONBLOCK;
    connect_ends(transport, fds);
    for (int i = 0; i < 2; i++) {
        struct end *e = &ends[i];
        turn_to(i);
        *e = (struct end){ .fd = fds[i], .other = &ends[!i] };
        SAY(gnutls_init, &e->session, (i ? SERVER : CLIENT | POST_HANDSHAKE_AUTH) | kind | NO_TICKETS);
        void *prepared;
        gnutls_priority_init(&prepared, priorities, NULL);
        SAY(gnutls_set_default_priority, e->session);
        SAY(gnutls_priority_set, e->session, NULL);
        const char *wrong = "NORMAL:+NOSUCH", *at = NULL;
        SAY(gnutls_priority_set_direct, e->session, wrong, &at);
        say("error at %ld", at ? (long)(at - wrong) : -1L);
        SAY(gnutls_priority_set_direct, e->session, NULL, NULL);
        SAY(gnutls_priority_set_direct, e->session, priorities, NULL);
        SAY(gnutls_priority_set, e->session, prepared);
        gnutls_priority_deinit(prepared);
        char longer[400];
        memset(longer, 'a', sizeof longer);
        SAY(gnutls_server_name_set, e->session, 2, "dl.test", 7);
        SAY(gnutls_server_name_set, e->session, 1, longer, sizeof longer);
        SAY(gnutls_server_name_set, e->session, 1, "", 0);
        SAY(gnutls_server_name_set, e->session, 1, "dl.test", 7);
        datum many[9], two[] = { { "h2", 2 }, { "http/1.1", 8 } }, wide = { longer, 300 };
        for (unsigned n = 0; n < 9; n++) {
            many[n] = two[n % 2];
        }
        SAY(gnutls_alpn_set_protocols, e->session, many, 9, 0);
        SAY(gnutls_alpn_set_protocols, e->session, &wide, 1, 0);
        SAY(gnutls_alpn_set_protocols, e->session, NULL, 0, 0);
        /* What a client over TCP offers, Midstream changes (tls.http2): there it offers one alone. */
        SAY(gnutls_alpn_set_protocols, e->session, two, i || transport == DATAGRAMS ? 2 : 1, 0);
        gnutls_certificate_allocate_credentials(&e->credentials);
        gnutls_certificate_set_x509_key_file(e->credentials, certificate_file, key_file, 1);
        gnutls_credentials_set(e->session, 1, e->credentials);
        if (transport == MEMORY) {
            gnutls_transport_set_ptr(e->session, e);
            C(gnutls_transport_set_vec_push_function)(e->session, push_vector);
            if (i) {
                C(gnutls_transport_set_push_function)(e->session, push);
            }
            C(gnutls_transport_set_pull_function)(e->session, pull);
            C(gnutls_transport_set_pull_timeout_function)(e->session, pull_timeout);
        } else {
            gnutls_transport_set_int2(e->session, e->fd, e->fd);
        }
    }
    gnutls_certificate_server_set_request(ends[1].session, 1);
}

static void finish(void)
{
    for (int i = 0; i < 2; i++) {
        turn_to(i);
        C(gnutls_deinit)(ends[i].session);
        gnutls_certificate_free_credentials(ends[i].credentials);
        if (ends[i].fd >= 0) {
            close(ends[i].fd);
        }
    }
}

/* Shakes hands, both ends in turn, and says how that ended. */
static bool shake_hands(const char *what)
{
    int results[2] = { -28, -28 };
    bool refused = false;
    verified[0] = verified[1] = 0;
    for (int tries = 0; tries < 100 && !refused && (results[0] || results[1]); tries++) {
        int i = tries % 2;
        if (results[i]) {
            results[i] = C(gnutls_handshake)(ends[i].session);
            refused = results[i] && results[i] != -28 && results[i] != -52;
            wait_for(ends[i].fd);
        }
    }
    turn_to(0);
    say("handshake, %s = %d, verified %d", what, results[0], verified[0]);
    turn_to(1);
    say("handshake, %s = %d, verified %d", what, results[1], verified[1]);
    return !results[0] && !results[1];
}

static void get(int end, size_t length)
{
    char octets[1000] = "";
    ssize_t n = -28;
    wait_for(ends[!end].fd);
    for (int tries = 0; tries < 4 && n == -28; tries++) {
        n = C(gnutls_record_recv)(ends[end].session, octets, length);
    }
    turn_to(end);
    say("recv = %zd, %.*s", n, n > 0 ? (int)n : 0, octets);
}

/* Octets one way, in all ways that there are. */
static void talk(int from)
{
    static const char request[] = "GET /file HTTP/1.1\r\nHost: dl.test\r\n\r\n";
    struct end *a = &ends[from], *b = &ends[!from];
    turn_to(from);
    SAY(gnutls_record_send, a->session, request, sizeof request - 1);
    get(!from, 10);
    SAY(gnutls_record_check_pending, b->session);
    get(!from, 500);
    SAY(gnutls_record_check_pending, b->session);
    SAY(gnutls_record_get_direction, b->session);
    SAY(gnutls_record_recv, b->session, (char[10]){ 0 }, 10);
    SAY(gnutls_record_recv, b->session, NULL, 0);
    turn_to(from);
    SAY(gnutls_record_send, a->session, "", 0);
    SAY(gnutls_record_get_direction, a->session);
    C(gnutls_record_cork)(a->session);
    SAY(gnutls_record_send, a->session, "corked", 6);
    SAY(gnutls_record_send, a->session, " twice", 6);
    turn_to(!from);
    SAY(gnutls_record_recv, b->session, (char[10]){ 0 }, 10);
    turn_to(from);
    SAY(gnutls_record_uncork, a->session, 0);
    SAY(gnutls_record_uncork, a->session, 1);
    get(!from, 500);
    turn_to(from);
    SAY(gnutls_record_send2, a->session, "padded", 6, 100, 0);
    unsigned char sequence[8] = { 0 };
    char octets[100] = "";
    wait_for(a->fd);
    turn_to(!from);
    SAY(gnutls_record_recv_seq, b->session, octets, sizeof octets, sequence);
    say("%s, sequence %d %d", octets, sequence[0], sequence[7]);
    turn_to(from);
    size_t range[2] = { 10, 20 };
    SAY(gnutls_record_send_range, a->session, "range", 5, range);
    SAY(gnutls_record_send_early_data, a->session, "early", 5);
    void *packet = NULL;
    wait_for(a->fd);
    turn_to(!from);
    SAY(gnutls_record_recv_packet, b->session, &packet);
    if (packet) {
        datum content = { NULL, 0 };
        gnutls_packet_get(packet, &content, NULL);
        say("%.*s", (int)content.size, (const char *)content.data);
        gnutls_packet_deinit(packet);
    }
    SAY(gnutls_record_recv_packet, b->session, &packet);
}

static void examine(int end)
{
    unsigned count = 0;
    unsigned char octets[1000];
    size_t length;
    void *certificate, *key;
    const datum *peers = C(gnutls_certificate_get_peers)(ends[end].session, &count);
    turn_to(end);
    say("%u certificates", count);
    unsigned status = 0;
    struct {
        int type;
        const void *data;
        unsigned size;
    } data = { 1, "dl.test", 0 }; /* GNUTLS_DT_DNS_HOSTNAME */
    datum answer_there = { NULL, 0 };
    SAY(gnutls_certificate_verify_peers, ends[end].session, &data, 1, &status);
    say("status %x", status);
    SAY(gnutls_certificate_verify_peers2, ends[end].session, &status);
    say("status %x", status);
    SAY(gnutls_certificate_verify_peers3, ends[end].session, "other.test", &status);
    say("status %x", status);
    SAY(gnutls_certificate_expiration_time_peers, ends[end].session);
    SAY(gnutls_certificate_activation_time_peers, ends[end].session);
    SAY(gnutls_ocsp_status_request_get, ends[end].session, &answer_there);
    SAY(gnutls_ocsp_status_request_get2, ends[end].session, 1, &answer_there);
    SAY(gnutls_ocsp_status_request_is_checked, ends[end].session, 0);
    if (!peers) {
        return;
    }
    gnutls_x509_crt_init(&certificate);
    gnutls_x509_crt_import(certificate, peers, 0);
    gnutls_pubkey_init(&key);
    gnutls_pubkey_import_x509(key, certificate, 0);
#define MEASURE(name, ...)                                   \
    length = sizeof octets;                                  \
    SAY(name, __VA_ARGS__, octets, &length);                 \
    say("%zu octets, %d %d", length, octets[0], octets[length - 1]); \
    length = 1;                                              \
    SAY(name, __VA_ARGS__, octets, &length);                 \
    say("%zu octets", length);
    MEASURE(gnutls_pubkey_export, key, 0)
    MEASURE(gnutls_pubkey_get_key_id, key, 1)
    MEASURE(gnutls_x509_crt_get_key_id, certificate, 1)
    MEASURE(gnutls_x509_crt_get_fingerprint, certificate, 6)
    MEASURE(gnutls_fingerprint, 6, peers)
    gnutls_pubkey_deinit(key);
    gnutls_x509_crt_deinit(certificate);
}

static void describe(int end)
{
    datum alpn = { NULL, 0 };
    char name[100] = "";
    size_t length = sizeof name;
    unsigned type = 0;
    turn_to(end);
    char *text = gnutls_session_get_desc(ends[end].session);
    int found = gnutls_alpn_get_selected_protocol(ends[end].session, &alpn);
    say("%s, %d %.*s", text, found, (int)alpn.size, (const char *)alpn.data);
    found = gnutls_server_name_get(ends[end].session, name, &length, &type, 0);
    say("name %d %s", found, name);
    free(text);
}

static void walk(enum transport transport, const char *priorities, bool is_13)
{
    static const char *const names[] = { "TCP", "reversed TCP", "UNIX", "memory", "DTLS" };
    char octets[10];
    snprintf(where, sizeof where, "%s %s", names[transport], is_13 ? "1.3" : "1.2");

    /* Whose verification says no, in turn: the credentials' or the session's, of the client or of the server. */
    for (int how = 0; how < 4; how++) {
        prepare(transport, priorities);
        answer = -1;
        if (how & 2) {
            C(gnutls_session_set_verify_function)(ends[how & 1].session, verify);
        } else {
            C(gnutls_certificate_set_verify_function)(ends[how & 1].credentials, verify);
        }
        shake_hands("refused");
        turn_to(how & 1);
        SAY(gnutls_alert_get, ends[!(how & 1)].session);
        SAY(gnutls_record_recv, ends[how & 1].session, octets, sizeof octets);
        finish();
    }

    prepare(transport, priorities);
    C(gnutls_session_set_verify_cert)(ends[0].session, "dl.test", 0);
    shake_hands("with a name to verify, and no authority");
    finish();

    prepare(transport, priorities);
    answer = 0;
    for (int i = 0; i < 2; i++) {
        C(gnutls_certificate_set_verify_function)(ends[i].credentials, verify);
        C(gnutls_session_set_verify_cert)(ends[i].session, "dl.test", 0);
        C(gnutls_session_set_verify_function)(ends[i].session, verify);
        C(gnutls_session_set_verify_function)(ends[i].session, NULL);
    }
    if (shake_hands("accepted")) {
        for (int i = 0; i < 2; i++) {
            describe(i);
            examine(i);
            talk(i);
        }
        for (int i = 0; i < 2; i++) {
            datum data = { NULL, 0 };
            size_t size = 0;
            turn_to(i);
            SAY(gnutls_session_get_data2, ends[i].session, &data);
            free((void *)data.data); /* gnutls_free is free */
            SAY(gnutls_session_get_data, ends[i].session, NULL, &size);
        }
        for (int i = 0; i < 2; i++) {
            turn_to(i);
            SAY(gnutls_session_key_update, ends[i].session, 0);
            SAY(gnutls_record_send, ends[i].session, "after", 5);
            get(!i, 100);
            turn_to(i);
            SAY(gnutls_alert_send, ends[i].session, 1, 100);
            get(!i, 100);
            SAY(gnutls_alert_get, ends[!i].session);
        }
        turn_to(0);
        SAY(gnutls_rehandshake, ends[0].session);
        turn_to(1);
        if (is_13) {
            verified[0] = verified[1] = 0;
            SAY(gnutls_reauth, ends[1].session, 0);
            get(0, 100);
            turn_to(0);
            SAY(gnutls_reauth, ends[0].session, 0);
            SAY(gnutls_reauth, ends[0].session, 0);
            turn_to(1);
            SAY(gnutls_reauth, ends[1].session, 0);
            say("verified %d", verified[1]);
        } else {
            SAY(gnutls_rehandshake, ends[1].session);
            get(0, 100);
            shake_hands("again");
        }
        turn_to(0);
        SAY(gnutls_bye, ends[0].session, 1);
        get(1, 100);
        get(1, 100);
        SAY(gnutls_bye, ends[1].session, 0);
        get(0, 100);
        turn_to(0);
        SAY(gnutls_record_send, ends[0].session, "late", 4);
    }
    finish();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 3) {
        return 2;
    }
    certificate_file = argv[1];
    key_file = argv[2];
    void *library = open_library("libgnutls.so.30");
#define LOOK(result, name, parameters) name = (result(*) parameters)look(library, #name);
    OTHERS(LOOK)
    for (int t = 0; t < TRANSPORTS; t++) {
        if (t == DATAGRAMS) {
            walk(t, "NORMAL:-VERS-ALL:+VERS-DTLS1.2", false);
        } else {
            walk(t, "NORMAL:-VERS-ALL:+VERS-TLS1.2", false);
            walk(t, "NORMAL:-VERS-ALL:+VERS-TLS1.3", true);
        }
    }
    C(gnutls_deinit)(NULL);
    return missed((const char *const[]){ "gnutls_", NULL });
}
