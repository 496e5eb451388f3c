/* One tracked socket is put over another that is in the middle of a download. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int a = begin_download();
    int b = dial();
    ask(b, "/fixed/30000");
    say("length %ld\n", head(b));
    body(b, 1000);
    CALL(dup2(b, a));
    body(a, 9000);
    CALL(close(b));
    body(a, 20000);
    get(a, "/fixed/51");
    CALL(dup2(a, a));
    get(a, "/fixed/52");
    CALL(dup3(a, a, 0));
    CALL(dup2(900, a));
    get(a, "/fixed/53");
    return 0;
}
