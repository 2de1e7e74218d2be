package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// modules looks at the licence files of each module that is linked.
func modules(dir string, packages []string) ([]part, error) {
	format := `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{"\t"}}{{.Dir}}{{end}}{{end}}`
	command := exec.Command("go", append([]string{"list", "-deps", "-f", format}, packages...)...)
	command.Dir, command.Stderr = dir, os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w", dir, err)
	}
	seen := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		if name, where, ok := strings.Cut(line, "\t"); ok {
			seen[name] = where
		}
	}
	var found []part
	for name, where := range seen {
		found = append(found, part{name, module(where)})
	}
	sort.Slice(found, func(a, b int) bool { return found[a].name < found[b].name })
	return found, nil
}

// module tells why the module in this folder may not be used.
func module(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	problem := "without a licence"
	for _, entry := range entries {
		if entry.IsDir() || !isLicence(entry.Name()) {
			continue
		}
		bytes, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err.Error()
		}
		problem = text(string(bytes))
		// One of several is enough, but none of them may forbid it.
		if strings.HasPrefix(problem, "under ") && !strings.Contains(problem, "not known here") {
			return problem
		}
		if problem == "" {
			return forbiddenBeside(dir, entries)
		}
	}
	return problem
}

func forbiddenBeside(dir string, entries []os.DirEntry) string {
	for _, entry := range entries {
		if entry.IsDir() || !isLicence(entry.Name()) {
			continue
		}
		bytes, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err.Error()
		}
		if problem := text(string(bytes)); problem != "" && !strings.Contains(problem, "not known here") {
			return problem
		}
	}
	return ""
}

func isLicence(name string) bool {
	upper := strings.ToUpper(name)
	for _, word := range []string{"LICENSE", "LICENCE", "COPYING", "UNLICENSE"} {
		if strings.HasPrefix(upper, word) {
			return true
		}
	}
	return false
}
