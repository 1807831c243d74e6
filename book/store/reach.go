package store

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// insecureParam is the word of the URL for a network that needs no proof of who answers.
const insecureParam = "insecure"

// CheckURL returns an error if url cannot be read, or if the server it names is on another machine and would not have
// to prove who it is.
func CheckURL(url string) error {
	_, err := parseURL(url)
	return err
}

// checkReach refuses to show the books, and the password, to whoever answers in the server's place: on another machine
// it has to prove its name (sslmode=verify-full). Whoever is on this machine can read the process's memory anyway.
func checkReach(conf *pgx.ConnConfig) error {
	type place struct {
		host string
		tls  *tls.Config
	}
	all := []place{{conf.Host, conf.TLSConfig}}
	for _, f := range conf.Fallbacks {
		all = append(all, place{f.Host, f.TLSConfig})
	}
	for _, p := range all {
		if onThisMachine(p.host) || p.tls != nil && !p.tls.InsecureSkipVerify && p.tls.ServerName != "" {
			continue
		}
		return fmt.Errorf("store: PostgreSQL on %s is on another machine, and with sslmode=%s anybody on the way could answer "+
			"in its place: add sslmode=verify-full to the URL, and sslrootcert=FILE if its certificate is from an authority of "+
			"your own; or add %s=true if the network itself is private", p.host, modeOf(p.tls), insecureParam)
	}
	return nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || ip != nil && ip.IsLoopback()
}

// modeOf names what a mode of TLS amounts to.
func modeOf(c *tls.Config) string {
	switch {
	case c == nil:
		return "disable, allow or prefer"
	case c.VerifyPeerCertificate != nil:
		return "verify-ca"
	}
	return "require"
}
