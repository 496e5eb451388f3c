/* library.c: finds the copy of a TLS library that a call is meant for; see library.h. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "inline.h"
#include "library.h"
#include "lookup.h"

_Thread_local uint32_t tls_meant;
_Thread_local struct tls_library *tls_last;

/* Not held while the dynamic linker is called. */
static pthread_mutex_t finding = PTHREAD_MUTEX_INITIALIZER;
static struct tls_library libraries[TLS_LIBRARIES];
static _Atomic uint32_t known;

#define CALL(result, name, parameters) #name,
static const char *const names[TLS_CALL_COUNT] = {
#include "tls/tls.def"
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
            found = lookup_real(object, function);
            dlclose(object);
        }
    }
    const char *unused;
    if (!found || base_of(found, &unused) == own) {
        found = lookup_real(RTLD_NEXT, function);
    }
    return found;
}

/* Objects that may be a TLS library, by their names. Of one walk; the names last as long as the objects. */
struct objects {
    const char *names[64];
    unsigned count;
};

static bool may_be_one(const char *name)
{
    for (const struct tls_kind *const *kind = tls_kinds; *kind; kind++) {
        for (const char *const *file = (*kind)->files; *file; file++) {
            if (!strncmp(name, *file, strlen(*file))) {
                return true;
            }
        }
    }
    return false;
}

static int note_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct objects *objects = data;
    const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
    const char *name = slash ? slash + 1 : "";
    (void)size;
    if (may_be_one(name) && objects->count < sizeof objects->names / sizeof *objects->names) {
        objects->names[objects->count++] = info->dlpi_name;
    }
    return 0;
}

/*
 * The caller's scope does not have it: a function of the library that is not interposed ends in a jump to this one, as
 * SSL_accept() does, and was itself looked up in an object that only its user sees (RTLD_LOCAL). Of several copies, that of
 * the last call is the likeliest.
 */
static void *look_anywhere(const char *function, const struct tls_kind *kind)
{
    struct objects objects = { .count = 0 };
    void *found = NULL;
    dl_iterate_phdr(note_object, &objects);
    for (unsigned i = 0; i < objects.count; i++) {
        void *object = dlopen(objects.names[i], RTLD_LAZY | RTLD_NOLOAD);
        void *its = object ? lookup_real(object, function) : NULL;
        const char *name;
        bool last = its && tls_last && tls_last->kind == kind && base_of(its, &name) == tls_last->base;
        found = last || !found ? its : found;
        if (object) {
            dlclose(object);
        }
    }
    return found;
}

/*
 * Looks up all that a copy has. Not with `finding`: a constructor, within the dynamic linker's lock, may wait for that. So
 * two threads may do it at once, and it has to be no harm that what one of them has made is dropped.
 */
static bool look_up(struct tls_library *library, const char *name)
{
    const struct tls_kind *kind = library->kind;
    struct tls_library *before = tls_last;
    library->object = dlopen(inline_has(library->base) ? NULL : name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    size_t count = 0;
    while (kind->functions[count]) {
        count++;
    }
    library->functions = calloc(count + 1, sizeof *library->functions);
    if (!library->object || !library->functions) {
        free(library->functions);
        library->functions = NULL;
        return false;
    }
    for (size_t i = 0; i < TLS_CALL_COUNT; i++) {
        library->calls[i] = inline_past(lookup_real(library->object, names[i]));
    }
    bool needed = true, complete = true;
    for (size_t i = 0; i < count; i++) {
        needed = needed && *kind->functions[i];
        library->functions[i] = *kind->functions[i] ? inline_past(lookup_real(library->object, kind->functions[i])) : NULL;
        complete = complete && (library->functions[i] || !needed);
    }
    if (complete) {
        kind->loaded(library);
    }
    tls_last = before;
    return true;
}

static bool fill(struct tls_library *library, const char *name)
{
    struct tls_library made = { .kind = library->kind, .base = library->base };
    if (!look_up(&made, name)) {
        return false;
    }
    pthread_mutex_lock(&finding);
    if (library->functions) {
        free(made.functions);
    } else {
        *library = made;
    }
    pthread_mutex_unlock(&finding);
    return true;
}

/* The copy that lies there, made if it is not known. With `finding`. */
static struct tls_library *at_base(const void *base, const struct tls_kind *kind)
{
    uint32_t count = atomic_load(&known);
    for (uint32_t i = 0; i < count; i++) {
        if (libraries[i].base == base) {
            return &libraries[i];
        }
    }
    if (count == TLS_LIBRARIES) {
        return NULL;
    }
    libraries[count] = (struct tls_library){ .kind = kind, .base = base };
    atomic_store(&known, count + 1);
    return &libraries[count];
}

/* tls_library_meant's answer, in the place of a caller. */
static bool is_entry(const void *caller)
{
    return (const char *)caller >= (const char *)libraries && (const char *)caller < (const char *)(libraries + TLS_LIBRARIES);
}

static struct tls_library *find(enum tls_call call, const struct tls_kind *kind, const void *caller)
{
    const char *name = NULL;
    const void *function = is_entry(caller) ? ((const struct tls_library *)caller)->base : look(names[call], caller);
    const void *base = base_of(function ? function : look_anywhere(names[call], kind), &name);
    struct tls_library *library = NULL;
    if (!base || !name) {
        return NULL;
    }
    pthread_mutex_lock(&finding);
    library = at_base(base, kind);
    bool known_well = library && library->functions;
    pthread_mutex_unlock(&finding);
    return known_well || (library && fill(library, name)) ? library : NULL;
}

#if defined(__x86_64__) && defined(__LP64__)

static const struct tls_kind *kind_of(enum tls_call call)
{
    for (const struct tls_kind *const *kind = tls_kinds;; kind++) {
        for (const char *const *prefix = (*kind)->prefixes; *prefix; prefix++) {
            if (!strncmp(names[call], *prefix, strlen(*prefix))) {
                return *kind;
            }
        }
    }
}

void *tls_library_entry(const void *base, enum tls_call call)
{
    pthread_mutex_lock(&finding);
    /* Nothing else is done with it now: the program may only want to know whether it is there. */
    struct tls_library *library = at_base(base, kind_of(call));
    pthread_mutex_unlock(&finding);
    return library ? lookup_entry((unsigned)(library - libraries), call) : NULL;
}

#endif

const void *tls_library_meant(void)
{
    uint32_t meant = tls_meant;
    tls_meant = 0;
    return &libraries[(meant >> TLS_MEANT_COPY) - 1];
}

static int is_tls_library(struct dl_phdr_info *info, size_t size, void *unused)
{
    const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
    (void)size, (void)unused;
    return slash && (!strncmp(slash + 1, "libssl.so", 9) || !strncmp(slash + 1, "libgnutls.so", 12) || !strncmp(slash + 1, "libssl3.so", 10));
}

bool tls_is_there(void)
{
    return inline_is_there() || dl_iterate_phdr(is_tls_library, NULL);
}

bool tls_is_code(const void *address)
{
    extern const char __ehdr_start[], _end[];
    const char *name;
    if (is_entry(address)) {
        return false; /* the program's */
    }
    if ((const char *)address >= __ehdr_start && (const char *)address < _end) {
        return true;
    }
    const void *base = base_of(address, &name);
    for (uint32_t i = 0, n = atomic_load(&known); base && i < n; i++) {
        if (libraries[i].base == base) {
            return true;
        }
    }
    return false;
}

void tls_library_forget(void)
{
    pthread_mutex_init(&finding, NULL);
    lookup_forget();
}

struct tls_library *tls_library_of(enum tls_call call, const struct tls_kind *kind, const void *caller)
{
    extern const char __ehdr_start[], _end[];
    if ((const char *)caller >= __ehdr_start && (const char *)caller < _end && tls_last && !is_entry(caller)) {
        /* A function of the library that Midstream has called ends in a jump to the hook. */
        return tls_last;
    }
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
