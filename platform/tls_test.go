package platform

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// proof writes a certificate and its key, and returns the pool that trusts it.
func proof(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "koban.test"},
		DNSNames: []string{"koban.test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0,
			time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err = errors.Join(os.WriteFile(filepath.Join(dir, "cert.pem"), chain, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return pool
}

// A door that other machines reach shows nobody's key on the way, unless whoever opens it says that this is
// meant.
func TestStartRefusesPlaintextForOthers(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "koban.example:0"} {
		r.config.Listen, r.config.MetricsListen = address, ""
		r.refused(address, "--listen", "--tls-cert", "--insecure")
		r.config.Listen, r.config.MetricsListen = "127.0.0.1:0", address
		r.refused("figures at "+address, "--metrics-listen", "--tls-cert", "--insecure")
	}
	r.config.MetricsListen = ""
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		r.config.Listen = address
		r.start()
		r.stop()
	}
	r.config.Listen, r.config.Insecure = "0.0.0.0:0", true
	r.start()
	if !strings.HasPrefix(r.app.Listening, "[::]:") && !strings.HasPrefix(r.app.Listening, "0.0.0.0:") {
		t.Errorf("it says that it listens on %s", r.app.Listening)
	}
}

// The door serves TLS, takes a new certificate while it is open, and never shows one that it cannot use.
func TestDoorServesTLS(t *testing.T) {
	dir := t.TempDir()
	pool := proof(t, dir, 1)
	r := newRig(t, "")
	r.stop()
	r.config.Listen, r.config.MetricsListen = "0.0.0.0:0", "127.0.0.1:0"
	r.config.TLSCert = filepath.Join(dir, "cert.pem")
	r.refused("half of it", "--tls-key")
	r.config.TLSKey = filepath.Join(dir, "cert.pem")
	r.refused("no key", "--tls-key", "PEM")
	r.config.TLSKey = filepath.Join(dir, "key.pem")
	chmod(t, r.config.TLSKey, 0o644)
	r.refused("a key that all can read", "chmod 600")
	chmod(t, r.config.TLSKey, 0o600)
	r.start()
	get := func(url string, pool *x509.CertPool) error {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs:    pool,
			ServerName: "koban.test",
			MinVersion: tls.VersionTLS12,
		}, DisableKeepAlives: true}}
		resp, err := c.Get(url)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, resp.Status)
		}
		return resp.Body.Close()
	}
	door := r.app.Card.Address + "/healthz"
	if !strings.HasPrefix(door, "https://127.0.0.1:") || !strings.HasPrefix(r.app.Card.Metrics, "https://") {
		t.Errorf("platform.json says %s and %s", door, r.app.Card.Metrics)
	}
	if err := errors.Join(get(door, pool), get(r.app.Card.Metrics, pool)); err != nil {
		t.Error(err)
	}
	plain, err := http.Get("http://" + strings.TrimPrefix(door, "https://"))
	if err == nil {
		if plain.StatusCode == http.StatusOK {
			t.Error("the door answers without TLS")
		}
		_ = plain.Body.Close()
	}
	was := r.app.Card.Certificate
	if err := os.WriteFile(r.config.TLSCert, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.app.Reload(); err == nil || get(door, pool) != nil {
		t.Errorf("a certificate that cannot be read: %v", err)
	}
	next := proof(t, dir, 2)
	if err := r.app.Reload(); err != nil || get(door, next) != nil {
		t.Errorf("the next certificate: %v %v", err, get(door, next))
	}
	card, err := ReadCard(r.config.Data)
	if err != nil || card.Certificate == was || len(card.Certificate) != 64 {
		t.Errorf("platform.json names %q, before that %q: %v", card.Certificate, was, err)
	}
}
