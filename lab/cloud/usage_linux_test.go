package cloud

import (
	"errors"
	"testing"
	"time"

	"sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// ECS's metrics are what the processes of the tasks really use.
func TestUsage(t *testing.T) {
	// One byte is written to each page: a copy of the whole, though it is soon gone, would be seen as well.
	const program = "x = bytearray(200 << 20); x[::4096] = b'x' * (len(x) // 4096)\nwhile True: pass"
	c, _ := start(t, settings(t, "", testenv.Python(t), "-c", program), Options{NoSweep: true})
	put(t, c, "1")
	began := time.Now()
	var before map[string]ecs.Usage
	if err := testenv.WaitFor(t.Context(), func() error {
		before = c.writeUsage(time.Now(), before)
		_, memory, err := figures(t, c, "MemoryUtilization", "Maximum", began.Add(-time.Minute), 300)
		if err != nil || len(memory) == 0 || memory[0] < 39 {
			return errors.Join(err, errors.New("the 200 MB of 512 MB are not seen"))
		}
		_, cpu, err := figures(t, c, "CPUUtilization", "Maximum", began.Add(-time.Minute), 300)
		if err != nil || len(cpu) == 0 || cpu[0] < 20 { // A whole processor is 400 % of the task's 0.25 vCPU.
			return errors.Join(err, errors.New("the busy loop is not seen"))
		}
		if memory[0] > 60 {
			t.Errorf("memory %v %%", memory)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
