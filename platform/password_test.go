package platform

import (
	"context"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store/storetest"
)

// TestNothingTellsThePassword: the password of the store, which may stand in its URL, is told by no log, no
// figure, no page of health, no file in the data folder and no error, neither of a running platform nor of one
// that cannot start.
func TestNothingTellsThePassword(t *testing.T) {
	const secret = "s3cret-of-the-store"
	u, err := url.Parse(storetest.Postgres(t)("x").URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), secret)
	var log scribe
	r := &rig{t: t, config: Config{
		Data: t.TempDir(), StoreURL: u.String(), Tenant: "demo", Volumes: 2, MinFree: 1,
		Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Fatal: func(err error) { t.Errorf("the process was to end: %v", err) },
	}}
	r.start()
	said := map[string]string{"where the books are": r.app.Books()}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/v1/payments", "/openapi.yaml"} {
		if said[path] = r.ask(r.app.Card.Keys.Operator, path, "", "").body; said[path] == "" {
			t.Errorf("%s says nothing", path)
		}
	}
	// What comes of a second process, a server that does not answer, a user and a database that do not exist.
	second := r.config
	second.Data = t.TempDir()
	gone, nobody, nowhere := *u, *u, *u
	gone.Host, nobody.User, nowhere.Path = "127.0.0.1:1", url.UserPassword("nobody", secret), "/nowhere"
	for what, u := range map[string]*url.URL{
		"a held store": u, "a server that is gone": &gone, "a user that is none": &nobody,
		"a database that is none": &nowhere,
	} {
		second.StoreURL = u.String()
		a, err := Start(t.Context(), second)
		if err == nil {
			_ = a.Close(context.Background())
			t.Fatalf("%s: it starts", what)
		}
		said[what] = err.Error()
		if _, err := Verify(t.Context(), VerifyConfig{Data: t.TempDir(), StoreURL: u.String()}); err != nil {
			said["verify of "+what] = err.Error()
		}
	}
	err = filepath.WalkDir(r.config.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		said[d.Name()] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	if said["the log"] = log.text.String(); said["the log"] == "" {
		t.Error("nothing was logged")
	}
	for what, text := range said {
		if strings.Contains(text, secret) {
			t.Errorf("%s tells the password: %s", what, text)
		}
	}
}

// TestTwoStoresAtOnceAreRefused: a folder with books and the address of a PostgreSQL, which may come from an
// environment that was forgotten, are never taken one for the other; and the refusal names both.
func TestTwoStoresAtOnceAreRefused(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	both := r.config
	both.StoreURL = "postgres://koban:s3cret-of-the-store@127.0.0.1:1/elsewhere"
	_, started := Start(t.Context(), both)
	_, judged := Verify(t.Context(), VerifyConfig{Data: both.Data, StoreURL: both.StoreURL})
	for what, err := range map[string]error{"start": started, "verify": judged} {
		if err == nil {
			t.Fatalf("%s: one of the two was chosen", what)
		}
		for _, word := range []string{both.Data, "127.0.0.1:1, database elsewhere", "KOBAN_STORE", "leave out the store"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: the refusal does not say %q: %v", what, word, err)
			}
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the refusal tells the password: %v", what, err)
		}
	}
	r.right(nil)
}
