package proxy

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; only a fault makes a test wait that long.
const patience = 2 * time.Minute

// receive returns the next value of c.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	v, ok := await(t, c, what)
	if !ok {
		t.FailNow()
	}
	return v
}

// await is receive for other goroutines than the test's own. ok is false when
// nothing came.
func await[T any](t testing.TB, c <-chan T, what string) (v T, ok bool) {
	t.Helper()
	select {
	case v = <-c:
		return v, true
	case <-time.After(patience):
		t.Errorf("waited in vain: %s", what)
		return v, false
	}
}
