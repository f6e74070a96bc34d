package doctor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLaunchOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line       string // Words apart by |, entryPoint and command apart by " || ".
		env        map[string]string
		want       launch
		unreadable string
	}{
		{line: "celery|-A|app|worker|-Q|a,b", want: launch{Args: []string{"-Q", "a,b"}}},
		{line: "/usr/local/bin/celery|worker", want: launch{Args: []string{}}},
		{line: "python|-m|celery|-A|app|worker|-c|2", want: launch{Args: []string{"-c", "2"}}},
		{line: "python3.12|-m|celery|worker", want: launch{Args: []string{}}},
		{line: "ddtrace-run|celery|worker", want: launch{Args: []string{}}},
		{line: "tini|-- || celery|worker", want: launch{Args: []string{}}},
		{line: "tini|-vg|--|celery|worker", want: launch{Group: "tini -g", Args: []string{}}},
		{line: "sh|-c|celery -A app worker -Q a", want: launch{Shell: "sh -c", Args: []string{"-Q", "a"}}},
		{line: "sh|-c || celery -A app worker", want: launch{Shell: "sh -c", Args: []string{}}},
		{line: "/bin/bash|-lc|. /env; celery worker --queues='a'", want: launch{Shell: "bash -lc", Args: []string{"--queues=a"}}},
		{line: "sh|-c|exec celery worker", want: launch{Args: []string{}}},
		{line: "sh|-c|./migrate && exec celery -A app worker", want: launch{Args: []string{}}},
		{line: "sh|-c|if true; then exec python -m celery worker; fi", want: launch{Args: []string{"fi"}}},
		{line: "sh|-c|echo exec; celery worker", want: launch{Shell: "sh -c", Args: []string{}}},
		{line: "dumb-init|celery|worker", want: launch{Group: "dumb-init", Args: []string{}}},
		{line: "dumb-init|--|celery|worker", want: launch{Group: "dumb-init", Args: []string{}}},
		{line: "dumb-init|--single-child|--|celery|worker", want: launch{Args: []string{}}},
		{line: "dumb-init|-c|celery|worker|-c|1", want: launch{Args: []string{"-c", "1"}}},
		{line: "dumb-init|celery|worker|-c|1", want: launch{Group: "dumb-init", Args: []string{"-c", "1"}}},
		{line: "dumb-init|celery|worker", env: map[string]string{"DUMB_INIT_SETSID": "0"}, want: launch{Args: []string{}}},
		{line: "dumb-init|--|sh|-c|celery worker", want: launch{Shell: "sh -c", Group: "dumb-init", Args: []string{}}},
		{line: "/entrypoint.sh || celery|worker", want: launch{Opaque: "/entrypoint.sh", Args: []string{}}},
		{line: "bash|/start.sh|celery|worker", want: launch{Opaque: "/start.sh", Args: []string{}}},
		{line: "", unreadable: "the image alone says"},
		{line: "/start-worker", unreadable: "cannot be seen"},
		{line: "bash|/start.sh", unreadable: "cannot be seen"},
		{line: "celery|-A|app|beat", unreadable: "cannot be seen"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			var c Container
			c.Env = tt.env
			if entry, command, both := strings.Cut(tt.line, " || "); both {
				c.EntryPoint, c.Command = strings.Split(entry, "|"), strings.Split(command, "|")
			} else if tt.line != "" {
				c.Command = strings.Split(tt.line, "|")
			}
			got, err := launchOf(c)
			if tt.unreadable != "" {
				if err == nil || !strings.Contains(err.Error(), tt.unreadable) {
					t.Fatalf("got %+v, %v, want an error with %q", got, err, tt.unreadable)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOption(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-c 4": "4", "-c4": "4", "--concurrency 4": "4", "--concurrency=4": "4", "-c 2 -c 4": "4", "-Q a": "", "": "", "-c": "",
	} {
		l := launch{Args: strings.Fields(args)}
		if got, ok := l.option("-c", "--concurrency"); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", args, got, ok, want)
		}
	}
}
