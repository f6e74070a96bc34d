package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/internal/config"
)

// span is the value of a flag that is a span of time: as Go writes it, and with days.
type span time.Duration

func (s *span) String() string {
	if s == nil || *s == 0 {
		return ""
	}
	return config.Duration(*s).String()
}

func (s *span) Type() string { return "time" }

func (s *span) Set(text string) error {
	var days int
	rest := text
	if n, after, ok := strings.Cut(text, "d"); ok {
		if _, err := fmt.Sscanf(n, "%d", &days); err != nil || fmt.Sprint(days) != n || days < 0 || days > 3650 {
			return errors.New("write it like 90m, 2h or 3d")
		}
		if rest = after; rest == "" {
			rest = "0s"
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d+time.Duration(days) == 0 {
		return errors.New("write it like 90m, 2h or 3d")
	}
	*s = span(d + time.Duration(days)*24*time.Hour)
	return nil
}

// clock is a time of the day for people, with the day if it is another than today.
func clock(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return at.Format("Jan 2 15:04:05")
}

// when is a time to come, to the minute, for people.
func when(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	switch {
	case at.Format(time.DateOnly) == now.Format(time.DateOnly):
		return at.Format("15:04")
	case at.Sub(now) < 6*24*time.Hour && at.After(now):
		return at.Format("Mon 15:04")
	}
	return at.Format("Mon Jan 2 15:04")
}
