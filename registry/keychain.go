package registry

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// maxLogins is the cap on a file of logins in bytes.
const maxLogins = 4 << 20

// logins is the standard keychain: Docker's and Podman's files, whose formats are one (containers-auth.json(5)), and the
// helpers that they name. The file that REGISTRY_AUTH_FILE names is read alone; else the first that knows the registry
// counts: Docker's, then Podman's of this login, then Podman's that is kept.
//
// Within a file the longest name counts: a login for HOST/TEAM/NAME before one for HOST/TEAM before one for HOST, and
// none of them for what lies beside it.
type logins struct{}

// Resolve returns the login for a repository, or authn.Anonymous where there is none. A file that cannot be read, and a
// helper that fails, are errors: whoever has a login does not want to go without.
func (logins) Resolve(target authn.Resource) (authn.Authenticator, error) {
	files, err := loginFiles()
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		found, err := loginIn(file, target)
		if err != nil {
			return nil, fmt.Errorf("read logins in %q: %w", file, err)
		}
		if found != (types.AuthConfig{}) {
			return authn.FromConfig(authn.AuthConfig{
				Username: found.Username, Password: found.Password, Auth: found.Auth,
				IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
			}), nil
		}
	}
	return authn.Anonymous, nil
}

// loginFiles returns the files that are there, in the order in which they count.
func loginFiles() ([]string, error) {
	if named := os.Getenv("REGISTRY_AUTH_FILE"); named != "" {
		if _, err := os.Stat(named); err != nil {
			return nil, fmt.Errorf("read logins that REGISTRY_AUTH_FILE names: %w", err)
		}
		return []string{named}, nil
	}
	home, err := os.UserHomeDir()
	if err != nil { // a service may have none
		home = ""
	}
	within := func(folder, environment string) string {
		if set := os.Getenv(environment); set != "" {
			return set
		}
		if home == "" || folder == "" {
			return ""
		}
		return filepath.Join(home, folder)
	}
	var found []string
	for _, at := range []struct{ folder, file string }{
		{within(".docker", "DOCKER_CONFIG"), "config.json"},
		{within("", "XDG_RUNTIME_DIR"), "containers/auth.json"},
		{within(".config", "XDG_CONFIG_HOME"), "containers/auth.json"},
	} {
		if at.folder == "" {
			continue
		}
		file := filepath.Join(at.folder, filepath.FromSlash(at.file))
		// A folder that is closed to this user is somebody else's: su and sudo pass on where it lies.
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			found = append(found, file)
		}
	}
	return found, nil
}

// loginIn returns what a file has for a repository; the zero AuthConfig is nothing.
func loginIn(file string, target authn.Resource) (types.AuthConfig, error) {
	f, err := os.Open(file)
	if err != nil {
		return types.AuthConfig{}, err
	}
	defer f.Close()
	raw, err := readCapped(f, "file", maxLogins)
	if err != nil {
		return types.AuthConfig{}, err
	}
	known, err := config.LoadFromReader(bytes.NewReader(raw))
	if err != nil {
		return types.AuthConfig{}, err
	}
	// Docker's own search takes a login for HOST/TEAM for one for HOST. These are looked up here, by their exact names.
	narrow := map[string]types.AuthConfig{}
	for key, login := range known.AuthConfigs {
		if strings.Contains(key, "/") && !strings.Contains(key, "://") {
			narrow[key] = login
			delete(known.AuthConfigs, key)
		}
	}
	host, repository := target.RegistryStr(), target.String()
	keys := []string{host}
	if host == name.DefaultRegistry {
		keys = []string{authn.DefaultAuthKey, "docker.io"} // Docker's and Podman's names for it
		repository = strings.Replace(repository, host, "docker.io", 1)
	}
	for at := repository; strings.Contains(at, "/"); at = at[:strings.LastIndexByte(at, '/')] {
		if login, ok := narrow[at]; ok {
			login.ServerAddress = ""
			return login, nil
		}
	}
	for _, key := range keys {
		login, err := known.GetAuthConfig(key)
		if err != nil {
			return types.AuthConfig{}, err
		}
		if login.ServerAddress = ""; login != (types.AuthConfig{}) {
			return login, nil
		}
	}
	return types.AuthConfig{}, nil
}
