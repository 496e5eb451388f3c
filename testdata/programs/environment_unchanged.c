/* The environment, directory, umask and arguments are as the program was given them, after a GET too. */
#include "observe.h"

static void show(void)
{
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "LD_PRELOAD=", 11) != 0 && strncmp(*e, "MIDSTREAM_", 10) != 0)
            say("%s\n", *e);
    mode_t mask = umask(077);
    say("umask %o\n", mask);
    umask(mask);
    say("%s\n", program_invocation_short_name);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    show();
    fetch("/fixed/1000");
    show();
    CALL(clearenv());
    fetch("/fixed/1001");
    CALL(environ == NULL);
    CALL(system("echo $FOO"));
    return 0;
}
