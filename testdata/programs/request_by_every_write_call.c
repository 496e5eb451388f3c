/* A request by each of write, send, sendto, writev, sendmsg, sendmmsg, and a file by sendfile and splice. */
#include "observe.h"

static char request[400];
static size_t size;

static void answer(int fd)
{
    settle();
    say("length %ld\n", head(fd));
    body(fd, 2000);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    size = compose(request, "/fixed/2000");
    struct iovec parts[4] = {{request, 1}, {NULL, 0}, {request + 1, 9}, {request + 10, size - 10}};
    struct iovec first = {request, 5}, rest = {request + 5, size - 5};
    struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = &first, .msg_iovlen = 1}},
                              {.msg_hdr = {.msg_iov = &rest, .msg_iovlen = 1}}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 4};
    FILE *file = tmpfile();
    if (fwrite(request, 1, size, file) != size || fflush(file) != 0)
        fail("fwrite");
    for (int fresh = 0; fresh < 2; fresh++) {
        int kept = dial();
        for (int kind = 0; kind < 9; kind++) {
            int fd = fresh ? dial() : kept;
            off_t offset = 0;
            int ends[2];
            switch (kind) {
            case 0: CALL(write(fd, request, size) == (ssize_t)size); break;
            case 1: CALL(send(fd, request, size, MSG_NOSIGNAL) == (ssize_t)size); break;
            case 2: CALL(sendto(fd, request, size, 0, NULL, 0) == (ssize_t)size); break;
            case 3: CALL(sendto(fd, request, size, 0, (struct sockaddr *)&server, sizeof server) == (ssize_t)size); break;
            case 4: CALL(writev(fd, parts, 4) == (ssize_t)size); break;
            case 5: CALL(sendmsg(fd, &m, 0) == (ssize_t)size); break;
            case 6:
                CALL(sendmmsg(fd, many, 2, 0));
                say("%u %d\n", many[0].msg_len, many[1].msg_len == size - 5);
                break;
            case 7:
                CALL(sendfile(fd, fileno(file), &offset, size) == (ssize_t)size);
                CALL(offset == (off_t)size);
                break;
            case 8:
                if (pipe(ends) != 0)
                    fail("pipe");
                CALL(write(ends[1], request, size) == (ssize_t)size);
                CALL(splice(ends[0], NULL, fd, NULL, size, 0) == (ssize_t)size);
                close(ends[0]);
                close(ends[1]);
                break;
            }
            answer(fd);
            if (fresh)
                close(fd);
        }
        close(kept);
    }
    return 0;
}
