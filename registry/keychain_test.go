package registry

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
)

// TestLoginsComeFromDockerAndPodman: the standard keychain, as Options has it when nothing is set.
func TestLoginsComeFromDockerAndPodman(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the helper is a shell script")
	}
	const encoded = "YWxpY2U6c2VjcmV0" // alice:secret
	ref := mustRef(t, lab.Serve(t, lab.New(lab.Options{Tokens: true, User: "alice", Password: "secret"}))+"/team/chat:v1")
	docker := map[string]string{"DOCKER_CONFIG": ".docker"}
	auths := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, ref.Host(), encoded)
	helper := fmt.Sprintf(`{"credHelpers":{%q:"lab"}}`, ref.Host())
	store := `{"credsStore":"lab"}`
	for name, row := range map[string]struct {
		file, content string // below HOME
		environment   map[string]string
		ok            bool
	}{
		"none":                     {"nothing", "", nil, false},
		"docker":                   {".docker/config.json", auths, docker, true},
		"docker helper":            {".docker/config.json", helper, docker, true},
		"docker store":             {".docker/config.json", store, docker, true},
		"docker elsewhere":         {"x/config.json", auths, map[string]string{"DOCKER_CONFIG": "x"}, true},
		"podman, run time":         {"run/containers/auth.json", auths, map[string]string{"XDG_RUNTIME_DIR": "run"}, true},
		"podman, kept":             {".config/containers/auth.json", auths, nil, true},
		"podman, named":            {"y.json", auths, map[string]string{"REGISTRY_AUTH_FILE": "y.json"}, true},
		"podman with a helper":     {".config/containers/auth.json", helper, nil, true},
		"for another registry":     {".docker/config.json", strings.Replace(auths, ref.Host(), "other.example", 1), docker, false},
		"helper that knows nobody": {".docker/config.json", strings.Replace(helper, `"lab"`, `"nobody"`, 1), docker, false},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			write := func(name, content string, mode os.FileMode) {
				at := filepath.Join(home, name)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(content), mode); err != nil {
					t.Fatal(err)
				}
			}
			write("bin/docker-credential-lab", "#!/bin/sh\nread server\ncase \"$server\" in *"+ref.Host()+"*) echo '{\"ServerURL\":\"x\",\"Username\":\"alice\",\"Secret\":\"secret\"}';; *) echo 'credentials not found in native keychain'; exit 1;; esac\n", 0o755)
			write("bin/docker-credential-nobody", "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n", 0o755)
			write(row.file, row.content, 0o600)
			t.Setenv("PATH", filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
			t.Setenv("HOME", home)
			for _, unset := range []string{"DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"} {
				t.Setenv(unset, "")
			}
			for k, v := range row.environment {
				t.Setenv(k, filepath.Join(home, v))
			}
			r, err := Open(ref, Options{Retries: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = r.Resolve(context.Background(), ref)
			let := err != nil && strings.Contains(err.Error(), http.StatusText(http.StatusNotFound)) // in, and nothing there
			if let != row.ok {
				t.Errorf("resolve ended with %v", err)
			}
		})
	}
}
