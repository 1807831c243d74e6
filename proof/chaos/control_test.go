package chaos

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// TestControlAnswersBeforeCommitLoses runs the same clients, kills and judge against a platform that answers before it
// has committed, and against the same one that does not. A judge that finds no loss in the first would find none
// anywhere; one that finds something in the second would find it everywhere.
func TestControlAnswersBeforeCommitLoses(t *testing.T) {
	control := func(lies bool) *Summary {
		program, err := Control(lies, t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		return play(t, Config{Kills: 3, Random: true, Program: program})
	}
	if s := control(true); s.Count[Lost] == 0 {
		t.Errorf("the platform answered before it committed, and the judge has found no loss: %v", s.Count)
	}
	if s := control(false); !s.Right() {
		t.Errorf("the platform committed before it answered, and the judge has found: %v", s.Count)
	}
}
