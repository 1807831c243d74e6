package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/proof/chaos"
)

var (
	errEnded = errors.New("the platform has ended")
	errWrong = errors.New("wrong answer") // no waiting makes it better
)

// look bounds one look.
const look = 15 * time.Second

// until calls f until that has no error. It gives up when the platform has ended (errEnded), f says errWrong, or the
// limit has passed.
func until(ctx context.Context, p *chaos.Platform, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		one, done := context.WithTimeout(ctx, look)
		err := f(one)
		done()
		if err == nil || errors.Is(err, errWrong) {
			return err
		}
		select {
		case <-p.Ended():
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-clock.Pause(poll):
		}
	}
}

// do makes a request, and returns status, Retry-After and body of the answer.
func do(q *http.Request) (status int, after, said string, err error) {
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(body), err
}
