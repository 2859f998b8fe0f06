package emitter

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestErrorClasses(t *testing.T) {
	base := errors.New("refused")
	wrapped := fmt.Errorf("send: %w", Permanent(base))
	if !IsPermanent(wrapped) || IsBlocked(wrapped) || !errors.Is(wrapped, base) {
		t.Error("a permanent error was not known again")
	}
	if err := Blocked(base); !IsBlocked(err) || IsPermanent(err) || err.Error() != "refused" {
		t.Error("a blocked error was not known again")
	}
	if d, ok := RetryDelay(fmt.Errorf("send: %w", RetryAfter(time.Minute, base))); !ok || d != time.Minute {
		t.Errorf("retry after %v, %v", d, ok)
	}
	if _, ok := RetryDelay(base); ok || IsPermanent(base) || IsBlocked(base) {
		t.Error("a plain error has a class")
	}
}
