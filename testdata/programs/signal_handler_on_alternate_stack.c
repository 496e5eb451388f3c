/* A handler runs on the program's alternate stack, which is unchanged by a GET. */
#include "observe.h"

static char stack[65536];
static volatile int on_stack;

static void handler(int unused)
{
    (void)unused;
    char here;
    on_stack = &here >= stack && &here < stack + sizeof stack;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    stack_t before, after, own = {.ss_sp = stack, .ss_size = sizeof stack};
    fetch("/fixed/1000");
    CALL(sigaltstack(NULL, &before));
    say("none yet %d\n", before.ss_flags == SS_DISABLE);
    CALL(sigaltstack(&own, NULL));
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    fetch("/fixed/2000");
    CALL(raise(SIGUSR1));
    say("on the stack %d\n", on_stack);
    CALL(sigaltstack(NULL, &after));
    say("same %d\n", after.ss_sp == stack && after.ss_size == sizeof stack);
    return 0;
}
