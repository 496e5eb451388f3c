/* names.c: see names.h. What is not carried passes, and the kernel answers. */
#include "names.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "carried.h"
#include "notice.h"
#include "target.h"

/* The connection of the socket that is asked about, and one more descriptor of it. NULL: none. */
static struct carried *asked(const struct notice *n, struct target **t, int *fd)
{
    *fd = -1;
    *t = target_of(n);
    *fd = *t ? target_take(*t, notice_int(n, 0)) : -1;
    return *fd >= 0 ? carried_of(carried_cookie(*fd)) : NULL;
}

/* The errno of writing a value of which the caller has said how long it may be, and is told how long it is. */
static int give(const struct target *t, uint64_t to, uint64_t to_length, const void *value, socklen_t size)
{
    int room;
    if (!target_read(t, to_length, &room, sizeof room)) {
        return EFAULT;
    }
    if (room < 0) {
        return EINVAL;
    }
    size_t part = (size_t)room < size ? (size_t)room : size;
    return target_write(t, to, value, part) && target_write(t, to_length, &size, sizeof size) ? 0 : EFAULT;
}

static bool name_of(struct carried *c, bool peer, int fd, union address *name)
{
    union address kernels;
    socklen_t length = sizeof kernels;
    if (syscall(peer ? SYS_getpeername : SYS_getsockname, fd, &kernels, &length)) {
        return false; /* not connected any more, or not yet */
    }
    *name = peer ? c->peer : c->local;
    length = sizeof *name;
    if (!peer && name->any.sa_family == AF_UNSPEC) {
        return c->server.fd >= 0 && !getsockname(c->server.fd, &name->any, &length); /* chosen, but not connected yet */
    }
    return true;
}

static void answer(struct notice *n, bool peer)
{
    union address name;
    struct target *t;
    int fd = -1;
    struct carried *c = carried_known() ? asked(n, &t, &fd) : NULL;
    bool known = c && c->state != CARRIED_FAILED && name_of(c, peer, fd, &name);
    target_give_back(fd);
    if (known && notice_is_valid(n)) {
        notice_answer(n, give(t, notice_address(n, 1), notice_address(n, 2), &name, address_length(&name)));
    } else {
        notice_pass(n);
    }
}

void names_peer(struct notice *n) { answer(n, true); }

void names_local(struct notice *n) { answer(n, false); }

void names_error(struct notice *n)
{
    struct target *t;
    int fd = -1;
    struct carried *c = carried_failures() ? asked(n, &t, &fd) : NULL;
    bool known = c && c->state == CARRIED_FAILED;
    int error = 0;
    socklen_t length = sizeof error;
    if (known && !c->asked) {
        syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &error, &length); /* that of loopback, which is told once as well */
        c->asked = true;
        c->owed = error != 0;
    }
    error = known && c->owed ? c->error : 0;
    target_give_back(fd);
    if (!known || !notice_is_valid(n)) {
        notice_pass(n);
        return;
    }
    /* A signal may take the thread out of the call, which is made again: only what has been told is forgotten. */
    if (notice_answer(n, give(t, notice_address(n, 3), notice_address(n, 4), &error, sizeof error))) {
        carried_forget(c);
    }
}
