package manager

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStoreKeepsDirectivesAndTellsOfChanges(t *testing.T) {
	s := Store{t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	notices, err := s.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(func(d *Directives) error {
		d.Use = "wwan0"
		d.Tell("wlan0", Hint{Key: "cost", Value: "3", At: time.Now()})
		d.Tell("wlan0", Hint{Key: "free", Value: "true", Expires: time.Now().Add(-time.Second)})
		d.Whens = append(d.Whens, When{ID: "1", Condition: "wlan0.rtt > 3", Use: "wwan0"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-notices
	d, err := s.Load()
	if err != nil || d.Use != "wwan0" || len(d.Hints["wlan0"]) != 1 || len(d.Whens) != 1 {
		t.Errorf("%+v %v", d, err)
	}
	if err := s.Update(func(d *Directives) error { d.Use = ""; return nil }); err != nil {
		t.Fatal(err)
	}
	if d, _ := s.Load(); d.Use != "" || len(d.Whens) != 1 {
		t.Errorf("%+v", d)
	}
	cancel()
	for range notices {
	}
}

func TestProcessesAreToldOfChanges(t *testing.T) {
	for name, looks := range map[string]int{"while it is looked": 40, "by the kernel": 0} {
		s := Store{t.TempDir()}
		ctx, cancel := context.WithCancel(context.Background())
		notices := s.watchLater(ctx, time.Millisecond, looks, func(err error) { t.Errorf("%s: %v", name, err) })
		for _, use := range []string{"wwan0", "wlan0", ""} {
			if err := s.Update(func(d *Directives) error { d.Use = use; return nil }); err != nil {
				t.Fatal(err)
			}
			<-notices
			for d, err := s.Load(); d.Use != use; d, err = s.Load() {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		cancel()
		for range notices {
		}
	}
}

func TestStoreDoesNotBelieveEverything(t *testing.T) {
	s := Store{t.TempDir()}
	os.Symlink("../../etc/passwd", filepath.Join(s.Dir, useLink))
	os.WriteFile(filepath.Join(s.Dir, storeFile), []byte(`{"hints":{"a/b":[{"key":"cost","value":"1"}],"a":[{"key":"cost","value":"x"}]},"whens":[{"condition":"(","use":"a"}]}`), 0o600)
	d, err := s.Load()
	if err != nil || d.Use != "" || len(d.Hints) != 0 || len(d.Whens) != 0 {
		t.Errorf("%+v %v", d, err)
	}
	os.WriteFile(filepath.Join(s.Dir, storeFile), []byte("{"), 0o600)
	if _, err := s.Load(); err == nil {
		t.Error("half a file was believed")
	}
	if err := s.Update(func(*Directives) error { return nil }); err != nil {
		t.Error(err)
	}
	if _, err := s.Load(); err != nil {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"hints":{"wlan0":[{"key":"cost","value":"1"},{"key":"free","value":"true","expires":"2030-01-01T00:00:00Z"}]},"whens":[{"id":"1","condition":"wlan0.rtt > 3","use":"wwan0","once":true}]}`))
	f.Add([]byte("{"))
	s := Store{f.TempDir()}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(s.Dir, storeFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := s.Load()
		if err != nil {
			return
		}
		if len(d.Hints) > MaxHinted || len(d.Whens) > MaxWhens {
			t.Errorf("%d hints, %d triggers", len(d.Hints), len(d.Whens))
		}
		for _, w := range d.Whens {
			if CheckWhen(w.Condition, w.Use) != nil {
				t.Errorf("%+v", w)
			}
		}
	})
}
