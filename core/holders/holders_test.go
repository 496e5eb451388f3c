package holders

import (
	"strconv"
	"strings"
	"testing"
)

func FuzzSocketInode(f *testing.F) {
	for _, seed := range []string{"socket:[4711]", "socket:[", "socket:[]", "socket:[1", "socket:[-1]", "/dev/null", "anon_inode:[eventfd]", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		inode, is := socketInode(target)
		if again, whole := socketInode("socket:[" + strconv.FormatUint(inode, 10) + "]"); is && (!whole || again != inode) {
			t.Fatalf("%q: %d", target, inode)
		}
		if is && !strings.HasPrefix(target, "socket:[") {
			t.Fatalf("%q counts as a socket", target)
		}
	})
}
