package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sampling is how often a process is asked for its memory. The kernel keeps a high-water mark of all memory, but none
// of anonymous memory alone.
const sampling = 10 * time.Millisecond

// memoryWatch follows the memory of one process.
type memoryWatch struct {
	quit        chan struct{}
	done        sync.WaitGroup
	anon, total int64 // highest seen, in bytes; -1: never seen
}

// watchMemory starts to follow the process until stop is called. Children of the process are not followed.
func watchMemory(pid int) *memoryWatch {
	w := &memoryWatch{quit: make(chan struct{}), anon: -1, total: -1}
	path := fmt.Sprintf("/proc/%d/status", pid)
	w.done.Go(func() {
		tick := time.NewTicker(sampling)
		defer tick.Stop()
		for {
			status, err := os.ReadFile(path)
			if err != nil {
				return
			}
			w.anon = max(w.anon, statusBytes(status, "RssAnon"))
			w.total = max(w.total, statusBytes(status, "VmHWM"))
			select {
			case <-w.quit:
				return
			case <-tick.C:
			}
		}
	})
	return w
}

// stop returns the peaks of a process that has ended: of all its resident memory, the largest of its children included,
// and of its own anonymous memory. What is not known is -1.
func (w *memoryWatch) stop(state *os.ProcessState) (rss, anon int64) {
	close(w.quit)
	w.done.Wait()
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return w.total, w.anon
	}
	rss = usage.Maxrss * 1024
	// Between fork and exec a child shares this program's memory, and the kernel counts that too: a small tool's mark
	// is ours, not its own. Then what was sampled is the better number.
	var own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil && rss <= own.Maxrss*1024 && w.total >= 0 {
		rss = w.total
	}
	return rss, w.anon
}

// statusBytes returns a field of /proc/PID/status that is written in kB, in bytes; -1 if it isn't there: a process that
// has ended but was not waited for has none.
func statusBytes(status []byte, field string) int64 {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name != field {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		kB, err := strconv.ParseInt(number, 10, 64)
		if err != nil || unit != "kB" {
			return -1
		}
		return kB * 1024
	}
	return -1
}

// processorTime is how much time this process had on all cores.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flushDisk waits until everything written is on the disk.
func flushDisk() { syscall.Sync() }

// describeMachine says on what the numbers were taken.
func describeMachine() machine {
	m := newMachine()
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	m.Memory = memoryField("MemTotal")
	return m
}

// availableMemory is how many bytes the page cache may still take; -1: not known.
func availableMemory() int64 { return memoryField("MemAvailable") }

func memoryField(name string) int64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return -1
	}
	return statusBytes(info, name)
}
