package feed

import (
	"context"
	"embed"
	"io/fs"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/wire"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Migrations returns what makes the tables of a sequencing book.
func Migrations() fs.FS {
	files, err := fs.Sub(schemaFiles, "schema")
	if err != nil {
		panic("feed: " + err.Error()) // the folder is embedded
	}
	return files
}

// OpenState brings the tables of one sequencing book in db up to date and returns them. The database belongs to this
// book alone.
//
// Errors: those of store.DB.Migrate and book.NewSQLState.
func OpenState(ctx context.Context, db *store.DB) (*book.SQLState, error) {
	if err := db.Migrate(ctx, Migrations()); err != nil {
		return nil, err
	}
	return book.NewSQLState(ctx, db)
}

var positionSchema = book.Schema[Position]{
	Table:   "feed_positions",
	Columns: []string{"seq", "hash"},
	Args:    func(p *Position, args []any) []any { return append(args, int64(p.Seq), p.Hash[:]) },
	Scan: func(scan func(...any) error, p *Position) error {
		var hash []byte
		if err := scan(&p.Seq, &hash); err != nil {
			return err
		}
		var r wire.Reader
		p.Hash = r.Hash(hash)
		return r.Err()
	},
}

var counterSchema = book.Schema[counter]{
	Table:   "feed_counters",
	Columns: []string{"last"},
	Args:    func(c *counter, args []any) []any { return append(args, int64(c.Last)) },
	Scan:    func(scan func(...any) error, c *counter) error { return scan(&c.Last) },
}

var pageSchema = book.Schema[page]{
	Table:   "feed_pages",
	Columns: []string{"places"},
	Args:    func(g *page, args []any) []any { return append(args, encodePage(g)) },
	Scan: func(scan func(...any) error, g *page) error {
		var raw []byte
		if err := scan(&raw); err != nil {
			return err
		}
		var err error
		*g, err = decodePage(raw)
		return err
	},
}
