/*
 * layout.c: keeps the loader from making pages twice.
 *
 * ld.so reads the dynamic section before it relocates what lies beside it. With the page that it reads the kernel maps all of the 64 kB
 * around it, to be read only (fault-around), and the first write to each of those pages then costs not only a copy, but an
 * interrupt of every processor that the program runs on. So nothing that is relocated lies in those 64 kB: before the section this
 * does, and what follows it begins with the next ones (common-page-size in build.sh).
 */
__attribute__((section(".data.rel.ro.apart"), used)) static char apart[0xf000] = { 1 };
