package conform

import (
	"sync"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc/wire"
)

// names are the plain texts of ids, and the accounts that the service under test named itself.
type names struct {
	wire.Plain
	mu    sync.Mutex
	texts map[id.ID]string
}

func newNames() *names { return &names{texts: make(map[id.ID]string)} }

// learn has x stand for text.
func (n *names) learn(text string, x id.ID) id.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts[x] = text
	return x
}

// Text returns the text of an id.
func (n *names) Text(x id.ID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if text, ok := n.texts[x]; ok {
		return text
	}
	return n.Plain.Text(x)
}
