/*
 * constructor.c: one thread opens a library again and again whose constructor calls OpenSSL (this file with PLUGIN), while
 * another makes the process's first call of a kind that Midstream follows. Arguments: the library.
 */
#include <openssl/ssl.h>
#include <stdatomic.h>

extern _Atomic int first, since;

/* So many times the library is opened before its constructor calls: the other thread is in the middle of its call then. */
#define LATER 4

#ifdef PLUGIN

__attribute__((constructor)) static void begin(void)
{
    if (atomic_load(&first) && atomic_fetch_add(&since, 1) >= LATER) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE);
        SSL_CTX_free(context);
    }
}

#else

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

_Atomic int first, since;
static _Atomic int rounds, done;

static void *open_and_close(void *library)
{
    while (!atomic_load(&done)) {
        void *object = dlopen(library, RTLD_NOW);
        if (!object) {
            puts(dlerror());
            break;
        }
        dlclose(object);
        atomic_fetch_add(&rounds, 1);
    }
    atomic_store(&rounds, 3);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc != 2 || pthread_create(&thread, NULL, open_and_close, argv[1])) {
        return 2;
    }
    while (atomic_load(&rounds) < 3) {
        sched_yield();
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    atomic_store(&first, 1);
    long mode = SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE);
    atomic_store(&done, 1);
    pthread_join(thread, NULL);
    puts(mode & SSL_MODE_ENABLE_PARTIAL_WRITE ? "set" : "not set");
    SSL_CTX_free(context);
    return 0;
}

#endif
