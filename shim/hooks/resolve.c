/*
 * resolve.c: the program's look-ups. What they gave is kept in a small ring until the core is loaded, and told
 * to it directly afterwards. The newest entries win: a name is looked up shortly before it is used.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "process/calls.h"
#include "stream/channel.h"
#include "process/fork.h"
#include "process/load.h"
#include "stream/names.h"
#include "stream/stream.h"

#define ENTRIES 16
#define ENTRY_SIZE 1232 /* a DNS message as EDNS advises (RFC 9715) */

static struct entry {
    _Atomic uint32_t busy; /* being written or sent; such an entry is passed over */
    bool told;             /* to the core */
    uint16_t kind, length;
    unsigned char data[ENTRY_SIZE];
} ring[ENTRIES];
static _Atomic uint32_t next;

static void tell(uint16_t kind, const void *data, size_t length)
{
    if (!length || length > ENTRY_SIZE) {
        return;
    }
    bool told = atomic_load(&load_state) == LOAD_UP;
    if (told) {
        channel_send(NULL, kind, 0, 0, 0, 0, data, length);
    }
    struct entry *e = &ring[atomic_fetch_add(&next, 1) % ENTRIES];
    if (!atomic_exchange(&e->busy, 1)) {
        e->told = told;
        e->kind = kind;
        e->length = (uint16_t)length;
        memcpy(e->data, data, length);
        atomic_store(&e->busy, 0);
    }
}

void names_flush(void)
{
    for (int i = 0; i < ENTRIES; i++) {
        struct entry *e = &ring[i];
        if (!atomic_exchange(&e->busy, 1)) {
            if (e->length && !e->told) {
                channel_send(NULL, e->kind, 0, 0, 0, 0, e->data, e->length);
                e->told = true;
            }
            atomic_store(&e->busy, 0);
        }
    }
}

/* The addresses of an entry: after the name and its NUL, 16 octets each. */
static unsigned addresses(const struct entry *e, const unsigned char **first)
{
    const unsigned char *end = e->kind == MS_NAME ? memchr(e->data, 0, e->length) : NULL;
    *first = end ? end + 1 : NULL;
    return end ? (unsigned)((size_t)(e->data + e->length - *first) / 16) : 0;
}

/* Names are the same in any letters, and as absolute ones (RFC 4343, RFC 1034 §3.1); a server's (RFC 6066 §3) has no dot at its end. */
static bool is_of_name(const struct entry *e, const char *name)
{
    size_t count = strlen(name), whole = e->kind == MS_NAME ? strnlen((const char *)e->data, e->length) : 0;
    return whole >= count && !strncasecmp((const char *)e->data, name, count)
        && (whole == count || (whole == count + 1 && e->data[count] == '.'));
}

unsigned names_others(const char *name, const struct sockaddr_in6 *address, struct sockaddr_in6 *others, unsigned most)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    unsigned char own[16];
    bool four = address->sin6_family == AF_INET;
    unsigned found = 0;
    memcpy(own, mapped, sizeof mapped);
    memcpy(four ? own + 12 : own, four ? (const void *)&((const struct sockaddr_in *)address)->sin_addr : (const void *)&address->sin6_addr,
           four ? 4 : 16);
    for (unsigned i = 1; i <= ENTRIES && !found; i++) {
        struct entry *e = &ring[(atomic_load(&next) - i) % ENTRIES]; /* the newest first */
        const unsigned char *a;
        if (atomic_exchange(&e->busy, 1)) {
            continue;
        }
        unsigned count = is_of_name(e, name) ? addresses(e, &a) : 0;
        bool is = false;
        for (unsigned n = 0; n < count; n++) {
            is = is || !memcmp(a + (size_t)n * 16, own, 16);
        }
        for (unsigned n = 0; is && n < count && found < most; n++, a += 16) {
            if (!memcmp(a, own, 16) || four != !memcmp(a, mapped, sizeof mapped)) {
                continue;
            }
            others[found] = *address;
            memcpy(four ? (void *)&((struct sockaddr_in *)&others[found])->sin_addr : (void *)&others[found].sin6_addr, four ? a + 12 : a,
                   four ? 4 : 16);
            found++;
        }
        atomic_store(&e->busy, 0);
    }
    return found;
}

bool names_note_port(int fd, const struct sockaddr *address, socklen_t length)
{
    in_port_t port = 0;
    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        port = ((const struct sockaddr_in *)address)->sin_port;
    } else if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        port = ((const struct sockaddr_in6 *)address)->sin6_port;
    }
    if (port != htons(53)) {
        return false;
    }
    struct stream *entry = stream_entry(fd);
    if ((!entry || entry == STREAM_FRESH) && fork_same_process()) {
        stream_mark(fd, STREAM_DNS);
    }
    return true;
}

void names_dns(const void *octets, size_t count)
{
    const unsigned char *p = octets;
    int saved = errno;
    /* Over TCP two octets of length go before (RFC 1035 §4.2.2), in the same read or in one of their own. */
    if (count > 14 && (size_t)(p[0] << 8 | p[1]) == count - 2) {
        p += 2;
        count -= 2;
    }
    if (count >= 12 && p[2] & 0x80) {
        tell(MS_DNS, p, count);
    }
    errno = saved;
}

/* A message being built: the name, NUL, addresses of 16 octets. */
struct answer {
    unsigned char data[256 + 16 * 16];
    size_t length;
};

static bool answer_start(struct answer *a, const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (!n || n > 255) {
        return false;
    }
    memcpy(a->data, name, n + 1);
    a->length = n + 1;
    return true;
}

static void answer_add(struct answer *a, int family, const void *address)
{
    if (a->length + 16 > sizeof a->data) {
        return;
    }
    unsigned char *to = a->data + a->length;
    if (family == AF_INET) {
        memset(to, 0, 10);
        to[10] = to[11] = 0xff;
        memcpy(to + 12, address, 4);
    } else if (family == AF_INET6) {
        memcpy(to, address, 16);
    } else {
        return;
    }
    a->length += 16;
}

/* Not inlined: a hook's own stack stays small while the C library looks up. */
__attribute__((noinline)) static void note_addrinfo(const char *name, const struct addrinfo *list)
{
    struct answer a;
    int saved = errno;
    if (answer_start(&a, name)) {
        for (const struct addrinfo *i = list; i; i = i->ai_next) {
            if (i->ai_family == AF_INET) {
                answer_add(&a, AF_INET, &((struct sockaddr_in *)i->ai_addr)->sin_addr);
            } else if (i->ai_family == AF_INET6) {
                answer_add(&a, AF_INET6, &((struct sockaddr_in6 *)i->ai_addr)->sin6_addr);
            }
        }
        tell(MS_NAME, a.data, a.length);
    }
    errno = saved;
}

__attribute__((noinline)) static void note_hostent(const char *name, const struct hostent *entry)
{
    struct answer a;
    int saved = errno;
    if (entry && answer_start(&a, name)) {
        for (char **address = entry->h_addr_list; *address; address++) {
            answer_add(&a, entry->h_addrtype, *address);
        }
        tell(MS_NAME, a.data, a.length);
    }
    errno = saved;
}

EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int error = REAL(getaddrinfo)(node, service, hints, result);
    if (!error && node) {
        note_addrinfo(node, *result);
    }
    return error;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    struct hostent *entry = REAL(gethostbyname)(name);
    note_hostent(name, entry);
    return entry;
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    struct hostent *entry = REAL(gethostbyname2)(name, family);
    note_hostent(name, entry);
    return entry;
}

EXPORT int gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t length, struct hostent **result,
                           int *error)
{
    int failed = REAL(gethostbyname_r)(name, entry, buffer, length, result, error);
    if (!failed) {
        note_hostent(name, *result);
    }
    return failed;
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *entry, char *buffer, size_t length,
                            struct hostent **result, int *error)
{
    int failed = REAL(gethostbyname2_r)(name, family, entry, buffer, length, result, error);
    if (!failed) {
        note_hostent(name, *result);
    }
    return failed;
}
