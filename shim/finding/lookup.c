/* lookup.c: see lookup.h. */
#include "lookup.h"

#include <dlfcn.h>
#include <errno.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "process/calls.h"

#if defined(__x86_64__) && defined(__LP64__)

#define PAGE 4096

typedef void *dlsym_type(void *, const char *);

/* The C library's own, found past the hooks below; its version depends on when dlsym came into libc.so.6. */
static void *own(const char *name)
{
    int saved = errno;
    void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.34");
    found = found ? found : dlvsym(RTLD_NEXT, name, "GLIBC_2.2.5");
    errno = saved;
    return found;
}

static dlsym_type *own_dlsym(void)
{
    static _Atomic(dlsym_type *) known;
    dlsym_type *function = atomic_load_explicit(&known, memory_order_relaxed);
    if (!function) {
        function = (dlsym_type *)own("dlsym");
        atomic_store(&known, function);
    }
    return function;
}

void *lookup_real(void *handle, const char *name)
{
    return own_dlsym()(handle, name);
}

/* The hooks of both tables. */
#define CALL(result, name, parameters) { #name, (void *)name },
static const struct {
    const char *name;
    void *hook;
} tls_hooks[] = {
#include "tls/tls.def"
};
#undef CALL

#define CALL(result, name, parameters) #name,
static const char *const c_names[CALL_COUNT] = {
#include "process/calls.def"
};
#undef CALL

#define CALL(result, name, parameters) (void *)name,
static void *const c_hooks[CALL_COUNT] = {
#include "process/calls.def"
};
#undef CALL

static int tls_call_named(const char *name)
{
    for (int i = 0; i < TLS_CALL_COUNT; i++) {
        if (!strcmp(tls_hooks[i].name, name)) {
            return i;
        }
    }
    return -1;
}

static const void *base_of(const void *address)
{
    Dl_info info;
    return address && dladdr(address, &info) ? info.dli_fbase : NULL;
}

/*
 * Objects that were there before one was opened with RTLD_DEEPBIND; a process with more is left as it is. Under `binding`,
 * with which nobody asks the dynamic linker for more than a walk of its list, and nobody waits for it in such a walk.
 */
#define OBJECTS 1024
static pthread_mutex_t binding = PTHREAD_MUTEX_INITIALIZER;
static ElfW(Addr) objects[OBJECTS];
static unsigned object_count;
static _Atomic uint32_t deep; /* there has been one such call */
static _Atomic uint64_t bound; /* how many objects had ever come when they were looked at last (dl_iterate_phdr(3)) */

/* True when it was not known before. */
static bool note_object(ElfW(Addr) base)
{
    for (unsigned i = 0; i < object_count; i++) {
        if (objects[i] == base) {
            return false;
        }
    }
    if (object_count < OBJECTS) {
        objects[object_count++] = base;
    }
    return true;
}

static int note_one(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    note_object(info->dlpi_addr);
    return 0;
}

/* An object's dynamic section, as far as it is needed. */
struct object {
    ElfW(Addr) base, low, high;
    ElfW(Addr) relro, relro_end;
    const ElfW(Sym) *symbols;
    const char *strings;
};

static ElfW(Addr) address_in(const struct object *o, ElfW(Addr) value)
{
    return value < o->base ? o->base + value : value; /* the dynamic linker may have added it already */
}

/* What a reference of that name, which has that value now, is to be bound to; NULL: it stays. */
static void *hook_for(const struct object *o, const char *name, void *value)
{
    bool unbound = (ElfW(Addr))value >= o->low && (ElfW(Addr))value < o->high;
    int tls = tls_call_named(name);
    if (tls >= 0) {
        return tls_hooks[tls].hook;
    }
    for (int i = 0; i < CALL_COUNT; i++) {
        if (!strcmp(c_names[i], name)) {
            return unbound || value == calls_get((enum call_index)i) ? c_hooks[i] : NULL;
        }
    }
    return NULL;
}

static void bind_one(const struct object *o, void **place, void *hook)
{
    ElfW(Addr) page = (ElfW(Addr))place & ~(ElfW(Addr))(PAGE - 1);
    bool sealed = (ElfW(Addr))place >= o->relro && (ElfW(Addr))place < o->relro_end;
    if (sealed && mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE)) {
        return;
    }
    __atomic_store_n(place, hook, __ATOMIC_RELEASE);
    if (sealed) {
        mprotect((void *)page, PAGE, PROT_READ);
    }
}

static void bind_table(const struct object *o, const ElfW(Rela) *r, size_t size)
{
    for (const ElfW(Rela) *end = r + size / sizeof *r; r && r < end; r++) {
        unsigned long type = ELF64_R_TYPE(r->r_info);
        const ElfW(Sym) *symbol = &o->symbols[ELF64_R_SYM(r->r_info)];
        if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) || symbol->st_shndx != SHN_UNDEF) {
            continue;
        }
        void **place = (void **)(o->base + r->r_offset);
        void *hook = hook_for(o, o->strings + symbol->st_name, *place);
        if (hook && *place != hook) {
            bind_one(o, place, hook);
        }
    }
}

/* `count`: of the objects that may be looked at; where there are more, all wait for the next time. */
static int bind_object(struct dl_phdr_info *info, size_t size, void *count)
{
    struct object o = { .base = info->dlpi_addr, .low = UINTPTR_MAX };
    const ElfW(Dyn) *d = NULL;
    (void)size;
    if (info->dlpi_adds != *(uint64_t *)count) {
        return 1;
    }
    if (!note_object(o.base)) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        ElfW(Addr) start = o.base + p->p_vaddr, end = start + p->p_memsz;
        if (p->p_type == PT_LOAD) {
            o.low = start < o.low ? start : o.low;
            o.high = end > o.high ? end : o.high;
        } else if (p->p_type == PT_GNU_RELRO) {
            /* Whole pages are sealed: the last one may hold what stays writable. */
            o.relro = start & ~(ElfW(Addr))(PAGE - 1);
            o.relro_end = end & ~(ElfW(Addr))(PAGE - 1);
        } else if (p->p_type == PT_DYNAMIC) {
            d = (const ElfW(Dyn) *)start;
        }
    }
    ElfW(Addr) table = 0, plt = 0;
    size_t table_size = 0, plt_size = 0;
    for (; d && d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_SYMTAB: o.symbols = (const void *)address_in(&o, d->d_un.d_ptr); break;
        case DT_STRTAB: o.strings = (const void *)address_in(&o, d->d_un.d_ptr); break;
        case DT_RELA: table = address_in(&o, d->d_un.d_ptr); break;
        case DT_RELASZ: table_size = d->d_un.d_val; break;
        case DT_JMPREL: plt = address_in(&o, d->d_un.d_ptr); break;
        case DT_PLTRELSZ: plt_size = d->d_un.d_val; break;
        }
    }
    if (o.symbols && o.strings) {
        bind_table(&o, (const void *)table, table_size);
        bind_table(&o, (const void *)plt, plt_size);
    }
    return 0;
}

static int count_objects(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)size;
    *(uint64_t *)count = info->dlpi_adds;
    return 1; /* one tells it for all */
}

static void bind_deep(void)
{
    uint64_t count = 0;
    dl_iterate_phdr(count_objects, &count);
    if (count == atomic_load(&bound)) {
        return;
    }
    /* Neither within the walk nor with `binding`, for this takes the dynamic linker's lock. */
    for (int i = 0; i < CALL_COUNT; i++) {
        calls_get((enum call_index)i);
    }
    lookup_real(RTLD_DEFAULT, "dlsym"); /* waits until what other threads open has been relocated */
    if (pthread_mutex_trylock(&binding)) {
        return; /* another thread is at it; this one may be in a walk of the program's, for which that one waits */
    }
    if (object_count >= OBJECTS || !dl_iterate_phdr(bind_object, &count)) {
        atomic_store(&bound, count);
    }
    pthread_mutex_unlock(&binding);
}

void lookup_forget(void)
{
    pthread_mutex_init(&binding, NULL);
}

/* What a call of dlsym comes to: `result`, or `jump` is to answer it. */
struct answer {
    void *result, *jump;
};

struct answer lookup_dlsym(void *handle, const char *name) __attribute__((used));
struct answer lookup_dlsym(void *handle, const char *name)
{
    dlsym_type *real = own_dlsym();
    struct answer past = { NULL, (void *)real };
    if (atomic_load_explicit(&deep, memory_order_relaxed) && handle != RTLD_NEXT) {
        int saved = errno;
        bind_deep();
        errno = saved;
    }
    int call = handle == RTLD_NEXT ? -1 : tls_call_named(name);
    void *found = call >= 0 ? real(handle, name) : NULL;
    if (!found) {
        return past;
    }
    int saved = errno;
    struct answer answer = { found, NULL };
    const void *base = base_of(found);
    if (base == base_of((const void *)lookup_dlsym)) {
        /* From the global scope, where a program that asks whether the library is there would otherwise not find it. */
        if (!real(RTLD_NEXT, name)) {
            answer.result = NULL;
        }
    } else {
        void *entry = base ? tls_library_entry(base, (enum tls_call)call) : NULL;
        answer.result = entry ? entry : found;
    }
    errno = saved;
    return answer;
}

/* Before an object is opened: the way to dlopen. */
void *lookup_dlopen(const char *file, int mode) __attribute__((used));
void *lookup_dlopen(const char *file, int mode)
{
    static _Atomic(void *) known;
    void *real = atomic_load_explicit(&known, memory_order_relaxed);
    if (!real) {
        real = own("dlopen");
        atomic_store(&known, real);
    }
    if (file && mode & RTLD_DEEPBIND && !(mode & RTLD_NOLOAD)) {
        int saved = errno;
        pthread_mutex_lock(&binding);
        if (!atomic_load(&deep)) {
            dl_iterate_phdr(note_one, NULL);
            atomic_store(&deep, 1);
        }
        pthread_mutex_unlock(&binding);
        errno = saved;
    }
    return real;
}

/* Both end in a jump, so that the C library finds the program's return address. */
__asm__(".text\n"
        ".globl dlsym\n.type dlsym, @function\n"
        "dlsym: .cfi_startproc\n\tendbr64\n"
        "\tpushq %rdi\n\t.cfi_adjust_cfa_offset 8\n\tpushq %rsi\n\t.cfi_adjust_cfa_offset 8\n"
        "\tsubq $8, %rsp\n\t.cfi_adjust_cfa_offset 8\n"
        "\tcall lookup_dlsym\n"
        "\taddq $8, %rsp\n\t.cfi_adjust_cfa_offset -8\n"
        "\tpopq %rsi\n\t.cfi_adjust_cfa_offset -8\n\tpopq %rdi\n\t.cfi_adjust_cfa_offset -8\n"
        "\ttestq %rdx, %rdx\n\tjz 1f\n\tjmpq *%rdx\n1:\tret\n"
        "\t.cfi_endproc\n.size dlsym, . - dlsym\n"
        ".globl dlopen\n.type dlopen, @function\n"
        "dlopen: .cfi_startproc\n\tendbr64\n"
        "\tpushq %rdi\n\t.cfi_adjust_cfa_offset 8\n\tpushq %rsi\n\t.cfi_adjust_cfa_offset 8\n"
        "\tsubq $8, %rsp\n\t.cfi_adjust_cfa_offset 8\n"
        "\tcall lookup_dlopen\n"
        "\taddq $8, %rsp\n\t.cfi_adjust_cfa_offset -8\n"
        "\tpopq %rsi\n\t.cfi_adjust_cfa_offset -8\n\tpopq %rdi\n\t.cfi_adjust_cfa_offset -8\n"
        "\tjmpq *%rax\n"
        "\t.cfi_endproc\n.size dlopen, . - dlopen\n");

/*
 * For each copy and each function an entry that notes both, and goes on to the hook: as many a copy as tls.def has functions.
 */
#define CALL(result, name, parameters) (void *)name,
void *const lookup_hooks[TLS_CALL_COUNT] __attribute__((used)) = {
#include "tls/tls.def"
};
#undef CALL

#define TEXT_OF(n) #n
#define TEXT(n) TEXT_OF(n)

_Static_assert(TLS_CALL_COUNT <= TLS_MEANT_CALL, "the function and its copy have each their part of what is noted");

#define CALL(result, name, parameters) "\t.set functions, functions + 1\n"
__asm__("\t.set functions, 0\n"
#include "tls/tls.def"
        ".text\n.balign 16\n"
        "lookup_common:\n"
        "\tmovq tls_meant@gottpoff(%rip), %r10\n"
        "\tmovl %r11d, %fs:(%r10)\n"
        "\tandl $" TEXT(TLS_MEANT_CALL) ", %r11d\n"
        "\tleaq lookup_hooks(%rip), %r10\n"
        "\tjmpq *(%r10,%r11,8)\n"
        ".balign 16\n"
        ".globl lookup_entries\n.hidden lookup_entries\n.type lookup_entries, @object\n"
        "lookup_entries:\n"
        "\t.set copy, 1\n"
        "\t.rept " TEXT(TLS_LIBRARIES) "\n"
        "\t.set meant, copy << " TEXT(TLS_MEANT_COPY) "\n"
        "\t.rept functions\n"
        "\t.balign 16\n"
        "\tendbr64\n"
        "\tmovl $meant, %r11d\n"
        "\tjmp lookup_common\n"
        "\t.set meant, meant + 1\n"
        "\t.endr\n"
        "\t.set copy, copy + 1\n"
        "\t.endr\n");
#undef CALL

extern const char lookup_entries[] __attribute__((visibility("hidden")));

void *lookup_entry(unsigned library, enum tls_call call)
{
    return (void *)(lookup_entries + 16 * (TLS_CALL_COUNT * library + call));
}

#else

void *lookup_real(void *handle, const char *name)
{
    return dlsym(handle, name);
}

void lookup_forget(void)
{
}

#endif
