package tiny

import "testing"

func TestTiny(t *testing.T) {
	for n, want := range map[int]bool{-1: false, 0: true, 10: true, 11: false} {
		if Fits(n) != want {
			t.Errorf("%d", n)
		}
	}
	if Grow(1, true, false) != 2 || Grow(99, true, false) != 99 || Grow(1, false, false) != 1 {
		t.Error("grow")
	}
	if sum, err := Sum([]int{1, 2}); sum != 3 || err != nil {
		t.Error("sum")
	}
	if sum, err := Sum([]int{-1}); sum != 0 || err == nil {
		t.Error("negative")
	}
}

func TestKind(t *testing.T) {
	if Kind("one") != "first" || Kind("?") != "" {
		t.Error("kind")
	}
}
