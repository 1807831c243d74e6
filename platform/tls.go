package platform

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// Keys of callers travel with every request. So beyond this machine they travel under TLS only: from here, or
// from a proxy in front, which then is the only one who may reach us.

// certificate is what the door proves its name with. It can be replaced while the door is open.
type certificate struct {
	cert, key string // files
	current   atomic.Pointer[tls.Certificate]
}

var certificateDesc = describe("tls_not_after_seconds",
	"When the door's certificate ends, in seconds since 1970.")

// checkDoor refuses to open a door to the network that shows callers' keys to everybody on the way.
func (a *App) checkDoor(context.Context) error {
	if (a.TLSCert == "") != (a.TLSKey == "") {
		return errors.New("platform: TLS needs both --tls-cert, with the certificates, and --tls-key, with their key")
	}
	if a.TLSCert != "" {
		a.certificate = &certificate{cert: a.TLSCert, key: a.TLSKey}
		if err := a.certificate.load(); err != nil {
			return err
		}
		return a.checkKey()
	}
	for flag, address := range map[string]string{"--listen": a.Listen, "--metrics-listen": a.MetricsListen} {
		if address == "" || loopback(address) || a.Insecure {
			continue
		}
		return fmt.Errorf("platform: %s %s is reached from other machines, and without TLS everybody on the way reads "+
			"the keys of callers: name a certificate with --tls-cert and --tls-key; or listen on 127.0.0.1, behind a "+
			"proxy that ends TLS; or say --insecure if the network itself is private", flag, address)
	}
	return a.checkKey()
}

// checkKey requires the root key that was named to be one, before anything is made.
func (a *App) checkKey() error {
	if a.KeyFile == "" {
		return nil
	}
	_, err := a.place.rootKey()
	if errors.Is(err, fs.ErrNotExist) { // it is made with new books, and missed with old ones
		return nil
	}
	return err
}

// checkFree requires the addresses to be free before any books are made: a start that failed leaves none. One that stands by
// may wait for another on the same address.
func (a *App) checkFree(ctx context.Context) error {
	for flag, address := range map[string]string{"--listen": a.Listen, "--metrics-listen": a.MetricsListen} {
		if address == "" || a.Standby {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("platform: %s %s: %w. Nothing was changed: name another address, or stop what has this one", flag, address, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("platform: %s %s: %w", flag, address, err)
		}
	}
	return nil
}

// load reads the certificate. On an error, the one before stays.
func (c *certificate) load() error {
	chain, err := os.ReadFile(c.cert)
	if err != nil {
		return fmt.Errorf("platform: --tls-cert: %w", err)
	}
	key, err := store.ReadSecret(c.key)
	if err != nil {
		return fmt.Errorf("platform: --tls-key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return fmt.Errorf("platform: --tls-cert %s and --tls-key %s: %w: expected certificates and their key, in PEM, "+
			"our own first", c.cert, c.key, err)
	}
	c.current.Store(&pair)
	return nil
}

// listener puts TLS in front of l; c is nil where there is none.
func (c *certificate) listener(l net.Listener) net.Listener {
	if c == nil {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	})
}

// scheme is the first word of an address.
func (c *certificate) scheme() string {
	if c == nil {
		return "http://"
	}
	return "https://"
}

// print returns the SHA-256 of the certificate, by which commands on this machine know the door; "" without
// TLS.
func (c *certificate) print() string {
	if c == nil {
		return ""
	}
	sum := sha256.Sum256(c.current.Load().Certificate[0])
	return hex.EncodeToString(sum[:])
}

// notAfter says when the certificate ends.
func (c *certificate) notAfter() clock.Micros { return clock.FromTime(c.current.Load().Leaf.NotAfter) }

// Reload reads the certificate again, as whoever has renewed it asks.
//
// Errors: why it cannot be used; then the one before stays.
func (a *App) Reload() error {
	if a.certificate == nil {
		return nil
	}
	if err := a.certificate.load(); err != nil {
		return err
	}
	a.Log.Info("the certificate was read again", "not_after", a.certificate.notAfter().String())
	card := a.Card
	card.Certificate = a.certificate.print()
	return card.write(a.Data)
}
