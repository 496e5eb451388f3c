/* Socket calls and a GET from .preinit_array, before any library's constructor has run. */
#include "observe.h"

static void earliest(int argc, char **argv, char **env)
{
    (void)env;
    begin(argc, argv);
    CALL(close(-1));
    CALL(write(1, "", 0));
    CALL(dup(1));
    CALL(close(3));
    fetch("/fixed/1000");
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = earliest;

int main(void)
{
    say("main\n");
    fetch("/fixed/2000");
    return 0;
}
