package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServerHasToProveItself: the books go to no server on another machine that does not prove who it is, whatever says
// how it is reached: the URL, several hosts, the environment or a service file.
func TestServerHasToProveItself(t *testing.T) {
	services := filepath.Join(t.TempDir(), "services")
	text := "[far]\nhost=db.example.com\nuser=koban\ndbname=koban\n[near]\nhost=127.0.0.1\nuser=koban\ndbname=koban\n"
	if err := os.WriteFile(services, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const far, full = "postgres://koban@db.example.com/koban", "sslmode=verify-full"
	for _, c := range []struct {
		url  string
		env  []string // name, value
		want string   // in the error; "" if the URL is taken
	}{
		{url: "postgres://koban@localhost/koban"},
		{url: "postgres://koban@127.0.0.1:5433/koban?sslmode=disable"},
		{url: "postgres://koban@[::1]/koban"},
		{url: "postgres:///koban?host=/run/postgresql&user=koban"},
		{url: "host=/run/postgresql user=koban dbname=koban"},
		{url: far + "?" + full},
		{url: far + "?insecure=true"},
		{url: far + "?sslmode=disable&insecure=true"},
		{url: far, env: []string{"PGSSLMODE", "verify-full"}},
		{url: far, want: "db.example.com is on another machine"},
		{url: far + "?sslmode=disable", want: "sslmode=verify-full"},
		{url: far + "?sslmode=allow", want: "sslmode=verify-full"},
		{url: far + "?sslmode=prefer", want: "sslmode=verify-full"},
		{url: far + "?sslmode=require", want: "with sslmode=require"},
		{url: far + "?sslmode=require", env: []string{"PGSSLMODE", "verify-full"}, want: "with sslmode=require"},
		{url: "postgres://koban@192.0.2.7/koban", want: "192.0.2.7 is on another machine"},
		{url: "postgres://koban@localhost,db.example.com/koban?sslmode=disable", want: "db.example.com is on another machine"},
		{url: "postgres://koban@localhost,db.example.com/koban?" + full},
		{url: "postgres:///koban?host=db.example.com&user=koban", want: "db.example.com is on another machine"},
		{url: "postgres:///koban?user=koban", env: []string{"PGHOST", "db.example.com"}, want: "db.example.com is on another machine"},
		{url: "postgres:///?service=far&servicefile=" + services, want: "db.example.com is on another machine"},
		{url: "postgres:///?service=near&servicefile=" + services},
		{url: far + "?insecure=yes", want: `insecure is "yes"`},
		{url: far + "?insecure=", want: `insecure is ""`},
	} {
		t.Run(c.url+strings.Join(c.env, "="), func(t *testing.T) {
			t.Setenv("PGSSLMODE", "")
			if c.env != nil {
				t.Setenv(c.env[0], c.env[1])
			}
			err := CheckURL(c.url)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v: expected an error about %q", err, c.want)
			}
		})
	}
}
