/* hello.c: reads ClientHellos; see hello.h. */
#include "hello.h"

#include <string.h>

#define HANDSHAKE 22
#define CLIENT_HELLO 1
#define SERVER_NAME 0
#define PROTOCOLS 16

/* A record's header, a handshake message's (RFC 8446 §4, §5.1), legacy_version. */
#define RANDOM_AT 11

/* Octets that are still to be read. */
struct octets {
    const uint8_t *at;
    size_t left;
};

static size_t number(struct octets *from, size_t size)
{
    size_t n = 0;
    for (; size; size--) {
        n = n << 8 | (from->left ? *from->at : 0);
        from->at += from->left > 0;
        from->left -= from->left > 0;
    }
    return n;
}

/* A vector (RFC 8446 §3.4) whose length is written in so many octets; less, where it is cut off. */
static struct octets vector(struct octets *from, size_t size)
{
    size_t length = number(from, size);
    struct octets v = { from->at, length < from->left ? length : from->left };
    from->at += v.left;
    from->left -= v.left;
    return v;
}

static void read_protocols(struct hello *hello, struct octets extension)
{
    struct octets list = vector(&extension, 2);
    hello->protocols = true;
    while (list.left) {
        struct octets p = vector(&list, 1);
        hello->http = hello->http || (p.left == 2 && !memcmp(p.at, "h2", 2))
            || (p.left == 8 && (!memcmp(p.at, "http/1.1", 8) || !memcmp(p.at, "http/1.0", 8)));
    }
}

static void read_name(struct hello *hello, struct octets extension)
{
    struct octets list = vector(&extension, 2);
    if (number(&list, 1) == 0) { /* host_name */
        struct octets name = vector(&list, 2);
        if (name.left < sizeof hello->name && !memchr(name.at, 0, name.left)) {
            memcpy(hello->name, name.at, name.left);
            hello->name[name.left] = 0;
        }
    }
}

const uint8_t *hello_random(const uint8_t *octets, size_t count)
{
    bool is = count >= RANDOM_AT + HELLO_RANDOM && octets[0] == HANDSHAKE && octets[5] == CLIENT_HELLO;
    return is ? octets + RANDOM_AT : NULL;
}

void hello_read(struct hello *hello, const uint8_t *octets, size_t count)
{
    struct octets record = { octets, count };
    memset(hello, 0, sizeof *hello);
    bool is = number(&record, 1) == HANDSHAKE;
    number(&record, 4); /* version, length */
    is = is && number(&record, 1) == CLIENT_HELLO;
    number(&record, 3 + 2 + HELLO_RANDOM); /* length, version, random */
    if (!is) {
        return;
    }
    vector(&record, 1); /* session_id */
    vector(&record, 2); /* cipher_suites */
    vector(&record, 1); /* compression_methods */
    for (struct octets extensions = vector(&record, 2); extensions.left;) {
        size_t type = number(&extensions, 2);
        struct octets extension = vector(&extensions, 2);
        if (type == PROTOCOLS) {
            read_protocols(hello, extension);
        } else if (type == SERVER_NAME) {
            read_name(hello, extension);
        }
    }
}
