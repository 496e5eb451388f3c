/* The environment is wiped before the first request leaves. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    clearenv();
    fetch("/fixed/1000");
    setenv("A", "b", 1);
    fetch("/fixed/1000");
    for (char **e = environ; e && *e; e++)
        say("%s\n", *e);
    return 0;
}
