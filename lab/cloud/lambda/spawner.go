package lambda

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes from one operating system thread that lives as long as they do. The kernel sends Pdeathsig
// when the thread that started a process ends, and Go ends threads as it likes: started from any goroutine, an
// instance could be killed out of the blue. (See golang.org/issue/27505.)
type spawner struct {
	jobs chan func()
	done chan struct{}
	once sync.Once
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // Never unlocked: the thread ends with this goroutine.
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// start starts cmd. It must not be called after close.
func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread. Every process that it started must have ended.
func (s *spawner) close() {
	s.once.Do(func() { close(s.jobs) })
	<-s.done
}
