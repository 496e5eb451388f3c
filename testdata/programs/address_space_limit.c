/* Under RLIMIT_AS (64 MB above what is used) a GET works and malloc still fails in the end. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        fail("statm");
    fclose(file);
    rlim_t size = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (64 << 20);
    struct rlimit limit = {size, size};
    CALL(setrlimit(RLIMIT_AS, &limit));
    fetch("/fixed/20000");
    CALL(malloc(1 << 30) != NULL);
    fetch("/fixed/20001");
    return 0;
}
