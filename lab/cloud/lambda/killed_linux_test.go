package lambda

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/lab/testenv"
)

func init() {
	if path := os.Getenv(hostMark); path != "" {
		runHost(path)
	}
}

// hostMark makes the test program a host that does nothing but to run the function at that path, for ever.
const hostMark = "SLUICE_TEST_HOST"

func runHost(path string) {
	h, err := Start(Options{Functions: []Function{{Name: "fn", Bootstrap: path, Timeout: time.Hour}}, Log: os.Stdout})
	if err != nil {
		panic(err)
	}
	_, err = h.Invoke(context.Background(), "fn", []byte(`{"do":"sleep"}`))
	panic(fmt.Sprintf("the sleep ended: %v", err))
}

// A runtime that waits for work ends by itself when its host is gone. One at work has to be ended by the kernel.
func TestHostThatIsKilledLeavesNoProcess(t *testing.T) {
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostMark+"="+bootstrap)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Process.Kill() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	if _, scanErr := fmt.Sscanf(line, "fn: asleep %d", &pid); err != nil || scanErr != nil {
		t.Fatalf("the host printed %q, %v", strings.TrimSpace(line), err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	if err := testenv.WaitFor(t.Context(), func() error {
		// A dead process that nobody has waited for has no program.
		if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && program == bootstrap {
			return fmt.Errorf("instance %d is alive", pid)
		}
		return nil
	}); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		t.Error(err)
	}
}
