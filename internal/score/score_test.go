package score_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/koban-pay/koban/internal/score"
)

type spy struct{ failed []string }

func (*spy) Helper()             {}
func (*spy) Logf(string, ...any) {}
func (s *spy) Errorf(format string, args ...any) {
	s.failed = append(s.failed, fmt.Sprintf(format, args...))
}

func TestReportKeepsALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "score")
	t.Setenv(score.FileEnv, path)
	var s spy
	score.Report(&s, score.Line{ID: "a", Name: "n", Figure: "3 of 3", Target: "3", Value: 3, OK: true})
	score.Report(&s, score.Line{ID: "b", Name: "m", Figure: "2 of 3", Target: "3", Value: 2, Seeds: "1-3"})
	if len(s.failed) != 1 || s.failed[0] != "m: 2 of 3, but the target is 3" {
		t.Errorf("failed: %q; only the missed target should", s.failed)
	}
	got, err := os.ReadFile(path)
	want := `{"id":"a","name":"n","figure":"3 of 3","target":"3","value":3,"ok":true}` + "\n" +
		`{"id":"b","name":"m","figure":"2 of 3","target":"3","value":2,"seeds":"1-3","ok":false}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("kept %s, %v", got, err)
	}
}
