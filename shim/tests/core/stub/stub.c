/*
 * stub.c: a core that is a test: it has requests guarded, and passes its end of the channel to whoever listens on the socket that
 * MIDSTREAM_TEST_CORE names. Built as libmidstream-core.so.
 *
 * The thread that runs this has a descriptor table of its own, and its numbers are not the program's, so it calls the C library past
 * the shim: a core makes system calls by itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../../cgo/abi.h"

#define OWN(name) ((__typeof__(&name))dlsym(c_library, #name))

__attribute__((visibility("default"))) int midstream_core_start(int channel, struct ms_shared *shared, uint8_t *tails)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    const char *path = getenv("MIDSTREAM_TEST_CORE");
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof channel)];
    } control = { .header = { CMSG_LEN(sizeof channel), SOL_SOCKET, SCM_RIGHTS } };
    struct iovec octet = { "", 1 };
    struct msghdr message = { .msg_iov = &octet, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    void *c_library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    int fd = OWN(socket)(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)tails;
    if (shared->version != MS_ABI_VERSION || !path || strlen(path) >= sizeof name.sun_path) {
        return EPROTO;
    }
    strcpy(name.sun_path, path);
    memcpy(CMSG_DATA(&control.header), &channel, sizeof channel);
    if (OWN(connect)(fd, (struct sockaddr *)&name, sizeof name) || OWN(sendmsg)(fd, &message, 0) != 1) {
        return errno;
    }
    OWN(close)(fd);
    OWN(close)(channel);
    atomic_store(&shared->guard_new, 1);
    return 0;
}
