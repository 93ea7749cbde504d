package index

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
)

// cluster is the PostgreSQL server of this test run; it is started with the first test that needs it.
var cluster struct {
	once    sync.Once
	url     string // with %s for the database
	err     error
	stop    func()
	counter int
}

// postgresDatabase returns the URL of an empty database of a server that was started for the tests.
func postgresDatabase(t *testing.T) string {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") != "1" {
		t.Skip("needs a PostgreSQL server, which it starts itself: set HALLMARK_E2E=1")
	}
	cluster.once.Do(func() { cluster.url, cluster.stop, cluster.err = startPostgres() })
	if cluster.err != nil {
		if os.Getenv("HALLMARK_CI") == "1" {
			t.Fatal(cluster.err)
		}
		t.Skipf("no PostgreSQL server can be had here: %v", cluster.err)
	}
	cluster.counter++
	name := fmt.Sprintf("index%d", cluster.counter)
	execute(t, fmt.Sprintf(cluster.url, "postgres"), "CREATE DATABASE "+name)
	return fmt.Sprintf(cluster.url, name)
}

// execute runs a statement on a database.
func execute(t *testing.T, at, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

var _ = stdlib.GetDefaultDriver // registers pgx with database/sql

// startPostgres makes a cluster in a directory of its own and starts it on loopback, as a user that is not root. Where the
// server is not installed, Debian's package is.
func startPostgres() (url string, stop func(), err error) {
	bin, err := postgresBinaries()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "hallmark-postgres-")
	if err != nil {
		return "", nil, err
	}
	as, err := nobody(dir)
	if err != nil {
		return "", nil, err
	}
	run := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = dir, as
		c.Env = append(os.Environ(), "LC_ALL=C", "PGTZ=UTC")
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "hallmark", "--auth=trust", "--encoding=UTF8").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	server := run("postgres", "-D", data, "-k", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	}
	// pg_isready waits by itself, a second at a time.
	for range 30 {
		if run("pg_isready", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-t", "1").Run() == nil {
			return fmt.Sprintf("postgres://hallmark@127.0.0.1:%d/%%s?sslmode=disable", port), stop, nil
		}
		_ = exec.CommandContext(context.Background(), "sleep", "0.2").Run()
	}
	stop()
	return "", nil, fmt.Errorf("the server did not begin to answer:\n%s", log.String())
}

func postgresBinaries() (string, error) {
	find := func() string {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			return ""
		}
		return filepath.Dir(found[len(found)-1])
	}
	if bin := find(); bin != "" {
		return bin, nil
	}
	c := exec.Command("sh", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql")
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install postgresql: %w\n%s", err, lastLine(out))
	}
	if bin := find(); bin != "" {
		return bin, nil
	}
	return "", fmt.Errorf("the package postgresql brought no server")
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// nobody gives dir to a user that is not root, whom the server insists on, where root runs the tests.
func nobody(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, uid, gid)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
