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

	repo "github.com/google/go-containerregistry/pkg/name"

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

// TestLoginsAreForWhatTheyName: several files, and several logins in one.
func TestLoginsAreForWhatTheyName(t *testing.T) {
	const alice, bob = "YWxpY2U6c2VjcmV0", "Ym9iOnNlY3JldA==" // alice:secret, bob:secret
	auths := func(pairs ...string) string {
		var entries []string
		for i := 0; i < len(pairs); i += 2 {
			entries = append(entries, fmt.Sprintf(`%q:{"auth":%q}`, pairs[i], pairs[i+1]))
		}
		return `{"auths":{` + strings.Join(entries, ",") + `}}`
	}
	const docker, runtime, kept = ".docker/config.json", "run/containers/auth.json", ".config/containers/auth.json"
	for name, row := range map[string]struct {
		files map[string]string // below HOME
		named string            // by REGISTRY_AUTH_FILE
		ref   string
		want  string // user; empty: nobody; "error"
	}{
		"Podman's where Docker's knows others": {map[string]string{docker: auths("other.example", bob), kept: auths("r.example", alice)}, "", "r.example/a/b", "alice"},
		"Docker's before Podman's":             {map[string]string{docker: auths("r.example", alice), kept: auths("r.example", bob)}, "", "r.example/a/b", "alice"},
		"this login's before what is kept":     {map[string]string{runtime: auths("r.example", alice), kept: auths("r.example", bob)}, "", "r.example/a/b", "alice"},
		"the named one before all":             {map[string]string{docker: auths("r.example", bob), "x.json": auths("r.example", alice)}, "x.json", "r.example/a/b", "alice"},
		"the named one alone":                  {map[string]string{docker: auths("r.example", bob), "x.json": auths("other.example", alice)}, "x.json", "r.example/a/b", ""},
		"the named one is not there":           {map[string]string{docker: auths("r.example", bob)}, "x.json", "r.example/a/b", "error"},
		"no JSON":                              {map[string]string{docker: "{", kept: auths("r.example", bob)}, "", "r.example/a/b", "error"},
		"too long":                             {map[string]string{docker: strings.Repeat(" ", maxLogins) + auths("r.example", bob)}, "", "r.example/a/b", "error"},
		"the repository's own":                 {map[string]string{kept: auths("r.example", bob, "r.example/a", bob, "r.example/a/b", alice)}, "", "r.example/a/b", "alice"},
		"the team's":                           {map[string]string{kept: auths("r.example", bob, "r.example/a", alice, "r.example/a/c", bob)}, "", "r.example/a/b", "alice"},
		"the registry's":                       {map[string]string{kept: auths("r.example", alice, "r.example/c", bob)}, "", "r.example/a/b", "alice"},
		"another team's":                       {map[string]string{kept: auths("r.example/c", bob, "r.example/a/bc", bob, "r.example/a/b/c", bob)}, "", "r.example/a/b", ""},
		"another port's":                       {map[string]string{kept: auths("r.example:5000", bob)}, "", "r.example/a/b", ""},
		"with an address of old":               {map[string]string{docker: auths("https://r.example/v1/", alice)}, "", "r.example/a/b", "alice"},
		"Docker Hub's":                         {map[string]string{docker: auths("https://index.docker.io/v1/", alice)}, "", "docker.io/a/b", "alice"},
		"Docker Hub's by Podman":               {map[string]string{kept: auths("docker.io", bob, "docker.io/a", alice)}, "", "docker.io/a/b", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			for file, content := range row.files {
				at := filepath.Join(home, file)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("HOME", home)
			t.Setenv("USERPROFILE", home)
			t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
			for _, unset := range []string{"DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE"} {
				t.Setenv(unset, "")
			}
			if row.named != "" {
				t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(home, row.named))
			}
			target, err := repo.NewRepository(row.ref, repo.StrictValidation)
			if err != nil {
				t.Fatal(err)
			}
			found, err := logins{}.Resolve(target)
			if err != nil {
				if row.want != "error" {
					t.Error(err)
				}
				return
			}
			login, err := found.Authorization()
			if err != nil || login.Username != row.want {
				t.Errorf("it is %q who logs in, %v; %q should", login.Username, err, row.want)
			}
		})
	}
}
