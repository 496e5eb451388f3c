/* elf.c: reads ELF files of any class and byte order; see elf.h. */
#include "elf.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Headers of a file that are looked at, at most, and octets of one note segment or of a table of names. */
#define HEADERS_MAX 128
#define PIECE_MAX 4096

struct file {
    int fd;
    bool wide, big; /* 64 bits; the most significant octet first */
};

/* One program header (PT_…). */
struct segment {
    uint32_t type;
    uint64_t offset, address, size;
};

static bool read_at(const struct file *f, uint64_t offset, void *to, size_t size)
{
    return offset < INT64_MAX && pread(f->fd, to, size, (off_t)offset) == (ssize_t)size;
}

/* The octets up to the file's end, where that comes first. */
static size_t read_some(const struct file *f, uint64_t offset, void *to, size_t size)
{
    ssize_t n = offset < INT64_MAX ? pread(f->fd, to, size, (off_t)offset) : -1;
    return n > 0 ? (size_t)n : 0;
}

static uint64_t number(const struct file *f, const uint8_t *at, size_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++) {
        n = n << 8 | at[f->big ? i : size - 1 - i];
    }
    return n;
}

/* A member of a structure that both classes have. */
#define MEMBER(f, octets, what, member)                                                                     \
    ((f)->wide ? number(f, (octets) + offsetof(Elf64_##what, member), sizeof((Elf64_##what *)0)->member)     \
               : number(f, (octets) + offsetof(Elf32_##what, member), sizeof((Elf32_##what *)0)->member))

#define SIZE(f, what) ((f)->wide ? sizeof(Elf64_##what) : sizeof(Elf32_##what))

/* Returns how many segments there are, or -1 where that cannot be told. */
static int segments(const struct file *f, const uint8_t *header, struct segment *all)
{
    uint64_t offset = MEMBER(f, header, Ehdr, e_phoff), size = MEMBER(f, header, Ehdr, e_phentsize), count = MEMBER(f, header, Ehdr, e_phnum);
    uint8_t octets[sizeof(Elf64_Phdr)];
    if (count > HEADERS_MAX || size < SIZE(f, Phdr)) {
        return -1;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!read_at(f, offset + i * size, octets, SIZE(f, Phdr))) {
            return -1;
        }
        all[i] = (struct segment){ (uint32_t)MEMBER(f, octets, Phdr, p_type), MEMBER(f, octets, Phdr, p_offset),
                                   MEMBER(f, octets, Phdr, p_vaddr), MEMBER(f, octets, Phdr, p_filesz) };
    }
    return (int)count;
}

/* Whether a note of this owner is among those of the segment. */
static bool has_note(const struct file *f, const struct segment *s, const char *owner)
{
    uint8_t octets[PIECE_MAX];
    size_t length = read_some(f, s->offset, octets, s->size < sizeof octets ? s->size : sizeof octets), size = strlen(owner) + 1;
    for (size_t at = 0; at + sizeof(Elf32_Nhdr) <= length;) {
        uint64_t name = number(f, octets + at, 4), description = number(f, octets + at + 4, 4);
        at += sizeof(Elf32_Nhdr);
        if (name == size && at + size <= length && !memcmp(octets + at, owner, size)) {
            return true;
        }
        at += ((name + 3) & ~3ULL) + ((description + 3) & ~3ULL);
    }
    return false;
}

static bool has_section(const struct file *f, const uint8_t *header, const char *wanted)
{
    uint64_t offset = MEMBER(f, header, Ehdr, e_shoff), size = MEMBER(f, header, Ehdr, e_shentsize), count = MEMBER(f, header, Ehdr, e_shnum);
    uint64_t names = MEMBER(f, header, Ehdr, e_shstrndx);
    uint8_t octets[sizeof(Elf64_Shdr)];
    char text[PIECE_MAX + 1];
    if (!offset || count > HEADERS_MAX || size < SIZE(f, Shdr) || names >= count || !read_at(f, offset + names * size, octets, SIZE(f, Shdr))) {
        return false;
    }
    size_t length = read_some(f, MEMBER(f, octets, Shdr, sh_offset), text, PIECE_MAX);
    text[length] = 0;
    for (uint64_t i = 0; i < count && read_at(f, offset + i * size, octets, SIZE(f, Shdr)); i++) {
        uint64_t name = MEMBER(f, octets, Shdr, sh_name);
        if (name < length && !strcmp(text + name, wanted)) {
            return true;
        }
    }
    return false;
}

/* Where in the file an address of the image comes from; UINT64_MAX nowhere. */
static uint64_t place(const struct segment *all, int count, uint64_t address)
{
    for (int i = 0; i < count; i++) {
        if (all[i].type == PT_LOAD && address >= all[i].address && address - all[i].address < all[i].size) {
            return all[i].offset + (address - all[i].address);
        }
    }
    return UINT64_MAX;
}

/* Whether a library whose name has this in it is among those that the dynamic section names. */
static bool needs(const struct file *f, const struct segment *all, int count, const struct segment *dynamic, const char *part)
{
    uint64_t wanted[HEADERS_MAX], names = UINT64_MAX;
    uint8_t octets[sizeof(Elf64_Dyn)];
    int found = 0;
    for (uint64_t at = 0; at < dynamic->size && read_at(f, dynamic->offset + at, octets, SIZE(f, Dyn)); at += SIZE(f, Dyn)) {
        uint64_t tag = MEMBER(f, octets, Dyn, d_tag), value = MEMBER(f, octets, Dyn, d_un);
        if (tag == DT_NULL) {
            break;
        }
        if (tag == DT_NEEDED && found < HEADERS_MAX) {
            wanted[found++] = value;
        } else if (tag == DT_STRTAB) {
            names = place(all, count, value);
        }
    }
    for (int i = 0; names != UINT64_MAX && i < found; i++) {
        char text[128];
        text[read_some(f, names + wanted[i], text, sizeof text - 1)] = 0;
        if (strstr(text, part)) {
            return true;
        }
    }
    return false;
}

bool elf_read(int fd, struct elf *elf)
{
    uint8_t header[sizeof(Elf64_Ehdr)] = { 0 };
    struct segment all[HEADERS_MAX];
    struct file f = { .fd = fd };
    size_t length = read_some(&f, 0, header, sizeof header);
    memset(elf, 0, sizeof *elf);
    if (length < EI_NIDENT + 4 || memcmp(header, ELFMAG, SELFMAG)) {
        return false;
    }
    elf->class = header[EI_CLASS];
    elf->data = header[EI_DATA];
    f.wide = elf->class == ELFCLASS64;
    f.big = elf->data == ELFDATA2MSB;
    elf->machine = (uint16_t)MEMBER(&f, header, Ehdr, e_machine);
    int count = length >= SIZE(&f, Ehdr) ? segments(&f, header, all) : -1;
    elf->interpreted = count < 0;
    for (int i = 0; i < count; i++) {
        elf->interpreted = elf->interpreted || all[i].type == PT_INTERP;
        elf->go = elf->go || (all[i].type == PT_NOTE && has_note(&f, &all[i], "Go"));
        elf->asan = elf->asan
            || (all[i].type == PT_DYNAMIC
                && (needs(&f, all, count, &all[i], "libasan.so") || needs(&f, all, count, &all[i], "libclang_rt.asan")));
    }
    elf->go = elf->go || (count >= 0 && has_section(&f, header, ".go.buildinfo"));
    return true;
}
