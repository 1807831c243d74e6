package sample

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, path string) *Service {
	t.Helper()
	s, err := Open(path, func() time.Time { return time.Unix(1_795_000_000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func post(s *Service, verb, body string) (int, string) {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/"+verb, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

const try = `{"branch":"b.1","tenant":1,"account":"member-1","amount":{"currency":"PT","value":60},"purpose":"charge",` +
	`"not_after":"2030-01-01T09:00:00Z","effective_at":"2030-01-01T08:59:30Z"}`

// TestJournalIsTheBooks: what was answered is there again after the end, and half a record, which was never answered, is
// not; what follows is written where it stood.
func TestJournalIsTheBooks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s := open(t, path)
	if _, err := s.Open(Amount{"PT", 100}); err != nil {
		t.Fatal(err)
	}
	if code, body := post(s, "try", try); code != 200 {
		t.Fatal(code, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := post(s, "try", try); code != 503 {
		t.Errorf("a closed service answered %d %s", code, body)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		if end := cut > 0 && whole[cut-1] == '\n'; cut%16 != 0 && !end {
			continue
		}
		torn := filepath.Join(t.TempDir(), "torn")
		if err := os.WriteFile(torn, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, torn)
		want := Account{}
		switch records := strings.Count(string(whole[:cut]), "\n"); records {
		case 1:
			want = Account{Currency: "PT", Available: 100}
		case 2:
			want = Account{Currency: "PT", Available: 40, Held: 60}
		}
		if a, _ := s.Account("member-1"); a != want {
			t.Fatalf("of %d bytes there are %+v, should be %+v", cut, a, want)
		}
		if _, err := s.Open(Amount{"PT", 5}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, torn)
		if len(again.books.accounts) != len(s.books.accounts) || again.books.seq != s.books.seq {
			t.Fatalf("of %d bytes and a record, %d accounts and %d records came back", cut, len(again.books.accounts), again.books.seq)
		}
		_ = again.Close()
	}
}

// TestDamageIsNotServed: a journal that is wrong before its end is refused.
func TestDamageIsNotServed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, []byte("{\"open\":\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, time.Now); err == nil || !strings.Contains(err.Error(), "damaged at byte 0") {
		t.Errorf("it was opened, or without a word about the damage: %v", err)
	}
}

// TestLostJournalEndsTheService: once a record could not be written, nothing is answered any more.
func TestLostJournalEndsTheService(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "journal"))
	if _, err := s.Open(Amount{"PT", 100}); err != nil {
		t.Fatal(err)
	}
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, body := post(s, "try", try); code != 503 {
			t.Errorf("without a journal it answered %d %s", code, body)
		}
	}
	if a, _ := s.Account("member-1"); a.Held != 0 {
		t.Errorf("%d are on hold that nobody wrote down", a.Held)
	}
}
