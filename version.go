package lambdabiz

import (
	"fmt"
	"os"
	"runtime/debug"
)

// codeVersion names the code of this process: the revision that it was built from, or else the size
// and time of the executable.
func codeVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		revision, dirty := "", ""
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				dirty = s.Value
			}
		}
		if revision != "" && dirty != "true" {
			return revision
		}
	}
	path, err := os.Executable()
	if err != nil {
		return "unknown"
	}
	stat, err := os.Stat(path)
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d-%d", stat.Size(), stat.ModTime().UnixNano())
}
