package store

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pageMemory is the memory that this process gives to SQLite's pages. Every connection has pages of its
// own, so what bounds one of them bounds nothing: with eighteen services there are more than a hundred.
// Each open connection gets its share, and takes its new one when it is used next after others came or
// went. What is not in these pages is in those of the system.
type pageMemory struct {
	bytes  atomic.Int64
	shares atomic.Int64 // of all open connections
}

// pages is the process's.
var pages = newPageMemory(memoryForPages())

func newPageMemory(bytes int64) *pageMemory {
	p := &pageMemory{}
	p.bytes.Store(bytes)
	return p
}

// LimitPageMemory has this process give at most so many bytes to SQLite's pages: for one that goes over each file once,
// in order, and gains nothing by keeping what it has read. PostgreSQL's pages are not in this process.
func LimitPageMemory(bytes int64) { pages.bytes.Store(min(bytes, pages.bytes.Load())) }

// The shares of connections, and the most that is of use to one share.
const (
	writerShares = 4 // a save looks rows up in tables and indexes; whoever reads looks for few
	readerShares = 1
	mostPerShare = 16 << 20
)

// leastPages is what a checkpoint gets, which reads no pages but copies them, and the least that any
// connection gets.
const leastPages = 256 << 10

// memoryForPages returns a thirty-second part of the machine's memory, but no less than SQLite needs to be
// quick and no more than it can use.
func memoryForPages() int64 {
	const least, most = 64 << 20, 1 << 30
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return least
	}
	return min(max(int64(info.Totalram*uint64(info.Unit)/32), least), most)
}

// size returns how many bytes a connection with so many shares may have now.
func (p *pageMemory) size(shares int64) int64 {
	each := min(p.bytes.Load()/max(1, p.shares.Load()), mostPerShare)
	return max(each*shares, leastPages)
}

// fit gives the connection its size, if that is another one now.
func (c *cachingConn) fit(ctx context.Context) error {
	size := pages.size(c.shares)
	if size == c.pages {
		return nil
	}
	if _, err := c.liteConn.ExecContext(ctx, fmt.Sprintf("PRAGMA cache_size(-%d)", size>>10), nil); err != nil {
		return err
	}
	c.pages = size
	return nil
}

// ResetSession is called before a connection is used again.
func (c *cachingConn) ResetSession(ctx context.Context) error {
	if err := c.liteConn.ResetSession(ctx); err != nil {
		return err
	}
	return c.fit(ctx)
}
