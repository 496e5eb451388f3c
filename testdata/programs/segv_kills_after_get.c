/* A fault after a GET kills the process by SIGSEGV, with nothing printed. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/1000");
    *(volatile int *)(uintptr_t)16 = 1;
    return 0;
}
