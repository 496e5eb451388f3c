/* notice.c: see notice.h. */
#include "notice.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Calls that may be unanswered at once, those of threads that wait in connect() among them; the last is for one that passes at once. */
#define NOTICES 4096

static struct notice *all;
static unsigned hint;
static int descriptor = -1;

bool notice_open(int listener)
{
    descriptor = listener;
    all = mmap(NULL, NOTICES * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return all != MAP_FAILED;
}

static struct notice *unused(void)
{
    for (unsigned i = 0; i < NOTICES - 1; i++) {
        struct notice *n = &all[(hint + i) % (NOTICES - 1)];
        if (!n->used) {
            hint = (unsigned)(n - all);
            return n;
        }
    }
    return &all[NOTICES - 1];
}

/* The kernel writes into the shared memory itself, and it is marked before: what has been taken is not lost, whenever this process ends. */
struct notice *notice_next(void)
{
    for (;;) {
        struct notice *n = unused();
        memset(&n->call, 0, sizeof n->call);
        n->used = true;
        if (ioctl(descriptor, SECCOMP_IOCTL_NOTIF_RECV, &n->call)) {
            n->used = false;
            return NULL; /* ENOENT: a signal has taken the thread out of the call */
        }
        if (n != &all[NOTICES - 1]) {
            return n;
        }
        notice_pass(n);
        struct pollfd more = { .fd = descriptor, .events = POLLIN };
        if (poll(&more, 1, 0) != 1 || !(more.revents & POLLIN)) {
            return NULL;
        }
    }
}

bool notice_is_valid(const struct notice *n) { return !ioctl(descriptor, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->call.id); }

static bool respond(struct notice *n, int error, uint32_t flags)
{
    struct seccomp_notif_resp response = { .id = n->call.id, .error = -error, .flags = flags };
    bool there = !ioctl(descriptor, SECCOMP_IOCTL_NOTIF_SEND, &response);
    n->used = false;
    return there;
}

bool notice_pass(struct notice *n) { return respond(n, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); }

bool notice_answer(struct notice *n, int error) { return respond(n, error, 0); }

void notice_pass_all(void)
{
    for (unsigned i = 0; i < NOTICES; i++) {
        if (all[i].used) {
            notice_pass(&all[i]);
        }
    }
    for (struct pollfd wait = { .fd = descriptor, .events = POLLIN };;) {
        if (poll(&wait, 1, -1) < 0 && errno != EINTR) {
            return;
        }
        if (wait.revents & POLLIN) {
            struct notice *n = notice_next();
            if (n) {
                notice_pass(n);
            }
        } else if (wait.revents & (POLLHUP | POLLERR | POLLNVAL)) {
            return;
        }
    }
}
