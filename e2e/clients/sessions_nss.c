/*
 * sessions_nss.c CERTIFICATE: see sessions.h. Its sessions meet a peer that speaks no TLS and, where there is a database of keys in the folder
 * `db` beside the certificate, servers of its own.
 */
#include "sessions.h"

#include <libgen.h>
#include <signal.h>

struct part {
    const char *octets;
    int count;
};

struct waits {
    void *descriptor;
    short wanted, found;
};

#define OTHERS(F)                                                 \
    F(int, NSS_NoDB_Init, (const char *))                         \
    F(int, NSS_Init, (const char *))                              \
    F(void *, PK11_FindCertFromNickname, (const char *, void *))  \
    F(void *, PK11_FindKeyByAnyCert, (void *, void *))            \
    F(int, SSL_ConfigServerCert, (void *, void *, void *, void *, unsigned)) \
    F(int, SSL_AuthCertificateHook, (void *, void *, void *))     \
    F(int, SSL_GetNextProto, (void *, int *, unsigned char *, unsigned *, unsigned)) \
    F(int, PR_SetSocketOption, (void *, const void *))            \
    F(int, NSS_SetDomesticPolicy, (void))                         \
    F(void *, PR_OpenTCPSocket, (int))                            \
    F(void *, PR_ImportTCPSocket, (int))                          \
    F(int, PR_Close, (void *))                                    \
    F(int, PR_Read, (void *, void *, int))                        \
    F(int, PR_Write, (void *, const void *, int))                 \
    F(int, PR_Recv, (void *, void *, int, int, unsigned))         \
    F(int, PR_Send, (void *, const void *, int, int, unsigned))   \
    F(int, PR_Writev, (void *, const struct part *, int, unsigned)) \
    F(int, PR_Poll, (struct waits *, int, unsigned))              \
    F(int, PR_Available, (void *))                                \
    F(int, PR_Shutdown, (void *, int))                            \
    F(int, PR_GetError, (void))                                   \
    F(int, SSL_ResetHandshake, (void *, int))                     \
    F(int, SSL_SetURL, (void *, const char *))                    \
    F(int, SSL_DataPending, (void *))

#define DECLARE(result, name, parameters) static result(*name) parameters;
OTHERS(DECLARE)

static void told(const char *what, long result) { say("%s = %ld, error %d", what, result, result < 0 ? PR_GetError() : 0); }

#define TELL(name, ...) told(#name, (long)(name)(__VA_ARGS__))
#define TELL_HOOK(name, ...) told(#name, (long)C(name)(__VA_ARGS__))

/* All calls on a session, on a socket that is not connected, or that ends at once, or that answers what is no TLS. */
static void walk(const char *label, int fd)
{
    void *socket = fd < 0 ? PR_OpenTCPSocket(AF_INET) : PR_ImportTCPSocket(fd);
    void *model = C(SSL_ImportFD)(NULL, PR_OpenTCPSocket(AF_INET));
    void *session = C(SSL_ImportFD)(model, socket);
    struct part parts[] = { { "one", 3 }, { "", 0 }, { "two", 3 } };
    struct waits wait = { session, 3, 0 };
    char octets[64];
    snprintf(where, sizeof where, "%s", label);
    say("the same descriptor %d", session == socket);
    TELL_HOOK(SSL_SetNextProtoNego, session, (const unsigned char *)"\x08http/1.1\x02h2", 12);
    TELL_HOOK(SSL_SetNextProtoNego, session, (const unsigned char *)"\x02h2", 3);
    TELL_HOOK(SSL_SetNextProtoNego, session, (const unsigned char *)"\x05h", 2);
    TELL(SSL_SetURL, session, "dl.test");
    TELL(SSL_ResetHandshake, session, 0);
    TELL(PR_Available, session);
    TELL(SSL_DataPending, session);
    TELL(PR_Send, session, "GET / HTTP/1.1\r\n\r\n", 18, 0, 1000);
    TELL_HOOK(SSL_ForceHandshake, session);
    TELL_HOOK(SSL_AuthCertificateComplete, session, 0);
    TELL_HOOK(SSL_ClientCertCallbackComplete, session, 0, NULL, NULL);
    TELL_HOOK(SSL_ReHandshake, session, 1);
    TELL_HOOK(SSL_ReHandshakeWithTimeout, session, 1, 10);
    TELL(PR_Poll, &wait, 1, 0);
    TELL(PR_Recv, session, octets, sizeof octets, 0, 1000);
    TELL(PR_Recv, session, octets, sizeof octets, 2, 1000);
    TELL(PR_Read, session, octets, sizeof octets);
    TELL(PR_Write, session, "more", 4);
    TELL(PR_Writev, session, parts, 3, 1000);
    TELL(PR_Shutdown, session, 0);
    TELL(PR_Shutdown, session, 1);
    TELL(PR_Close, session);
    TELL(PR_Close, model);
    void *plain = PR_OpenTCPSocket(AF_INET);
    TELL_HOOK(SSL_ForceHandshake, plain); /* no session */
    TELL(PR_Close, plain);
}

/* One end of a connection at which these octets lie, and then its end. */
static int answered(enum transport transport, const char *octets)
{
    int ends[2];
    connect_ends(transport, ends);
    if (write(ends[1], octets, strlen(octets)) < 0 || shutdown(ends[1], SHUT_WR)) {
        exit(2);
    }
    return ends[0];
}

static int accept_any(void *argument, void *descriptor, int check, int is_server)
{
    (void)argument, (void)descriptor, (void)check, (void)is_server;
    return 0;
}

static void *session_on(int fd)
{
    int dont_wait[40] = { 0, 0, 1 }; /* PR_SockOpt_Nonblocking */
    void *session = C(SSL_ImportFD)(NULL, PR_ImportTCPSocket(fd));
    told("nonblocking", PR_SetSocketOption(session, dont_wait));
    return session;
}

static void tell_protocol(void *session)
{
    unsigned char chosen[32] = "";
    unsigned length = 0;
    int state = 0;
    told("SSL_GetNextProto", SSL_GetNextProto(session, &state, chosen, &length, sizeof chosen - 1));
    say("%d %.*s", state, (int)length, chosen);
}

/* A server, and a client that does not say that it is one before it shakes hands: what either offers is what it has said. */
static void serve(const char *label, enum transport transport, void *certificate, void *key)
{
    static const unsigned char both[] = "\x08http/1.1\x02h2";
    char octets[64] = "";
    int ends[2];
    snprintf(where, sizeof where, "%s", label);
    connect_ends(transport, ends);
    void *client = session_on(ends[0]), *server = session_on(ends[1]);
    TELL(SSL_ConfigServerCert, server, certificate, key, NULL, 0);
    TELL(SSL_AuthCertificateHook, client, (void *)accept_any, NULL);
    TELL_HOOK(SSL_SetNextProtoNego, server, both, sizeof both - 1);
    TELL_HOOK(SSL_SetNextProtoNego, client, both, sizeof both - 1);
    TELL(SSL_ResetHandshake, server, 1);
    TELL(SSL_ResetHandshake, client, 0);
    int done = 0;
    for (int tries = 0; done < 2 && tries < 5000; tries++, usleep(done < 2 ? 1000 : 0)) {
        done = (C(SSL_ForceHandshake)(client) == 0) + (C(SSL_ForceHandshake)(server) == 0);
    }
    say("%d have shaken hands", done);
    tell_protocol(server);
    tell_protocol(client);
    TELL(PR_Send, client, "a word", 6, 0, 1000);
    for (int tries = 0, n = -1; n < 0 && tries < 5000; tries++, usleep(n < 0 ? 1000 : 0)) {
        n = PR_Recv(server, octets, sizeof octets - 1, 0, 1000);
    }
    say("heard: %s", octets);
    TELL_HOOK(SSL_ReHandshake, server, 1);
    TELL(PR_Write, server, "more", 4);
    TELL(PR_Shutdown, server, 1);
    TELL(PR_Close, server);
    TELL(PR_Close, client);
}

static const char *database_beside(char *certificate)
{
    static char folder[4096];
    snprintf(folder, sizeof folder, "sql:%s/db", dirname(certificate));
    return access(folder + 4, F_OK) ? NULL : folder;
}

int main(int count, char **arguments)
{
    const char *database = count > 1 ? database_beside(arguments[1]) : NULL;
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGPIPE, SIG_IGN);
    void *library = open_library("libssl3.so");
#define LOOK(result, name, parameters) name = (result(*) parameters)look(library, #name);
    OTHERS(LOOK)
    if ((database ? NSS_Init(database) : NSS_NoDB_Init(NULL)) || NSS_SetDomesticPolicy()) {
        return 2;
    }
    walk("not connected", -1);
    walk("ended", answered(UNIX, ""));
    walk("ended, TCP", answered(TCP, ""));
    walk("no TLS", answered(UNIX, "HTTP/1.1 400 no TLS\r\n\r\n"));
    walk("no TLS, TCP", answered(TCP, "HTTP/1.1 400 no TLS\r\n\r\n"));
    if (database) {
        void *certificate = PK11_FindCertFromNickname("server", NULL), *key = PK11_FindKeyByAnyCert(certificate, NULL);
        serve("server, TCP", TCP, certificate, key);
        serve("server, reversed", REVERSED, certificate, key);
    }
    return missed((const char *const[]){ "SSL_ImportFD", "SSL_Force", "SSL_AuthCert", "SSL_ClientCert", "SSL_ReHandshake", "SSL_SetNext", NULL });
}
