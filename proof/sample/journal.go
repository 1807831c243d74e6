package sample

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Service is the points service. Its methods are safe for concurrent use: one at a time decides, writes and answers.
type Service struct {
	now func() time.Time

	mu    sync.Mutex
	books *books
	file  *os.File // nil: in memory only
	size  int64    // bytes of whole records in file
	dead  error    // the journal failed: nothing is known any more, and nothing is answered
}

// Open returns the service with what its journal holds. Without a path it forgets when it ends. It waits until no other
// process has the journal open: one that was killed may still be writing.
//
// Errors: of the file system, and a journal that is damaged before its end.
func Open(path string, now func() time.Time) (*Service, error) {
	s := &Service{now: now, books: newBooks()}
	if path == "" {
		return s, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = file
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	if err == nil {
		err = errors.Join(s.replay(), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close closes the journal.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = errors.New("the service is closed")
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// replay applies every record that was written whole. Half a record at the end was never answered: it is cut off.
func (s *Service) replay() error {
	r := bufio.NewReader(s.file)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return s.file.Truncate(s.size)
		}
		if err != nil {
			return err
		}
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil {
			return fmt.Errorf("the journal is damaged at byte %d: %w", s.size, err)
		}
		s.books.apply(rec)
		s.size += int64(len(line))
	}
}

// do lets decide choose, makes its record durable, and only then changes the books. It returns the code of a refusal, and
// an error if nobody can say what happened.
func (s *Service) do(account string, decide func(*books) (*record, string)) (receipt, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return receipt{}, "", s.dead
	}
	rec, code := decide(s.books)
	if rec != nil {
		if err := s.write(rec); err != nil {
			s.dead = err // written or not? A new start reads what is there.
			return receipt{}, "", err
		}
		s.books.apply(*rec)
	}
	out := receipt{Book: "sample", Seq: s.books.seq}
	if a := s.books.accounts[account]; a != nil {
		out.Available = a.Available
	}
	return out, code, nil
}

// write makes a record durable.
func (s *Service) write(rec *record) error {
	if s.file == nil {
		return nil
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	line = append(bytes.TrimSpace(line), '\n')
	if _, err := s.file.WriteAt(line, s.size); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.size += int64(len(line))
	return nil
}
