package sigstore

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// newSpace returns a network namespace of its own for the servers, with nothing in it but loopback, or the machine's
// network where the process may not make one.
//
// A namespace belongs to a thread here, not to the process: one goroutine keeps the thread, and what listens, dials or
// starts a process inside is done by it. A socket stays where it was made, whoever uses it later.
func newSpace() *space {
	s := &space{jobs: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread, and with it the namespace, ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = loopbackUp()
		}
		made <- err
		if err != nil {
			return
		}
		for job := range s.jobs {
			job()
		}
	}()
	if <-made != nil {
		return &space{}
	}
	return s
}

// loopbackUp switches on the loopback interface of the thread's namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("switch on loopback: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("switch on loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("switch on loopback: %w", err)
	}
	return nil
}

// leash has the system kill the process when its parent is gone: a test that is killed cleans up nothing. The parent is
// the thread that starts it, so only a space that keeps its thread can use it.
func (s *space) leash(c *exec.Cmd) {
	if s.private() {
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
}
