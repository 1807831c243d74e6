package journal

// Batch is what one commit writes: at most one block per book, heads to be checked, and notes.
type Batch struct {
	Blocks []*Block
	Check  []Head
	Notes  []Note
}

// Fate says what became of a batch. Notes are durable.
type Fate struct {
	Fenced []bool // for each block: another writer's block stands in its place
	Stale  []bool // for each checked head: it is not the book's head any more
}
