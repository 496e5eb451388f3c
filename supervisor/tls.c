/* tls.c: see tls.h. */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../cgo/abi.h"
#include "../shim/framing/hello.h"
#include "authority/authority.h"
#include "carried.h"
#include "authority/hosts.h"
#include "authority/openssl.h"

/* A record's content (RFC 8446 §5.1), and a whole record, which a ClientHello has to fit into. */
#define CONTENT (16 << 10)
#define RECORD (CONTENT + 5)

/* One connection may carry so much before it is the others' turn. */
#define TURN (2 << 20)

/* A program that looks at certificates by itself, after the handshake, ends the connection without having said anything within this time. */
#define SECOND_LOOK_NS 1000000000LL

/* The rest of a ClientHello is waited for so long: it comes over loopback, at once, if it is one. */
#define HALF_NS 500000000LL

/* So much is read of what an end sends behind its close_notify, to find its FIN. */
#define SURPLUS (64 << 10)

enum tls_state {
    TLS_LOOKS,    /* at what comes first */
    TLS_ASKS,     /* the server, for its handshake */
    TLS_ANSWERS,  /* the program's */
    TLS_CARRIES,
    TLS_ANEW,     /* connects to the server once more, to pass the connection through */
};

struct tls {
    enum tls_state state;
    void *server, *program; /* the sessions: SSL */
    char host[HELLO_NAME];  /* whom the program means: a name, or an address */
    bool named;             /* it has said a name */
    bool offers;            /* and a list of protocols, HTTP/1.1 among them */
    bool said;              /* it has sent content */
    bool refused;           /* it has sent an alert about the certificate */
    bool server_closes, server_closed; /* close_notify has come from the server; has been passed on */
    bool program_closed;    /* the same, to the server, of the program's end */
    int64_t answered;       /* when its handshake was over */
    bool exhausted;         /* the server's connection has failed, and nothing of what came before is left */
    size_t surplus[2];      /* what has come behind close_notify, from the program and from the server */
    struct carried *of;
    int64_t half_since;     /* when the first octets of a ClientHello came; 0: it is not waited for */
    struct tls *earlier, *later; /* of those that are, in the order in which they came */
};

static struct tls *first_half, *last_half;

static void *client_context;
static unsigned char *buffer;

static struct carried *carried_by(const void *ssl) { return openssl.SSL_get_ex_data(ssl, 0); }

/* The server has sent a ticket, or its session has been made. */
static int keep_session(void *ssl, void *session)
{
    struct carried *c = carried_by(ssl);
    if (!c || !c->tls) {
        return 0; /* a twin of the preload's */
    }
    hosts_keep_session(c->tls->host, address_port(&c->peer), session);
    return 1;
}

/* The server asks for a client certificate, which only the program could have: the handshake is left. */
static int no_certificate(void *ssl, void **certificate, void **key)
{
    (void)ssl, (void)certificate, (void)key;
    return -1;
}

/* What the server has chosen; it had the same to choose from, but for what is not HTTP/1.1. */
static int choose_protocol(void *ssl, const unsigned char **chosen, unsigned char *length, const unsigned char *offered, unsigned size, void *unused)
{
    struct carried *c = carried_by(ssl);
    const unsigned char *servers = NULL;
    unsigned servers_length = 0;
    (void)offered, (void)size, (void)unused;
    openssl.SSL_get0_alpn_selected(c->tls->server, &servers, &servers_length);
    if (servers_length != 8) {
        return 3; /* SSL_TLSEXT_ERR_NOACK */
    }
    *chosen = (const unsigned char *)"http/1.1";
    *length = 8;
    return 0;
}

/* The program's alerts about certificates (RFC 8446 §6.2): bad_certificate to unknown_ca, access_denied to decrypt_error, ech_required. */
static void note_alert(const void *ssl, int where, int value)
{
    int alert = value & 0xff;
    if ((where & OPENSSL_READ_ALERT) == OPENSSL_READ_ALERT && value >> 8 == 2) {
        struct carried *c = carried_by(ssl);
        c->tls->refused = c->tls->refused || (alert >= 42 && alert <= 51) || alert == 113 || alert == 121;
    }
}

static void prepare(void *context)
{
    openssl.SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    openssl.SSL_CTX_set_info_callback(context, note_alert);
}

void tls_learn_authorities(void)
{
    if (client_context) {
        openssl.SSL_CTX_set_default_verify_paths(client_context); /* where there are none, nobody is verified */
    }
}

void tls_close(void) { client_context = NULL; }

const char *tls_open(void)
{
    struct rlimit none = { 0, 0 };
    const char *why = openssl_load();
    if (why) {
        return why;
    }
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    buffer = mmap(NULL, CONTENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED || mlock(buffer, CONTENT)) {
        return "no memory can be locked (ulimit -l)";
    }
    madvise(buffer, CONTENT, MADV_DONTDUMP);
    client_context = openssl.SSL_CTX_new(openssl.TLS_client_method());
    if (!client_context) {
        return "OpenSSL makes no context";
    }
    openssl.SSL_CTX_set_verify(client_context, OPENSSL_VERIFY_PEER, NULL);
    openssl.SSL_CTX_ctrl(client_context, OPENSSL_CTRL_EARLIEST, OPENSSL_TLS_1_2, NULL);
    openssl.SSL_CTX_ctrl(client_context, OPENSSL_CTRL_MODE, OPENSSL_MODES, NULL);
    openssl.SSL_CTX_ctrl(client_context, OPENSSL_CTRL_SESSION_CACHE, OPENSSL_CACHE_CLIENT, NULL);
    openssl.SSL_CTX_set_options(client_context, OPENSSL_NO_RENEGOTIATION);
    openssl.SSL_CTX_sess_set_new_cb(client_context, keep_session);
    openssl.SSL_CTX_set_client_cert_cb(client_context, no_certificate);
    return authority_open(prepare);
}

static void wait_for_rest(struct tls *t)
{
    if (!t->half_since) {
        t->half_since = now_ns();
        t->earlier = last_half;
        *(last_half ? &last_half->later : &first_half) = t;
        last_half = t;
    }
}

static void wait_no_more(struct tls *t)
{
    if (t->half_since) {
        *(t->earlier ? &t->earlier->later : &first_half) = t->later;
        *(t->later ? &t->later->earlier : &last_half) = t->earlier;
        t->earlier = t->later = NULL;
        t->half_since = 0;
    }
}

void tls_end(struct carried *c)
{
    struct tls *t = c->tls;
    if (!t) {
        return;
    }
    wait_no_more(t);
    if (t->program) {
        openssl.SSL_set_ex_data(t->program, 0, NULL);
        openssl.SSL_free(t->program);
    }
    if (t->server) {
        openssl.SSL_set_ex_data(t->server, 0, NULL);
        openssl.SSL_free(t->server);
    }
    free(t);
    c->tls = NULL;
}

/* What has come is looked at here, and read by whoever carries it. Past the preload, which would count it. */
static ssize_t peek(const struct end *end, void *octets, size_t size)
{
    return syscall(SYS_recvfrom, end->fd, octets, size, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
}

/* Octets are carried as they are from here on. */
static enum step pass(struct carried *c, unsigned why)
{
    if (why) {
        carried_tell_why(c, why);
    }
    tls_end(c);
    relay_begin(c);
    return STEP_DONE;
}

/* The same, over another connection: the server has seen a handshake on this one. */
static enum step pass_anew(struct carried *c, unsigned why)
{
    if (c->tls->server) {
        openssl.SSL_free(c->tls->server);
        c->tls->server = NULL;
    }
    if (!carried_anew(c)) {
        return relay_over(c, true, true);
    }
    carried_tell_why(c, why);
    c->tls->state = TLS_ANEW;
    return STEP_DONE;
}

static bool set_up_server(struct carried *c)
{
    static const unsigned char http[] = "\x08http/1.1";
    struct tls *t = c->tls;
    t->server = openssl.SSL_new(client_context);
    if (!t->server || openssl.SSL_set_fd(t->server, c->server.fd) != 1 || openssl.SSL_set_ex_data(t->server, 0, c) != 1) {
        return false;
    }
    bool set = t->named ? openssl.SSL_ctrl(t->server, OPENSSL_CTRL_NAME, 0, t->host) == 1 && openssl.SSL_set1_host(t->server, t->host) == 1
                        : openssl.X509_VERIFY_PARAM_set1_ip_asc(openssl.SSL_get0_param(t->server), t->host) == 1;
    if (set && t->offers) {
        set = !openssl.SSL_set_alpn_protos(t->server, http, sizeof http - 1);
    }
    hosts_resume(c->tls->host, address_port(&c->peer), c->tls->server);
    return set;
}

static void address_text(const union address *a, char *text, size_t size)
{
    const void *from = a->any.sa_family == AF_INET ? (const void *)&a->four.sin_addr
        : address_is_mapped(a)                     ? (const void *)&a->six.sin6_addr.s6_addr[12]
                                                   : (const void *)&a->six.sin6_addr;
    inet_ntop(a->any.sa_family == AF_INET || address_is_mapped(a) ? AF_INET : AF_INET6, from, text, (socklen_t)size);
}

/* FIN has come: epoll has told so already, in one with the octets before it. */
static bool has_ended(const struct end *end)
{
    struct pollfd about = { end->fd, POLLRDHUP, 0 };
    struct timespec now = { 0 };
    return syscall(SYS_ppoll, &about, 1, &now, NULL, 8) > 0;
}

/* A ClientHello is there. */
static enum step greeted(struct carried *c, const struct hello *hello)
{
    struct tls *t = c->tls;
    wait_no_more(t);
    if (has_ended(&c->program)) {
        return pass(c, MS_WHY_NONE); /* what it has sent is for the server, and nobody waits for an answer */
    }
    t->named = hello->name[0];
    t->offers = hello->http_1;
    if (t->named) {
        strcpy(t->host, hello->name);
    } else {
        address_text(&c->peer, t->host, sizeof t->host);
    }
    unsigned why = hosts_why_passed(t->host);
    if (why) {
        return pass(c, why);
    }
    if (!authority_has_room()) {
        return pass(c, MS_WHY_TLS_ROOM);
    }
    if (!hello->ordinary || (hello->protocols && !hello->http_1) || !authority_may(t->host)) {
        return pass(c, MS_WHY_TLS_OFFER);
    }
    if (!set_up_server(c)) {
        return pass(c, MS_WHY_TLS_ASKED);
    }
    t->state = TLS_ASKS;
    return STEP_MORE;
}

/* Whether octets can be the beginning of a record with a ClientHello (RFC 8446 §5.1), as far as they go. */
static bool may_greet(const uint8_t *octets, size_t count)
{
    return octets[0] == 22 && (count < 2 || octets[1] == 3) && (count < 3 || octets[2] <= 4) && (count < 4 || octets[3] <= CONTENT >> 8)
        && (count < 6 || octets[5] == 1);
}

static enum step look(struct carried *c)
{
    static uint8_t octets[RECORD];
    struct hello hello;
    ssize_t n = peek(&c->server, octets, 1);
    if (n >= 0 || errno != EAGAIN) {
        return pass(c, MS_WHY_NONE); /* the server speaks first, or has ended already */
    }
    n = peek(&c->program, octets, sizeof octets);
    if (n < 0 && errno == EAGAIN) {
        return STEP_DONE;
    }
    if (n <= 0 || !may_greet(octets, (size_t)n)) {
        return pass(c, MS_WHY_NONE); /* no handshake */
    }
    if (n < 5 || n < 5 + (octets[3] << 8 | octets[4])) {
        if (n == RECORD) {
            return pass(c, MS_WHY_TLS_OFFER);
        }
        wait_for_rest(c->tls);
        return STEP_DONE;
    }
    hello_read(&hello, octets, (size_t)n);
    return hello.complete ? greeted(c, &hello) : pass(c, MS_WHY_TLS_OFFER);
}

/* What a call of OpenSSL's has come to. */
enum outcome { OUTCOME_DONE, OUTCOME_WAITS, OUTCOME_ENDED, OUTCOME_FAILED };

static enum outcome outcome(void *ssl, int result)
{
    int saved = errno;
    switch (openssl.SSL_get_error(ssl, result)) {
    case OPENSSL_WANT_READ:
    case OPENSSL_WANT_WRITE:
        return OUTCOME_WAITS;
    case OPENSSL_ZERO_RETURN:
        return OUTCOME_ENDED;
    case OPENSSL_ERROR_SSL:
        errno = EPROTO;
        return (openssl.ERR_peek_error() & 0x7fffff) == 294 ? OUTCOME_ENDED : OUTCOME_FAILED; /* SSL_R_UNEXPECTED_EOF_WHILE_READING */
    default:
        errno = saved;
        return saved ? OUTCOME_FAILED : OUTCOME_ENDED;
    }
}

/* The supervisor's handshake with the server. */
static enum step ask(struct carried *c)
{
    struct tls *t = c->tls;
    openssl.ERR_clear_error();
    errno = 0;
    int result = openssl.SSL_connect(t->server);
    if (result == 1) {
        t->program = openssl.SSL_new(authority_context(t->host));
        if (!t->program || openssl.SSL_set_fd(t->program, c->program.fd) != 1 || openssl.SSL_set_ex_data(t->program, 0, c) != 1) {
            return pass_anew(c, MS_WHY_TLS_ASKED);
        }
        t->state = TLS_ANSWERS;
        return STEP_MORE;
    }
    bool asked = openssl.SSL_get_error(t->server, result) == OPENSSL_WANT_CERTIFICATE;
    enum outcome o = outcome(t->server, result);
    if (!asked && o == OUTCOME_WAITS) {
        return STEP_DONE;
    }
    unsigned why = openssl.SSL_get_verify_result(t->server) ? MS_WHY_TLS_UNVERIFIED : MS_WHY_TLS_ASKED;
    if (asked || (o == OUTCOME_FAILED && errno == EPROTO)) { /* an end of the connection says nothing of the next */
        hosts_pass(t->host, why);
    }
    return pass_anew(c, why);
}

/* The program's handshake. */
static enum step answer(struct carried *c)
{
    struct tls *t = c->tls;
    openssl.ERR_clear_error();
    errno = 0;
    int result = openssl.SSL_accept(t->program);
    if (result == 1) {
        t->state = TLS_CARRIES;
        t->answered = now_ns();
        return STEP_MORE;
    }
    enum outcome o = outcome(t->program, result);
    if (o == OUTCOME_WAITS) {
        return STEP_DONE;
    }
    hosts_pass(t->host, MS_WHY_TLS_REFUSED);
    return relay_over(c, o == OUTCOME_FAILED && errno != EPROTO, true);
}

static void *session_of(const struct carried *c, const struct end *end) { return end == &c->program ? c->tls->program : c->tls->server; }

/* Sends octets; how many are sent. *step: STEP_MORE, or what else there is to say. */
static size_t put(struct carried *c, struct way *w, const void *octets, size_t count, enum step *step)
{
    void *to = session_of(c, w->to);
    size_t done = 0;
    while (done < count) {
        openssl.ERR_clear_error();
        errno = 0;
        int n = openssl.SSL_write(to, (const char *)octets + done, (int)(count - done));
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        *step = outcome(to, n) == OUTCOME_WAITS ? STEP_DONE : relay_failed(c, w->to, errno == EPROTO || !errno ? EPIPE : errno);
        break;
    }
    return done;
}

/* Sends what has been read before. */
static enum step put_rest(struct carried *c, struct way *w)
{
    enum step step = STEP_MORE;
    size_t done = put(c, w, w->rest + w->rest_at, w->rest_length, &step);
    if (step == STEP_OVER || !w->rest) {
        return step; /* nobody takes it any more */
    }
    w->rest_at += done;
    w->rest_length -= done;
    if (!w->rest_length) {
        relay_drop(w);
    }
    return step;
}

/* The end of what comes from there, and how it is passed on: close_notify, then FIN, as each comes. */
static enum step put_end(struct carried *c, struct way *w)
{
    struct tls *t = c->tls;
    bool down = w == &c->down, *told = down ? &t->server_closed : &t->program_closed;
    ssize_t n = 0;
    if (!*told && (!down || t->server_closes)) {
        openssl.ERR_clear_error();
        errno = 0;
        int shut = openssl.SSL_shutdown(session_of(c, w->to));
        if (shut < 0 && outcome(session_of(c, w->to), shut) == OUTCOME_WAITS) {
            return STEP_DONE; /* until there is room: without it, the end would be a truncation */
        }
        *told = true;
    }
    /* What comes after it is nothing (RFC 8446 §6.1); an end that goes on with that is left to itself. */
    while (t->surplus[down] < SURPLUS && (n = syscall(SYS_recvfrom, w->from->fd, buffer, CONTENT, MSG_DONTWAIT, NULL, NULL)) > 0) {
        t->surplus[down] += (size_t)n;
    }
    if (n >= 0 || errno != EAGAIN) {
        relay_pass_end(c, w);
    }
    return STEP_DONE;
}

/* The program ends the connection, or has an error for it. */
static void look_whether_refused(struct carried *c)
{
    struct tls *t = c->tls;
    if (t->refused || (!t->said && now_ns() - t->answered < SECOND_LOOK_NS)) {
        hosts_pass(t->host, MS_WHY_TLS_REFUSED);
    }
}

/* Reads a piece, and passes it on. */
static enum step get(struct carried *c, struct way *w, size_t *done)
{
    void *from = session_of(c, w->from);
    enum step step = STEP_MORE;
    openssl.ERR_clear_error();
    errno = 0;
    int n = openssl.SSL_read(from, buffer, CONTENT);
    if (n > 0) {
        size_t sent = put(c, w, buffer, (size_t)n, &step);
        if (step == STEP_DONE && sent < (size_t)n && !relay_keep(w, buffer + sent, (size_t)n - sent)) {
            step = relay_over(c, true, true); /* octets would be missing */
        }
        explicit_bzero(buffer, (size_t)n);
        *done += (size_t)n;
        if (c->tls) {
            c->tls->said = c->tls->said || w == &c->up;
        }
        return step;
    }
    switch (outcome(from, n)) {
    case OUTCOME_WAITS:
        c->tls->exhausted = c->error;
        return c->error ? STEP_MORE : STEP_DONE;
    case OUTCOME_ENDED:
        w->ended = true;
        if (w == &c->up) {
            look_whether_refused(c);
        } else {
            c->tls->server_closes = openssl.SSL_get_error(from, n) == OPENSSL_ZERO_RETURN;
        }
        return STEP_MORE;
    default:
        if (w == &c->up) {
            look_whether_refused(c);
        } else {
            c->tls->exhausted = true;
        }
        return relay_failed(c, w->from, errno);
    }
}

static enum step carry_way(struct carried *c, struct way *w)
{
    for (size_t done = 0; done < TURN;) {
        enum step step = STEP_MORE;
        if (w->rest_length && (step = put_rest(c, w)) != STEP_MORE) {
            return step;
        }
        if (c->error && w == &c->up) {
            return STEP_DONE; /* nobody takes it any more; what the server has said before is still to be read */
        }
        if (c->error && (w->ended || c->tls->exhausted)) {
            return relay_pass_failure(c);
        }
        if (w->ended) {
            return put_end(c, w);
        }
        if ((step = get(c, w, &done)) != STEP_MORE) {
            return step;
        }
    }
    return STEP_MORE;
}

static enum step carry(struct carried *c)
{
    enum step up = carry_way(c, &c->up), down = up == STEP_OVER ? up : carry_way(c, &c->down);
    if (down == STEP_OVER) {
        return down;
    }
    if (c->up.shut && c->down.shut) {
        return relay_over(c, false, false);
    }
    return up == STEP_MORE || down == STEP_MORE ? STEP_MORE : STEP_DONE;
}

enum step tls_carry(struct carried *c)
{
    static enum step (*const steps[])(struct carried *) = { [TLS_LOOKS] = look, [TLS_ASKS] = ask, [TLS_ANSWERS] = answer, [TLS_CARRIES] = carry };
    enum step step = STEP_DONE;
    for (enum tls_state before; c->tls && c->tls->state != TLS_ANEW;) {
        before = c->tls->state;
        step = steps[before](c);
        if (step != STEP_MORE || !c->tls || c->tls->state == before) {
            break;
        }
    }
    return step;
}

int tls_look(void)
{
    int64_t now = now_ns();
    while (first_half && now - first_half->half_since >= HALF_NS) {
        pass(first_half->of, MS_WHY_NONE);
    }
    return first_half ? (int)((first_half->half_since + HALF_NS - now) / 1000000) + 1 : -1;
}

enum step tls_event(struct carried *c, struct end *end, uint32_t events)
{
    struct tls *t = c->tls;
    bool gone = end == &c->program && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (gone && (t->state == TLS_ASKS || t->state == TLS_ANEW)) {
        return relay_over(c, true, true); /* the program has waited long enough */
    }
    if (t->state == TLS_ANEW && end == &c->server) {
        int made = carried_is_made(c, events);
        if (made < 0) {
            return relay_over(c, true, true);
        }
        socklen_t length = sizeof c->local;
        return made && !getsockname(c->server.fd, &c->local.any, &length) ? pass(c, MS_WHY_NONE) : STEP_DONE;
    }
    return STEP_MORE;
}

bool tls_begin(struct carried *c)
{
    struct linger reset = { 1, 0 };
    c->tls = client_context ? calloc(1, sizeof *c->tls) : NULL;
    if (!c->tls) {
        return false;
    }
    c->tls->of = c;
    setsockopt(c->server.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* as relay_begin has it */
    setsockopt(c->program.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    relay_event(&c->program, 0);
    return true;
}
