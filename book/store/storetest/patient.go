package storetest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
)

// Patient makes connections to SQLite that wait for others for as long as it takes, wherever they wait at all: so that a test
// need not tell a short wait from none. With always, they wait also where they were told not to: the control. Pass it as
// store.Config.Wrap.
func Patient(always bool) func(driver.Connector) driver.Connector {
	return func(c driver.Connector) driver.Connector { return patientConnector{c, always} }
}

type patientConnector struct {
	driver.Connector
	always bool
}

func (c patientConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(fullConn)
	if !ok {
		return nil, fmt.Errorf("storetest: unexpected driver %T", conn)
	}
	p := &patientConn{full, c.always}
	_, err = p.ExecContext(ctx, "PRAGMA busy_timeout(5000)", nil)
	return p, err
}

type patientConn struct {
	fullConn
	always bool
}

// CheckNamedValue lets the driver below convert arguments as it would.
func (c *patientConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.fullConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// ExecContext runs a statement; one that sets how long the connection waits sets it to an hour.
func (c *patientConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(text, "PRAGMA busy_timeout") && (c.always || text != "PRAGMA busy_timeout(0)") {
		text = "PRAGMA busy_timeout(3600000)"
	}
	return c.fullConn.ExecContext(ctx, text, args)
}
