/* hello.c: reads ClientHellos; see hello.h. */
#include "hello.h"

#include <string.h>

#define HANDSHAKE 22
#define CLIENT_HELLO 1
#define SERVER_NAME 0
#define GROUPS 10
#define SIGNATURES 13
#define PROTOCOLS 16
#define VERSIONS 43

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
        hello->http_1 = hello->http_1 || (p.left == 8 && !memcmp(p.at, "http/1.1", 8));
    }
}

/* Whether a list of numbers of two octets has one of these, of which the last is 0. */
static bool has(struct octets list, const uint16_t *wanted)
{
    while (list.left >= 2) {
        size_t one = number(&list, 2);
        for (const uint16_t *w = wanted; *w; w++) {
            if (one == *w) {
                return true;
            }
        }
    }
    return false;
}

/* What a server needs whose certificate has a key of P-256. */
struct needs {
    bool new_suite, old_suite; /* of TLS 1.3; of TLS 1.2 */
    bool new_version, old_version;
    bool group, signature;
};

static void read_suites(struct needs *needs, struct octets suites)
{
    needs->new_suite = has(suites, (uint16_t[]){ 0x1301, 0x1302, 0x1303, 0 });
    needs->old_suite = has(suites, (uint16_t[]){ 0xc02b, 0xc02c, 0xcca9, 0 });
}

static void read_needed(struct needs *needs, size_t type, struct octets extension)
{
    if (type == GROUPS) {
        needs->group = has(vector(&extension, 2), (uint16_t[]){ 0x0017, 0x001d, 0 });
    } else if (type == SIGNATURES) {
        needs->signature = has(vector(&extension, 2), (uint16_t[]){ 0x0403, 0 });
    } else if (type == VERSIONS) {
        struct octets versions = vector(&extension, 1);
        needs->new_version = has(versions, (uint16_t[]){ 0x0304, 0 });
        needs->old_version = has(versions, (uint16_t[]){ 0x0303, 0 });
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
    struct needs needs = { false };
    memset(hello, 0, sizeof *hello);
    bool is = number(&record, 1) == HANDSHAKE;
    number(&record, 2); /* version */
    size_t held = number(&record, 2);
    is = is && number(&record, 1) == CLIENT_HELLO;
    size_t length = number(&record, 3);
    needs.old_version = number(&record, 2) >= 0x0303;
    hello->complete = is && length + 4 <= held && held + 5 <= count;
    number(&record, HELLO_RANDOM);
    if (!is) {
        return;
    }
    vector(&record, 1); /* session_id */
    read_suites(&needs, vector(&record, 2));
    vector(&record, 1); /* compression_methods */
    for (struct octets extensions = vector(&record, 2); extensions.left;) {
        size_t type = number(&extensions, 2);
        struct octets extension = vector(&extensions, 2);
        if (type == PROTOCOLS) {
            read_protocols(hello, extension);
        } else if (type == SERVER_NAME) {
            read_name(hello, extension);
        } else {
            read_needed(&needs, type, extension);
        }
    }
    hello->ordinary = needs.group && needs.signature && ((needs.new_suite && needs.new_version) || (needs.old_suite && needs.old_version));
}
