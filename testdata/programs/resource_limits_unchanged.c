/* Limits as the program set them are still so after a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct rlimit set = {111, 222}, none = {0, 0}, got;
    CALL(setrlimit(RLIMIT_NOFILE, &set));
    CALL(setrlimit(RLIMIT_CORE, &none));
    fetch("/fixed/1000");
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        getrlimit(i, &got);
        say("%d %lu %lu\n", i, (unsigned long)got.rlim_cur, (unsigned long)got.rlim_max);
    }
    return 0;
}
