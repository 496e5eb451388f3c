/*
 * copies: downloads one URL by several copies of OpenSSL at once, each opened with dlopen() by a thread of its own.
 *
 *     copies HOST PORT PATH CA HOW LIBCRYPTO LIBSSL FILE ...
 *
 * HOW is local (RTLD_LOCAL), deep (RTLD_DEEPBIND), or plugin: LIBSSL is a shared object then that is linked to OpenSSL
 * and has run(), below. Exit status: 0 all have the announced content, 1 one has not, 2 wrong usage.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>

#include "http.h"

struct download {
    const char *host, *port, *path, *ca, *how, *crypto, *ssl, *file;
    char said[128];
};

#ifdef PLUGIN
#define GET(name) ((__typeof__(&name))name)
const char *OpenSSL_version(int);
const void *TLS_client_method(void);
void *SSL_CTX_new(const void *);
int SSL_CTX_load_verify_locations(void *, const char *, const char *);
void SSL_CTX_set_verify(void *, int, void *);
void *SSL_new(void *);
long SSL_ctrl(void *, int, long, void *);
int SSL_set1_host(void *, const char *);
int SSL_set_fd(void *, int);
int SSL_connect(void *);
int SSL_read(void *, void *, int);
int SSL_write(void *, const void *, int);
int SSL_get_error(const void *, int);
int SSL_shutdown(void *);
void SSL_free(void *);
void SSL_CTX_free(void *);
#define LOOK_UP
#else
#define LOOK_UP                                                                                                       \
    int deep = strcmp(d->how, "deep") ? 0 : RTLD_DEEPBIND;                                                            \
    if (!dlopen(d->crypto, RTLD_LAZY | RTLD_LOCAL | deep)) {                                                          \
        snprintf(d->said, sizeof d->said, "%s", dlerror());                                                           \
        return 1;                                                                                                     \
    }                                                                                                                 \
    void *library = dlopen(d->ssl, RTLD_LAZY | RTLD_LOCAL | deep);                                                    \
    if (!library) {                                                                                                   \
        snprintf(d->said, sizeof d->said, "%s", dlerror());                                                           \
        return 1;                                                                                                     \
    }                                                                                                                 \
    const char *(*OpenSSL_version)(int) = (const char *(*)(int))dlsym(library, "OpenSSL_version");                    \
    const void *(*TLS_client_method)(void) = (const void *(*)(void))dlsym(library, "TLS_client_method");              \
    void *(*SSL_CTX_new)(const void *) = (void *(*)(const void *))dlsym(library, "SSL_CTX_new");                      \
    int (*SSL_CTX_load_verify_locations)(void *, const char *, const char *) =                                        \
        (int (*)(void *, const char *, const char *))dlsym(library, "SSL_CTX_load_verify_locations");                 \
    void (*SSL_CTX_set_verify)(void *, int, void *) = (void (*)(void *, int, void *))dlsym(library, "SSL_CTX_set_verify"); \
    void *(*SSL_new)(void *) = (void *(*)(void *))dlsym(library, "SSL_new");                                          \
    long (*SSL_ctrl)(void *, int, long, void *) = (long (*)(void *, int, long, void *))dlsym(library, "SSL_ctrl");    \
    int (*SSL_set1_host)(void *, const char *) = (int (*)(void *, const char *))dlsym(library, "SSL_set1_host");      \
    int (*SSL_set_fd)(void *, int) = (int (*)(void *, int))dlsym(library, "SSL_set_fd");                              \
    int (*SSL_connect)(void *) = (int (*)(void *))dlsym(library, "SSL_connect");                                      \
    int (*SSL_read)(void *, void *, int) = (int (*)(void *, void *, int))dlsym(library, "SSL_read");                  \
    int (*SSL_write)(void *, const void *, int) = (int (*)(void *, const void *, int))dlsym(library, "SSL_write");    \
    int (*SSL_get_error)(const void *, int) = (int (*)(const void *, int))dlsym(library, "SSL_get_error");            \
    int (*SSL_shutdown)(void *) = (int (*)(void *))dlsym(library, "SSL_shutdown");                                    \
    void (*SSL_free)(void *) = (void (*)(void *))dlsym(library, "SSL_free");                                          \
    void (*SSL_CTX_free)(void *) = (void (*)(void *))dlsym(library, "SSL_CTX_free");
#endif

int run(struct download *d);
int run(struct download *d)
{
    static const int verify_peer = 1, set_host_name = 55;
    char buffer[20000];
    struct response response = { 0 };
    LOOK_UP
    int fd = dial(look_up(d->host, d->port), 0), out = open(d->file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    void *context = SSL_CTX_new(TLS_client_method());
    if (fd < 0 || out < 0 || !context || SSL_CTX_load_verify_locations(context, d->ca, NULL) != 1) {
        snprintf(d->said, sizeof d->said, "not connected");
        return 1;
    }
    SSL_CTX_set_verify(context, verify_peer, NULL);
    void *ssl = SSL_new(context);
    SSL_ctrl(ssl, set_host_name, 0, (void *)d->host);
    SSL_set1_host(ssl, d->host);
    SSL_set_fd(ssl, fd);
    int length = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", d->path, d->host);
    if (SSL_connect(ssl) != 1 || SSL_write(ssl, buffer, length) != length) {
        snprintf(d->said, sizeof d->said, "no handshake");
        return 1;
    }
    while (!response.complete_head || response.left > 0) {
        int n = SSL_read(ssl, buffer, sizeof buffer);
        if (n <= 0) {
            snprintf(d->said, sizeof d->said, "ended early, error %d", SSL_get_error(ssl, n));
            return 1;
        }
        ssize_t content = take(&response, buffer, (size_t)n);
        if (content < 0 || (content && write(out, buffer + n - content, (size_t)content) != content)) {
            snprintf(d->said, sizeof d->said, "malformed, or not written");
            return 1;
        }
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    close(out);
    snprintf(d->said, sizeof d->said, "%.20s", OpenSSL_version(0));
    return 0;
}

#ifndef PLUGIN

static void *begin(void *argument)
{
    struct download *d = argument;
    int (*how)(struct download *) = run;
    if (!strcmp(d->how, "plugin")) {
        void *plugin = dlopen(d->ssl, RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND);
        how = plugin ? (int (*)(struct download *))dlsym(plugin, "run") : NULL;
        if (!how) {
            snprintf(d->said, sizeof d->said, "%s", dlerror());
            return d;
        }
    }
    return how(d) ? d : NULL;
}

int main(int count, char **arguments)
{
    static struct download list[8];
    pthread_t threads[8];
    int n = (count - 5) / 4, status = 0;
    if (n < 1 || n > 8 || count != 5 + 4 * n)
        return 2;
    for (int i = 0; i < n; i++) {
        char **own = arguments + 5 + 4 * i;
        list[i] = (struct download){ arguments[1], arguments[2], arguments[3], arguments[4], own[0], own[1], own[2], own[3], "" };
        if (pthread_create(&threads[i], NULL, begin, &list[i]))
            die("pthread_create");
    }
    for (int i = 0; i < n; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        status |= failed != NULL;
        printf("%s: %s\n", list[i].how, list[i].said);
    }
    return status;
}

#endif
