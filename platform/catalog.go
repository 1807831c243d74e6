package platform

import (
	"embed"
	"io/fs"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
)

// kind is a service, as far as its books and tables go.
type kind struct {
	name    string
	schema  embed.FS // with the migrations in the folder schema
	machine func(volume, volumes int) book.Machine
}

// catalog lists the services, in the order in which they are built: who is called stands before who calls.
func catalog() []kind {
	return []kind{
		{"balance", balance.Schema, func(v, n int) book.Machine { return balance.NewMachine(v, n) }},
		{"points", points.Schema, func(v, n int) book.Machine { return points.NewMachine(v, n, nil) }},
		{"code", code.Schema, func(v, n int) book.Machine { return code.NewMachine(v, n, code.DefaultRules) }},
		{"payment", payment.Schema, func(v, n int) book.Machine { return payment.NewMachine(v, n) }},
	}
}

// migrations returns the service's migrations, without the folder they stand in.
func (k *kind) migrations() fs.FS {
	files, err := fs.Sub(k.schema, "schema")
	if err != nil {
		panic("platform: " + err.Error()) // the folder is embedded
	}
	return files
}

// Volumes is how many volumes each service's books are cut into when a platform is created. It never changes after.
const Volumes = 8
