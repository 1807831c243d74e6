//go:build !linux

package aside

import "errors"

// lower reports that only a whole process can have a priority here.
func lower() error { return errors.ErrUnsupported }
