/* elf.h: what an ELF file says of itself, as far as the launcher has to know: elf(5). */
#ifndef MIDSTREAM_LAUNCHER_ELF_H
#define MIDSTREAM_LAUNCHER_ELF_H

#include <stdbool.h>
#include <stdint.h>

struct elf {
    uint8_t class, data; /* EI_CLASS, EI_DATA */
    uint16_t machine;
    bool interpreted; /* a dynamic linker is asked for, or it cannot be told */
    bool go;          /* made by the Go compiler */
    bool asan;        /* needs AddressSanitizer's library */
};

/* Reads an open file. False where it is no ELF file; what is damaged in one counts as absent. */
bool elf_read(int fd, struct elf *elf);

#endif
