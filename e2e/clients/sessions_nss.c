/* sessions_nss.c: see sessions.h. It has no server, which would need a database of keys: its sessions meet a peer that speaks no TLS. */
#include "sessions.h"

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

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGPIPE, SIG_IGN);
    void *library = open_library("libssl3.so");
#define LOOK(result, name, parameters) name = (result(*) parameters)look(library, #name);
    OTHERS(LOOK)
    if (NSS_NoDB_Init(NULL) || NSS_SetDomesticPolicy()) {
        return 2;
    }
    walk("not connected", -1);
    walk("ended", answered(UNIX, ""));
    walk("ended, TCP", answered(TCP, ""));
    walk("no TLS", answered(UNIX, "HTTP/1.1 400 no TLS\r\n\r\n"));
    walk("no TLS, TCP", answered(TCP, "HTTP/1.1 400 no TLS\r\n\r\n"));
    return missed((const char *const[]){ "SSL_ImportFD", "SSL_Force", "SSL_AuthCert", "SSL_ClientCert", "SSL_ReHandshake", "SSL_SetNext", NULL });
}
