/* trust.c: see trust.h. */
#include "trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority.h"
#include "openssl.h"

/* A file of certificates that is larger is none: all of it has to be there, or a program would miss what it trusts. */
#define BUNDLE_MAX (64 << 20)
#define BUNDLE_PIECE (1 << 20)

static char folder[PATH_MAX - 64];
static bool too_large; /* a file of certificates was */

/* Variables that name a file of certificates. Those that replace what a program trusts by itself get the system's, too. */
static const struct {
    const char *name;
    bool replaces;
} named[] = {
    { "SSL_CERT_FILE", true },     { "CURL_CA_BUNDLE", true }, { "REQUESTS_CA_BUNDLE", true }, { "CARGO_HTTP_CAINFO", true },
    { "GIT_SSL_CAINFO", true },    { "NODE_EXTRA_CA_CERTS", false }, { "DENO_CERT", false },
};
#define NAMED (sizeof named / sizeof *named)

/* The system's certificates: Debian and what comes of it, Fedora, SUSE, Alpine. */
static const char *const systems[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };

static bool make_folder(const char *path)
{
    struct stat info;
    if (mkdir(path, 0700) && errno != EEXIST) {
        return false;
    }
    return !lstat(path, &info) && S_ISDIR(info.st_mode) && info.st_uid == geteuid() && !(info.st_mode & 022);
}

/* Where control sockets are (core/control): $MIDSTREAM_RUNTIME_DIR and what stands for it. */
static bool find_folder(char *path, size_t size)
{
    const char *given = getenv("MIDSTREAM_RUNTIME_DIR"), *run = getenv("XDG_RUNTIME_DIR");
    int n;
    if (given && *given) {
        n = snprintf(path, size, "%s", given);
    } else if (run && *run == '/') {
        n = snprintf(path, size, "%s/midstream", run);
    } else {
        n = snprintf(path, size, "/run/user/%u/midstream", (unsigned)geteuid());
        if (!make_folder(path)) {
            n = snprintf(path, size, "/tmp/midstream-%u", (unsigned)geteuid());
        }
    }
    return n > 0 && (size_t)n < size && path[0] == '/' && make_folder(path);
}

const char *trust_open(void)
{
    char above[sizeof folder - 32];
    if (!find_folder(above, sizeof above)) {
        return "there is no folder for its certificate";
    }
    snprintf(folder, sizeof folder, "%s/authority-%d", above, (int)getpid());
    trust_close(); /* of an earlier process of this number */
    return make_folder(folder) ? NULL : "there is no folder for its certificate";
}

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool put(int to, const void *octets, size_t count)
{
    for (const char *at = octets; count;) {
        ssize_t n = write(to, at, count);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? n : 0;
        count -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* A file's octets, to be freed; NULL: it is not there. False: there are too many. */
static bool contents(const char *path, char **octets, size_t *size)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    size_t room = 0;
    ssize_t n = fd < 0 ? 0 : 1;
    *octets = NULL;
    *size = 0;
    while (n > 0) {
        if (*size == room) {
            char *more = room < BUNDLE_MAX ? realloc(*octets, room += BUNDLE_PIECE) : NULL;
            if (!more) {
                break;
            }
            *octets = more;
        }
        n = read(fd, *octets + *size, room - *size);
        *size += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    too_large = too_large || n > 0;
    return n <= 0;
}

static const char *system_bundle(void)
{
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
        if (!access(systems[i], R_OK)) {
            return systems[i];
        }
    }
    return NULL;
}

/* A file of the certificates in another one, or none, and of this run's authority. */
static bool write_bundle(const char *name, const char *others)
{
    char own[4096];
    char *octets;
    size_t size, length = authority_certificate(own, sizeof own);
    bool whole = contents(others, &octets, &size);
    int to = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool done = whole && to >= 0 && length && put(to, octets ? octets : "", size) && put(to, "\n", size ? 1 : 0) && put(to, own, length);
    free(octets);
    if (to >= 0) {
        close(to);
    }
    return done;
}

/* Octets that grow. */
struct store {
    uint8_t *octets;
    size_t count, room;
};

static void add(struct store *s, const void *octets, size_t count)
{
    if (s->count + count > s->room) {
        size_t room = (s->count + count) * 2;
        uint8_t *more = realloc(s->octets, room);
        if (!more) {
            return;
        }
        s->octets = more;
        s->room = room;
    }
    memcpy(s->octets + s->count, octets, count);
    s->count += count;
}

static void add_number(struct store *s, uint64_t value, unsigned size)
{
    for (uint8_t octet; size--;) {
        octet = (uint8_t)(value >> 8 * size);
        add(s, &octet, 1);
    }
}

static void add_text(struct store *s, const char *text)
{
    add_number(s, strlen(text), 2);
    add(s, text, strlen(text));
}

/* The certificates of a file, one after the other, as entries of a Java key store. Their number. */
static uint32_t add_certificates(struct store *s, const char *pem, size_t size, uint32_t at)
{
    void *bio = openssl.BIO_new_mem_buf(pem, (int)size);
    char *name = NULL, *header = NULL, alias[16];
    unsigned char *octets = NULL;
    long count = 0;
    while (bio && openssl.PEM_read_bio(bio, &name, &header, &octets, &count)) {
        if (!strcmp(name, "CERTIFICATE")) {
            add_number(s, 2, 4); /* a certificate that is trusted */
            snprintf(alias, sizeof alias, "c%u", at++);
            add_text(s, alias);
            add_number(s, 0, 8); /* when it was added */
            add_text(s, "X.509");
            add_number(s, (uint64_t)count, 4);
            add(s, octets, (size_t)count);
        }
        openssl.CRYPTO_free(name, "", 0);
        openssl.CRYPTO_free(header, "", 0);
        openssl.CRYPTO_free(octets, "", 0);
    }
    openssl.ERR_clear_error(); /* that of the file's end */
    if (bio) {
        openssl.BIO_free(bio);
    }
    return at;
}

/* As sun.security.provider.JavaKeyStore reads it; its digest is of a word that all know, for what is in it is no secret. */
static bool write_java(void)
{
    static const char word[] = "\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite";
    char own[4096];
    unsigned char digest[64];
    unsigned length = 0;
    size_t size, own_size = authority_certificate(own, sizeof own);
    char *system;
    bool whole = contents(system_bundle(), &system, &size);
    struct store s = { 0 };
    add(&s, word, sizeof word - 1);
    size_t start = s.count;
    add_number(&s, 0xfeedfeed, 4);
    add_number(&s, 2, 4);
    add_number(&s, 0, 4);
    uint32_t count = add_certificates(&s, own, own_size, system ? add_certificates(&s, system, size, 0) : 0);
    free(system);
    if (!whole || !s.octets || s.count < start + 12) {
        free(s.octets);
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        s.octets[start + 8 + i] = (uint8_t)(count >> 8 * (3 - i));
    }
    int to = open(path_of("java.jks"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool done = to >= 0 && openssl.EVP_Digest(s.octets, s.count, digest, &length, openssl.EVP_sha1(), NULL)
        && put(to, s.octets + start, s.count - start) && put(to, digest, length);
    if (to >= 0) {
        close(to);
    }
    free(s.octets);
    return done;
}

/* The file that a variable has named so far; NULL: none. */
static const char *set_to(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Where only a folder is named, a folder is added to it: a file would add the system's certificates, or take them away. */
static bool is_by_folder(size_t i) { return !strcmp(named[i].name, "SSL_CERT_FILE") && !set_to("SSL_CERT_FILE") && set_to("SSL_CERT_DIR"); }

static const char *hash_name(void)
{
    static char name[16];
    snprintf(name, sizeof name, "%08lx.0", authority_hash());
    return name;
}

const char *trust_write(void)
{
    bool done = write_bundle("authority.pem", NULL) && write_bundle("system.pem", system_bundle()) && write_java();
    for (size_t i = 0; done && i < NAMED; i++) {
        const char *others = set_to(named[i].name);
        done = is_by_folder(i) ? write_bundle(hash_name(), NULL) : !others || write_bundle(named[i].name, others);
    }
    return done ? NULL : too_large ? "a file of certificates has more than 64 MB" : "its certificate cannot be written to a file";
}

__attribute__((format(printf, 4, 5))) static bool set(char *text, size_t size, size_t *at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text + *at, size - *at, format, arguments);
    va_end(arguments);
    bool fits = n > 0 && (size_t)n + 1 <= size - *at;
    *at += fits ? (size_t)n + 1 : 0;
    return fits;
}

size_t trust_variables(char *text, size_t size)
{
    size_t at = 0;
    const char *java = getenv("JAVA_TOOL_OPTIONS");
    bool fits = true;
    for (size_t i = 0; fits && i < NAMED; i++) {
        const char *file = set_to(named[i].name) ? named[i].name : named[i].replaces ? "system.pem" : "authority.pem";
        fits = is_by_folder(i) ? set(text, size, &at, "SSL_CERT_DIR=%s:%s", getenv("SSL_CERT_DIR"), folder)
                               : set(text, size, &at, "%s=%s/%s", named[i].name, folder, file);
    }
    if (fits && !strpbrk(folder, " \t\"'") && !(java && strstr(java, "javax.net.ssl.trustStore"))) {
        fits = set(text, size, &at, "JAVA_TOOL_OPTIONS=%s%s-Djavax.net.ssl.trustStore=%s/java.jks -Djavax.net.ssl.trustStoreType=JKS",
                   java ? java : "", java && *java ? " " : "", folder);
    }
    return fits ? at : 0;
}

void trust_close(void)
{
    DIR *all = opendir(folder);
    for (struct dirent *one; all && (one = readdir(all));) {
        unlinkat(dirfd(all), one->d_name, 0); /* of itself and its parent it fails */
    }
    if (all) {
        closedir(all);
    }
    rmdir(folder);
}
