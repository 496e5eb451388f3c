/* settings.c: the configuration. */
#include "process/settings.c"

#include "read.h"

/* Each letter is an answer that is not the one of an empty file. */
void read_settings(uint8_t kind)
{
    setenv("MIDSTREAM_CONFIG", kind == 'o' ? input.name : "/file", 1);
    enum settings_kind is = settings_kind(input.name);
    printf("%s%s%s%s%s%s%s%s.", look_for_tls("http2=keep") ? "k" : "", look_for_tls("http3=refuse") ? "r" : "", settings_whole_proof() ? "w" : "",
           settings_forbid(input.name) ? "f" : "", settings_cost(input.name) ? "c" : "",
           settings_leave_tunnel(input.name) ? "l" : "", is == SETTINGS_TUNNEL ? "t" : "", is == SETTINGS_NO_TUNNEL ? "n" : "");
}
