/*
 * small.c: preloaded behind the shim, it gives Unix sockets no more room than a program without privileges gets by net.core.wmem_max as
 * the kernel has it by itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    static const int most = 212992;
    __typeof__(&setsockopt) real = (__typeof__(&setsockopt))dlsym(RTLD_NEXT, "setsockopt");
    if (level == SOL_SOCKET && name == SO_SNDBUFFORCE) {
        errno = EPERM;
        return -1;
    }
    return real(fd, level, name, level == SOL_SOCKET && name == SO_SNDBUF ? &most : value, length);
}
