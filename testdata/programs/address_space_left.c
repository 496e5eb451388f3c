/* GETs in processes of which a limit on addresses or data leaves 50 MB to 2.4 GB. */
#include "observe.h"

static rlim_t used(int field)
{
    unsigned long pages[6] = {0};
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu %lu %lu %lu %lu", pages, pages + 1, pages + 2, pages + 3, pages + 4, pages + 5) != 6)
        fail("statm");
    fclose(file);
    return (rlim_t)pages[field] * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void try(int which, int field, rlim_t left)
{
    pid_t pid = fork();
    if (pid == 0) {
        /* The limit itself is generous: most of it is in use. */
        if (mmap(NULL, 3UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
            fail("mmap");
        struct rlimit limit = {used(field) + left, used(field) + left};
        if (setrlimit(which, &limit) != 0)
            fail("setrlimit");
        fetch("/fixed/20000");
        int fd = begin_download();
        body(fd, 15000);
        _exit(0);
    }
    wait_for(pid);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (rlim_t left = 50 << 20; left < 2400UL << 20; left += 470 << 20)
        try(RLIMIT_AS, 0, left);
    for (rlim_t left = 2 << 20; left < 300 << 20; left += 50 << 20)
        try(RLIMIT_DATA, 5, left);
    return 0;
}
