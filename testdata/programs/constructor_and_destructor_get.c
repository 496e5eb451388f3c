/* GETs from a constructor, from an atexit handler and from a destructor. */
#include "observe.h"

__attribute__((constructor(101))) static void early(int argc, char **argv)
{
    begin(argc, argv);
    fetch("/fixed/1000");
    say("constructed\n");
}

__attribute__((destructor(101))) static void late(void)
{
    fetch("/fixed/4000");
    say("destroyed\n");
}

static void at_exit(void)
{
    fetch("/fixed/3000");
    say("at exit\n");
}

int main(void)
{
    atexit(at_exit);
    fetch("/fixed/2000");
    return 15;
}
