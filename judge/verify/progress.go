package verify

import "sync"

// Progress says how far a judgement is.
type Progress struct {
	Step  string // what goes on
	Done  int64  // blocks
	Total int64  // blocks; 0: not known
	Rows  int64  // of tables, that were compared
}

// progress tells how far a judgement is. It is safe for concurrent use.
type progress struct {
	mu   sync.Mutex
	now  Progress
	tell func(Progress) // may be nil
}

// begin says what goes on from now on, and of how many blocks.
func (p *progress) begin(step string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = Progress{Step: step, Total: total}
	p.say()
}

// blocks says that blocks were read.
func (p *progress) blocks(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Done += int64(n)
	p.say()
}

// rows says that rows were compared.
func (p *progress) rows(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Rows += int64(n)
	p.say()
}

func (p *progress) say() {
	if p.tell != nil {
		p.tell(p.now)
	}
}
