/* hosts.c: see hosts.h. */
#include "hosts.h"

#include <stdbool.h>
#include <string.h>

#include "../../cgo/abi.h"
#include "../../shim/framing/hello.h"
#include "openssl.h"

/* The oldest goes. */
#define PASSED 1024
#define SESSIONS 64

/* Those that a program has refused are by themselves: servers that do not verify, of which there may be any number, do not push them out. */
static struct list {
    struct {
        char host[HELLO_NAME];
        unsigned why;
    } at[PASSED];
    unsigned next;
} refused, passed;

static struct {
    char host[HELLO_NAME];
    uint16_t port;
    void *session;
} sessions[SESSIONS];
static unsigned sessions_next;

static unsigned why_in(const struct list *list, const char *host)
{
    for (unsigned i = 0; i < PASSED; i++) {
        if (list->at[i].why && !strcmp(list->at[i].host, host)) {
            return list->at[i].why;
        }
    }
    return MS_WHY_NONE;
}

unsigned hosts_why_passed(const char *host)
{
    unsigned why = why_in(&refused, host);
    return why ? why : why_in(&passed, host);
}

void hosts_pass(const char *host, unsigned why)
{
    struct list *list = why == MS_WHY_TLS_REFUSED ? &refused : &passed;
    if (!hosts_why_passed(host)) {
        strcpy(list->at[list->next % PASSED].host, host);
        list->at[list->next++ % PASSED].why = why;
    }
}

void hosts_keep_session(const char *host, uint16_t port, void *session)
{
    unsigned at = sessions_next++ % SESSIONS;
    if (sessions[at].session) {
        openssl.SSL_SESSION_free(sessions[at].session);
    }
    sessions[at].session = session;
    sessions[at].port = port;
    strcpy(sessions[at].host, host);
}

void hosts_resume(const char *host, uint16_t port, void *ssl)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (sessions[i].session && sessions[i].port == port && !strcmp(sessions[i].host, host)) {
            openssl.SSL_set_session(ssl, sessions[i].session);
            openssl.SSL_SESSION_free(sessions[i].session); /* each is used once (RFC 8446 §C.4) */
            sessions[i].session = NULL;
            return;
        }
    }
}
