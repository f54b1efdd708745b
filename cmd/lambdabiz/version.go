package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  lambdabiz version\n  lambdabiz version -o json",
		Args:    takes(0),
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if a.json() {
				return printJSON(a.out, v)
			}
			text := "lambdabiz " + v.Version
			if v.Revision != "" {
				text += " (" + v.Revision + ")"
			}
			return write(a.out, fmt.Sprintf("%s %s %s\n", text, v.Go, v.Platform))
		},
	}
}

type versionView struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from files that are not in that revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionView {
	v := versionView{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
