/* inline.c: see inline.h. */
#include "inline.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "library.h"
#include "lookup.h"

#if defined(__x86_64__) && defined(__LP64__)

#define PAGE 4096UL

/* jmp rel32, which is put over a function's first instructions. */
#define JUMP 0xe9
#define JUMP_SIZE 5

/* What one function needs beside it: the way to its hook, its first instructions, and a jump to the rest. */
#define ROOM 64

/* What put_call writes. */
#define CALL_SIZE 24

/* A function, what is to be done with it, and whether it has been. */
struct site {
    uint8_t *place;   /* where the jump goes: its beginning, or after endbr64 */
    uint8_t *beside;  /* ROOM octets */
    uint8_t *past;    /* in these: its first instructions */
    void *function;
    enum tls_call call;
};

static struct site sites[TLS_CALL_COUNT];
static unsigned count;
static const void *program; /* where it is loaded; NULL: nothing has been done */

#define CALL(result, name, parameters) #name,
static const char *const names[TLS_CALL_COUNT] = {
#include "tls/tls.def"
};
#undef CALL

/* The program's dynamic section, as far as it is needed. */
struct object {
    uintptr_t base, low, high;
    const ElfW(Sym) *symbols;
    const char *strings;
    const uint32_t *hash; /* DT_GNU_HASH */
};

static int look_at_program(struct dl_phdr_info *info, size_t size, void *object)
{
    struct object *o = object;
    const ElfW(Dyn) *d = NULL;
    (void)size;
    *o = (struct object){ .base = info->dlpi_addr, .low = UINTPTR_MAX };
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t start = o->base + p->p_vaddr, end = start + p->p_memsz;
        if (p->p_type == PT_LOAD) {
            o->low = start < o->low ? start : o->low;
            o->high = end > o->high ? end : o->high;
        } else if (p->p_type == PT_DYNAMIC) {
            d = (const ElfW(Dyn) *)start;
        }
    }
    for (; d && d->d_tag != DT_NULL; d++) {
        uintptr_t value = d->d_un.d_ptr;
        const void *at = (const void *)(value < o->base ? o->base + value : value); /* the dynamic linker may have added it already */
        switch (d->d_tag) {
        case DT_SYMTAB: o->symbols = at; break;
        case DT_STRTAB: o->strings = at; break;
        case DT_GNU_HASH: o->hash = at; break;
        }
    }
    return 1; /* the program is the first one */
}

static const ElfW(Sym) *find_symbol(const struct object *o, const char *name)
{
    uint32_t hash = 5381, buckets = o->hash[0], first = o->hash[1], words = o->hash[2];
    const uint32_t *bucket = o->hash + 4 + 2 * words, *chain = bucket + buckets;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        hash = hash * 33 + *c;
    }
    uint32_t i = buckets ? bucket[hash % buckets] : 0;
    for (; i >= first && i; i++) {
        uint32_t there = chain[i - first];
        if ((there | 1) == (hash | 1) && !strcmp(o->strings + o->symbols[i].st_name, name)) {
            return &o->symbols[i];
        }
        if (there & 1) {
            break;
        }
    }
    return NULL;
}

/* The program's own function of that name, and its size; NULL: it exports none. */
static uint8_t *find_function(const struct object *o, const char *name, size_t *size)
{
    const ElfW(Sym) *s = find_symbol(o, name);
    if (!s || s->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(s->st_info) != STT_FUNC) {
        return NULL;
    }
    *size = s->st_size;
    return (uint8_t *)(o->base + s->st_value);
}

/* The length of a ModRM byte with what belongs to it; 0: it refers to where the instruction stands. */
static size_t operand_size(const uint8_t *at)
{
    unsigned mode = at[0] >> 6, low = at[0] & 7;
    if (mode == 3) {
        return 1;
    }
    if (!mode && low == 5) {
        return 0;
    }
    size_t n = low == 4 ? 2 : 1;
    bool wide = mode == 2 || (!mode && low == 4 && (at[1] & 7) == 5);
    return n + (wide ? 4 : mode == 1);
}

/*
 * The length of an instruction that does the same wherever it stands; 0: it is none of those that are known to. These are what
 * compilers begin functions with: moves, arithmetic, comparisons.
 */
static size_t plain_size(const uint8_t *code)
{
    const uint8_t *at = code;
    bool wide = false;
    size_t immediate = 0;
    at += *at == 0x64; /* FS: the thread's own, as the guard of the stack is */
    if ((*at & 0xf0) == 0x40) { /* REX */
        wide = *at++ & 8;
    }
    uint8_t op = *at++;
    if (op >= 0x50 && op <= 0x57) { /* push */
        return (size_t)(at - code);
    }
    if (op >= 0xb8 && op <= 0xbf) { /* mov of a constant */
        return (size_t)(at - code) + (wide ? 8 : 4);
    }
    switch (op) {
    case 0x01: case 0x03: case 0x09: case 0x0b: case 0x21: case 0x23: case 0x29: case 0x2b: case 0x31: case 0x33: case 0x39: case 0x3b:
    case 0x84: case 0x85: case 0x88: case 0x89: case 0x8a: case 0x8b: case 0x8d:
        break;
    case 0x80: case 0x83: case 0xc1: case 0xc6:
        immediate = 1;
        break;
    case 0x81: case 0xc7:
        immediate = 4;
        break;
    case 0xf6:
        immediate = (at[0] >> 3 & 7) < 2 ? 1 : 0;
        break;
    case 0xf7:
        immediate = (at[0] >> 3 & 7) < 2 ? 4 : 0;
        break;
    case 0x0f:
        op = *at++;
        if (op != 0xb6 && op != 0xb7 && op != 0xbe && op != 0xbf) { /* movzx, movsx */
            return 0;
        }
        break;
    default:
        return 0;
    }
    size_t operand = operand_size(at);
    return operand ? (size_t)(at - code) + operand + immediate : 0;
}

static void put_offset(uint8_t *at, const uint8_t *from, const uint8_t *to)
{
    int32_t offset = (int32_t)(to - from);
    memcpy(at, &offset, sizeof offset);
}

static void put_jump(uint8_t *at, const uint8_t *to)
{
    *at = JUMP;
    put_offset(at + 1, at + JUMP_SIZE, to);
}

/*
 * A call, so that it returns to where it would have: whoever unwinds the stack knows that place. Returns what follows it.
 *     sub $8, %rsp; movl $…, (%rsp); movl $…, 4(%rsp); jmp TARGET
 */
static uint8_t *put_call(uint8_t *at, const uint8_t *target, const uint8_t *back)
{
    uint8_t code[] = { 0x48, 0x83, 0xec, 0x08, 0xc7, 0x04, 0x24, 0, 0, 0, 0, 0xc7, 0x44, 0x24, 0x04, 0, 0, 0, 0 };
    memcpy(code + 7, &back, 4);
    memcpy(code + 15, (const uint8_t *)&back + 4, 4);
    memcpy(at, code, sizeof code);
    put_jump(at + sizeof code, target);
    return at + sizeof code + JUMP_SIZE;
}

/* A push, or room made on the stack: nobody comes back to what follows it at once, for the function's frame is being made. */
static bool begins_frame(const uint8_t *code)
{
    return (*code & 0xf8) == 0x50 || ((*code & 0xf0) == 0x40 && (code[1] & 0xf8) == 0x50)
        || (code[0] == 0x48 && (code[1] == 0x83 || code[1] == 0x81) && code[2] == 0xec);
}

/* Whether something in the function might be a jump into [from, to). What is no jump at all may look like one. */
static bool is_come_back_to(const uint8_t *function, size_t size, const uint8_t *from, const uint8_t *to)
{
    for (const uint8_t *at = function; at + 2 <= function + size; at++) {
        const uint8_t *near_target = at + 2 + (int8_t)at[1], *far_target = NULL;
        if (((at[0] & 0xf0) == 0x70 || at[0] == 0xeb) && near_target >= from && near_target < to) {
            return true;
        }
        bool conditional = at[0] == 0x0f && (at[1] & 0xf0) == 0x80;
        size_t length = conditional ? 6 : at[0] == JUMP ? 5 : 0;
        if (length && at + length <= function + size) {
            int32_t offset;
            memcpy(&offset, at + length - sizeof offset, sizeof offset);
            far_target = at + length + offset;
        }
        if (far_target >= from && far_target < to) {
            return true;
        }
    }
    return false;
}

/* Nothing but filling stands between a function of less than JUMP_SIZE octets and the next one. */
static bool is_filled_up(const uint8_t *function, size_t size)
{
    const uint8_t *next = function + size;
    bool filling = *next == 0x66 || *next == 0x90 || *next == 0xcc || (*next == 0x0f && next[1] == 0x1f);
    return !((uintptr_t)function & 15) && size == JUMP_SIZE - 1 && filling;
}

/* Writes what is to stand beside the function. False: its first instructions are not all known. */
static bool plan(struct site *s, size_t size)
{
    static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
    uint8_t *function = s->function, *at = s->beside, *end = s->beside + ROOM - JUMP_SIZE;
    size_t skip = size > sizeof endbr64 && !memcmp(function, endbr64, sizeof endbr64) ? sizeof endbr64 : 0;
    const uint8_t *from = function + skip;
    s->place = function + skip;
    /* jmp *0(%rip), and the address. */
    static const uint8_t far_jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
    void *hook = tls_library_entry(program, s->call);
    if (!hook) {
        return false;
    }
    memcpy(at, far_jump, sizeof far_jump);
    memcpy(at + sizeof far_jump, &hook, sizeof hook);
    at += 16;
    s->past = at;
    bool over = false, returns = false, once = begins_frame(from);
    while (from < s->place + JUMP_SIZE && !over) {
        size_t n = plain_size(from);
        if (*from == 0xc3) { /* ret */
            *at++ = *from++;
            over = returns = true;
        } else if (*from == 0xe8 && at + CALL_SIZE <= end) {
            int32_t offset;
            memcpy(&offset, from + 1, sizeof offset);
            from += 5;
            at = put_call(at, from + offset, from);
            over = true;
        } else if (*from == JUMP && at + JUMP_SIZE <= end) { /* to the function that it hands its parameters on to */
            int32_t offset;
            memcpy(&offset, from + 1, sizeof offset);
            from += JUMP_SIZE;
            put_jump(at, from + offset);
            over = true;
        } else if (*from == 0x0f && (from[1] & 0xf0) == 0x80 && at + 6 <= end) { /* a long conditional jump */
            int32_t offset;
            memcpy(&offset, from + 2, sizeof offset);
            memcpy(at, from, 2);
            from += 6;
            put_offset(at + 2, at + 6, from + offset);
            at += 6;
        } else if ((*from & 0xf0) == 0x70 && at + 6 <= end) { /* a short conditional jump becomes a long one */
            at[0] = 0x0f;
            at[1] = 0x80 | (*from & 0x0f);
            put_offset(at + 2, at + 6, from + 2 + (int8_t)from[1]);
            at += 6;
            from += 2;
        } else if (n && at + n <= end) {
            memcpy(at, from, n);
            at += n;
            from += n;
        } else {
            return false;
        }
    }
    if (returns ? from != function + size || !(from >= s->place + JUMP_SIZE || is_filled_up(function, size))
             : from > function + size || (!once && is_come_back_to(function, size, s->place + 1, from))) {
        return false;
    }
    if (!over) {
        put_jump(at, from);
    }
    return true;
}

/* A page near the program, from which its code can be reached by a jump, and that from its code. */
static uint8_t *page_near(const struct object *o)
{
    if (o->high - o->low > 1 << 30) {
        return NULL;
    }
    for (uintptr_t distance = 1 << 16; distance < o->low && distance <= 1 << 28; distance += distance < 1 << 22 ? 1 << 16 : 1 << 22) {
        void *wanted = (void *)((o->low - distance) & ~(PAGE - 1));
        void *page = mmap(wanted, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (page == wanted) {
            return page;
        }
        if (page != MAP_FAILED) {
            munmap(page, PAGE); /* an older kernel takes the address for a proposal */
        }
    }
    return NULL;
}

static bool protect_code(const struct site *s, int protection)
{
    uintptr_t first = (uintptr_t)s->place & ~(PAGE - 1), last = ((uintptr_t)s->place + JUMP_SIZE - 1) & ~(PAGE - 1);
    return !mprotect((void *)first, last - first + PAGE, protection);
}

/* Functions without which a session cannot be followed at all. The others of the table are led to their hooks if they are there. */
static bool is_needed(const char *name)
{
    return !strcmp(name, "SSL_read") || !strcmp(name, "SSL_write") || !strcmp(name, "SSL_get_error") || !strcmp(name, "SSL_shutdown");
}

static bool plan_all(const struct object *o, uint8_t *page)
{
    for (int i = 0; i < TLS_CALL_COUNT; i++) {
        size_t size = 0;
        uint8_t *function = strncmp(names[i], "gnutls_", 7) ? find_function(o, names[i], &size) : NULL;
        if (!function) {
            if (is_needed(names[i])) {
                return false;
            }
            continue;
        }
        if ((count + 1) * ROOM > PAGE || (uintptr_t)function < o->low || (uintptr_t)function >= o->high) {
            return false;
        }
        sites[count] = (struct site){ .function = function, .beside = page + count * ROOM, .call = (enum tls_call)i };
        if (!plan(&sites[count], size)) {
            return false;
        }
        count++;
    }
    return true;
}

/* All code is made writable before any is written, so that nothing has been done where that is not allowed. */
static bool lead_all(uint8_t *page)
{
    bool good = !mprotect(page, PAGE, PROT_READ | PROT_EXEC);
    for (unsigned i = 0; good && i < count; i++) {
        good = protect_code(&sites[i], PROT_READ | PROT_WRITE);
    }
    for (unsigned i = 0; good && i < count; i++) {
        put_jump(sites[i].place, sites[i].beside);
    }
    for (unsigned i = 0; i < count; i++) {
        protect_code(&sites[i], PROT_READ | PROT_EXEC);
    }
    return good;
}

__attribute__((constructor)) static void lead_to_hooks(void)
{
    struct object o;
    size_t size;
    Dl_info info;
    uint8_t *function, *page;
    dl_iterate_phdr(look_at_program, &o);
    if (!o.symbols || !o.strings || !o.hash || !(function = find_function(&o, "SSL_read", &size))) {
        return;
    }
    const char *(*version)(int) = (const char *(*)(int))find_function(&o, "OpenSSL_version", &size);
    const char *text = version ? version(0) : "";
    if ((strncmp(text, "OpenSSL 3.", 10) && strncmp(text, "OpenSSL 1.1.", 12)) || !dladdr(function, &info) || !(page = page_near(&o))) {
        return;
    }
    program = info.dli_fbase;
    if (!plan_all(&o, page) || !lead_all(page)) {
        program = NULL;
        count = 0;
        munmap(page, PAGE);
    }
}

bool inline_is_there(void)
{
    return program;
}

bool inline_has(const void *base)
{
    return program && base == program;
}

void *inline_past(void *function)
{
    for (unsigned i = 0; i < count; i++) {
        if (sites[i].function == function) {
            return sites[i].past;
        }
    }
    return function;
}

#else

bool inline_is_there(void)
{
    return false;
}

bool inline_has(const void *base)
{
    (void)base;
    return false;
}

void *inline_past(void *function)
{
    return function;
}

#endif
