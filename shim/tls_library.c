/* tls_library.c: finds the copy of a TLS library that a call is meant for; see tls.h. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "tls.h"

/* Copies of TLS libraries in one process. */
#define LIBRARIES 16

static pthread_mutex_t finding = PTHREAD_MUTEX_INITIALIZER;
static struct tls_library libraries[LIBRARIES];
static _Atomic uint32_t known;

#define CALL(result, name, parameters) #name,
static const char *const names[TLS_CALL_COUNT] = {
#include "tls.def"
};
#undef CALL

/* Which library a caller means, once that has been found out. Entries are never changed, nor freed. */
struct answer {
    const void *caller;
    struct tls_library *library;
};
static _Atomic(struct answer *) answers[512];

static _Atomic(struct answer *) *place(const void *caller)
{
    return &answers[((uintptr_t)caller >> 2) % (sizeof answers / sizeof *answers)];
}

/* Where the object lies that an address belongs to. */
static const void *base_of(const void *address, const char **name)
{
    Dl_info info;
    if (!address || !dladdr(address, &info)) {
        return NULL;
    }
    *name = info.dli_fname;
    return info.dli_fbase;
}

/* The library's own function that the caller would have reached without Midstream. */
static void *look(const char *function, const void *caller)
{
    const char *name = NULL, *mine;
    const void *own = base_of((const void *)tls_library_of, &mine), *base = base_of(caller, &name);
    void *found = NULL;
    if (base && base != own && name && *name) {
        void *object = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
        if (object) {
            found = dlsym(object, function);
            dlclose(object);
        }
    }
    const char *unused;
    if (!found || base_of(found, &unused) == own) {
        found = dlsym(RTLD_NEXT, function);
    }
    return found;
}

static bool fill(struct tls_library *library, const char *name)
{
    const struct tls_kind *kind = library->kind;
    library->object = dlopen(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    size_t count = 0;
    while (kind->functions[count]) {
        count++;
    }
    library->functions = calloc(count + 1, sizeof *library->functions);
    if (!library->object || !library->functions) {
        return false;
    }
    for (size_t i = 0; i < TLS_CALL_COUNT; i++) {
        library->calls[i] = dlsym(library->object, names[i]);
    }
    bool needed = true, complete = true;
    for (size_t i = 0; i < count; i++) {
        needed = needed && *kind->functions[i];
        library->functions[i] = *kind->functions[i] ? dlsym(library->object, kind->functions[i]) : NULL;
        complete = complete && (library->functions[i] || !needed);
    }
    if (complete) {
        kind->loaded(library);
    }
    return true;
}

static struct tls_library *find(enum tls_call call, const struct tls_kind *kind, const void *caller)
{
    const char *name = NULL;
    const void *base = base_of(look(names[call], caller), &name);
    struct tls_library *library = NULL;
    if (!base || !name) {
        return NULL;
    }
    pthread_mutex_lock(&finding);
    uint32_t count = atomic_load(&known);
    for (uint32_t i = 0; i < count && !library; i++) {
        if (libraries[i].base == base) {
            library = &libraries[i];
        }
    }
    if (!library && count < LIBRARIES) {
        libraries[count] = (struct tls_library){ .kind = kind, .base = base };
        if (fill(&libraries[count], name)) {
            library = &libraries[count];
            atomic_store(&known, count + 1);
        }
    }
    pthread_mutex_unlock(&finding);
    return library;
}

void tls_library_forget(void)
{
    pthread_mutex_init(&finding, NULL);
}

struct tls_library *tls_library_of(enum tls_call call, const struct tls_kind *kind, const void *caller)
{
    _Atomic(struct answer *) *at = place(caller);
    struct answer *answer = atomic_load_explicit(at, memory_order_acquire);
    if (answer && answer->caller == caller) {
        return answer->library;
    }
    int saved = errno;
    struct tls_library *library = find(call, kind, caller);
    answer = library ? malloc(sizeof *answer) : NULL;
    if (answer) {
        *answer = (struct answer){ caller, library };
        /* One that another caller had stays allocated: somebody may be reading it. */
        struct answer *none = NULL;
        if (!atomic_compare_exchange_strong(at, &none, answer)) {
            free(answer);
        }
    }
    errno = saved;
    return library;
}
