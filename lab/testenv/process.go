package testenv

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// Start starts a process in a group of its own. On Linux the kernel kills it when our process ends, however that is: tests
// that are ended because they take too long stop nothing themselves.
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = groupAttr()
	result := make(chan error, 1)
	starts() <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}

// Stop kills the group of a process that Start has started and nobody has waited for, and returns when the process has ended.
func Stop(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait() // It was killed, or had ended.
}

// starts is the way to the thread that starts all processes. The kernel kills them with the thread that started them, and Go
// ends threads as it likes: this one stays.
var starts = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// Output keeps what a process prints, and can be read meanwhile.
type Output struct {
	// Then, if it is not nil, is called whenever something is written and Until stands in the output.
	Until string
	Then  func()

	mu   sync.Mutex
	text strings.Builder
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if o.Then != nil && strings.Contains(o.text.String(), o.Until) {
		o.Then()
	}
	return n, err
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
