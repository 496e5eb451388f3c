/* The program's own allocator makes socket calls, also before any constructor. */
#include "observe.h"

static char arena[64 << 20] __attribute__((aligned(16)));
static size_t used;
static int depth, calls;

static void call_hooks(void)
{
    if (__sync_fetch_and_add(&depth, 1) == 0 && calls < 200) {
        int saved = errno, fd = socket(AF_UNIX, SOCK_STREAM, 0);
        calls++;
        send(fd, "GET ", 4, MSG_NOSIGNAL);
        write(1, "", 0) < 0 ? abort() : (void)0;
        close(dup(fd));
        close(fd);
        close(-1);
        errno = saved;
    }
    __sync_fetch_and_sub(&depth, 1);
}

void *malloc(size_t size)
{
    call_hooks();
    size_t whole = (size + 31) & ~(size_t)15;
    size_t at = __sync_fetch_and_add(&used, whole);
    if (at + whole > sizeof arena) {
        errno = ENOMEM;
        return NULL;
    }
    *(size_t *)(void *)(arena + at) = size;
    return arena + at + 16;
}

void free(void *p)
{
    (void)p;
    call_hooks();
}

void *calloc(size_t n, size_t size) { return malloc(n * size); } /* the arena starts as zeros and is never reused */

void *realloc(void *old, size_t size)
{
    void *fresh = malloc(size);
    if (fresh && old) {
        size_t had = *(size_t *)(void *)((char *)old - 16);
        memcpy(fresh, old, had < size ? had : size);
    }
    return fresh;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    free(malloc(10));
    fetch("/fixed/1000");
    FILE *file = fopen("/dev/null", "w");
    fprintf(file, "x");
    fclose(file);
    fetch("/fixed/2000");
    list_descriptors();
    return 0;
}
