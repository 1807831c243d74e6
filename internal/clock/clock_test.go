package clock

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	_ Clock = (*System)(nil)
	_ Clock = (*Manual)(nil)
)

const noon = Micros(1790510400) * Second // 2026-09-27T12:00:00Z

func TestMicros(t *testing.T) {
	if got := noon.String(); got != "2026-09-27T12:00:00.000000Z" {
		t.Errorf("String = %s", got)
	}
	if got := (noon + 1).String(); got != "2026-09-27T12:00:00.000001Z" {
		t.Errorf("String = %s", got)
	}
	if got := Micros(0).String(); got != "1970-01-01T00:00:00.000000Z" {
		t.Errorf("String = %s", got)
	}
	tokyo := time.Date(2026, 9, 27, 21, 0, 0, 999, time.FixedZone("JST", 9*3600))
	if got := FromTime(tokyo); got != noon {
		t.Errorf("FromTime = %v", got)
	}
	if got := noon.Time(); !got.Equal(tokyo.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("Time = %v", got)
	}
	if got := noon.Add(90 * time.Minute); got != noon+Hour+30*Minute {
		t.Errorf("Add = %v", got)
	}
	if got := noon.Add(1999 * time.Nanosecond); got != noon+1 {
		t.Errorf("Add = %v", got)
	}
	if got := (noon + Day).Sub(noon); got != 24*time.Hour {
		t.Errorf("Sub = %v", got)
	}
}

func TestSystemNeverGoesBack(t *testing.T) {
	s := NewSystem()
	before := s.Now()
	if before < s.first.Wall {
		t.Errorf("%v is before the start %v", before, s.first.Wall)
	}
	for range 10000 {
		now := s.Now()
		if now < before {
			t.Fatalf("%v after %v", now, before)
		}
		before = now
	}
	// What was told once stands, even if the clock underneath were to read less.
	m := &hardware{wall: noon}
	s = NewSystemOn(m.machine())
	m.mono = Hour
	if s.Now() != noon+Hour {
		t.Fatalf("%v an hour after %v", s.Now(), noon)
	}
	m.mono = Minute
	if now := s.Now(); now != noon+Hour {
		t.Errorf("%v after %v", now, noon+Hour)
	}
}

func TestSystemNeverGoesBackForAnybody(t *testing.T) {
	s := NewSystem()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			before := s.Now()
			for range 2000 {
				now := s.Now()
				if now < before {
					t.Errorf("%v after %v", now, before)
				}
				before = now
			}
		})
	}
	all.Wait()
}

func TestSystemTimers(t *testing.T) {
	s := NewSystem()
	<-s.After(0)
	done := make(chan struct{})
	stop := s.AfterFunc(0, func() { close(done) })
	<-done
	if stop() {
		t.Error("stopped what had run")
	}
	stop = s.AfterFunc(24*time.Hour, func() { t.Error("ran a day early") })
	if !stop() || stop() {
		t.Error("stop does not report what it did")
	}
	if err := s.Steady(); err != nil {
		t.Errorf("a new clock: %v", err)
	}
}

func TestManualStandsStill(t *testing.T) {
	c := NewManual(noon)
	if c.Now() != noon {
		t.Errorf("stands at %v", c.Now())
	}
	c.Advance(time.Second)
	if c.Now() != noon+Second {
		t.Errorf("stands at %v", c.Now())
	}
	c.Set(noon)
	c.Advance(-time.Hour)
	if c.Now() != noon+Second {
		t.Errorf("went back to %v", c.Now())
	}
}

// receives returns what is in ch now, and whether anything is.
func receives(ch <-chan time.Time) (Micros, bool) {
	select {
	case at := <-ch:
		return FromTime(at), true
	default:
		return 0, false
	}
}

func TestManualAfter(t *testing.T) {
	c := NewManual(noon)
	ch := c.After(time.Second)
	c.Advance(time.Second - time.Microsecond)
	if at, ok := receives(ch); ok {
		t.Errorf("woke early, at %v", at)
	}
	c.Advance(time.Hour)
	if at, ok := receives(ch); !ok || at != noon+Second {
		t.Errorf("woke %v at %v, was due at %v", ok, at, noon+Second)
	}
	c.Advance(time.Hour)
	if at, ok := receives(ch); ok {
		t.Errorf("woke twice, at %v", at)
	}
}

func TestManualWakesAtOnceWhatIsDue(t *testing.T) {
	c := NewManual(noon)
	for _, d := range []time.Duration{0, -time.Hour} {
		if at, ok := receives(c.After(d)); !ok || at != noon.Add(d) {
			t.Fatalf("after %v: woke %v, at %v", d, ok, at)
		}
		done := make(chan struct{})
		stop := c.AfterFunc(d, func() { close(done) })
		<-done
		if stop() {
			t.Error("stopped what had run")
		}
	}
}

func TestManualFiresInOrder(t *testing.T) {
	c := NewManual(noon)
	var fired []Micros
	var seen []int
	record := func(n int) func(Micros) {
		return func(at Micros) {
			if c.Now() != at {
				t.Errorf("the clock stands at %v while what was due at %v fires", c.Now(), at)
			}
			fired, seen = append(fired, at), append(seen, n)
		}
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(100)
	for _, n := range order {
		c.schedule(time.Duration(n/2+1)*time.Second, record(n)) // two each second
	}
	c.schedule(51*time.Second, record(100))
	c.Advance(50 * time.Second)
	if len(fired) != 100 || !slices.IsSorted(fired) {
		t.Fatalf("fired %d, in order %v", len(fired), slices.IsSorted(fired))
	}
	for i := 0; i < len(seen); i += 2 {
		if slices.Index(order, seen[i]) > slices.Index(order, seen[i+1]) {
			t.Errorf("%d was asked for before %d, but fired after it", seen[i+1], seen[i])
		}
	}
	c.Advance(time.Second)
	if len(fired) != 101 || fired[100] != noon+51*Second {
		t.Errorf("the last did not fire when due: %d fired", len(fired))
	}
}

func TestManualFiresWhatIsAskedForWhileFiring(t *testing.T) {
	c := NewManual(noon)
	var fired []Micros
	var again func(Micros)
	again = func(at Micros) {
		fired = append(fired, at)
		c.schedule(time.Second, again)
	}
	c.schedule(time.Second, again)
	c.Advance(3500 * time.Millisecond)
	if want := []Micros{noon + Second, noon + 2*Second, noon + 3*Second}; !slices.Equal(fired, want) {
		t.Errorf("fired at %v, expected %v", fired, want)
	}
	if c.Now() != noon+3500*Millisecond {
		t.Errorf("stands at %v", c.Now())
	}
}

func TestManualStop(t *testing.T) {
	c := NewManual(noon)
	ran := make(chan int, 3)
	var stops []func() bool
	for i := range 3 {
		stops = append(stops, c.AfterFunc(time.Duration(i+1)*time.Second, func() { ran <- i }))
	}
	if !stops[1]() {
		t.Error("could not stop")
	}
	if stops[1]() {
		t.Error("stopped twice")
	}
	c.Advance(time.Hour)
	got := []int{<-ran, <-ran}
	slices.Sort(got)
	if !slices.Equal(got, []int{0, 2}) || len(ran) != 0 {
		t.Errorf("ran %v", got)
	}
	for i, stop := range stops {
		if stop() {
			t.Errorf("stopped %d after its time", i)
		}
	}
}

func TestManualInParallel(t *testing.T) {
	c := NewManual(noon)
	var ran, all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				ran.Add(1)
				c.AfterFunc(time.Second, ran.Done)
				if stop := c.AfterFunc(time.Hour, func() { t.Error("ran though stopped") }); !stop() {
					t.Error("could not stop")
				}
				c.Advance(time.Millisecond)
			}
		})
	}
	all.Wait()
	c.Advance(time.Minute)
	ran.Wait()
}
