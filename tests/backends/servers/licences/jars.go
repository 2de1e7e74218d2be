package main

import (
	"archive/zip"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// pom is the part of one that names licences.
type pom struct {
	Parent struct {
		Group    string `xml:"groupId"`
		Artifact string `xml:"artifactId"`
		Version  string `xml:"version"`
	} `xml:"parent"`
	Licences []struct {
		Name string `xml:"name"`
		URL  string `xml:"url"`
	} `xml:"licenses>license"`
}

// jars looks at each jar in a folder laid out as a Maven repository.
func jars(dir string) ([]part, error) {
	var found []part
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".jar") {
			name, _ := filepath.Rel(dir, path)
			found = append(found, part{name, jar(dir, path)})
		}
		return err
	})
	return found, err
}

// jar tells why one may not be used: by its pom or a pom above it, and by the texts within.
func jar(root, path string) string {
	if problem := inside(path); problem != "" {
		return problem
	}
	// A jar for one platform shares the pom of the others.
	poms, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.pom"))
	if err != nil || len(poms) == 0 {
		return "without a pom"
	}
	for at, depth := poms[0], 0; depth < 10; depth++ {
		one, err := read(at)
		if err != nil {
			return err.Error()
		}
		if len(one.Licences) > 0 {
			var all []string
			for _, licence := range one.Licences {
				all = append(all, licence.Name+" "+licence.URL)
			}
			return names(all)
		}
		above := one.Parent
		if above.Artifact == "" {
			break
		}
		group := strings.ReplaceAll(above.Group, ".", string(filepath.Separator))
		at = filepath.Join(root, group, above.Artifact, above.Version, above.Artifact+"-"+above.Version+".pom")
	}
	return "names no licence in its pom or those above"
}

func read(path string) (pom, error) {
	var one pom
	bytes, err := os.ReadFile(path)
	if err == nil {
		decoder := xml.NewDecoder(strings.NewReader(string(bytes)))
		// Some are declared as ISO-8859-1; what is read here is ASCII.
		decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
		err = decoder.Decode(&one)
	}
	if err != nil {
		return one, fmt.Errorf("%s: %w", path, err)
	}
	return one, nil
}

// inside tells of a text in the jar that forbids its use.
func inside(path string) string {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return err.Error()
	}
	defer archive.Close()
	for _, file := range archive.File {
		folder, name := filepath.Split(file.Name)
		if (folder != "META-INF/" && folder != "") || !isLicence(name) || file.FileInfo().IsDir() {
			continue
		}
		opened, err := file.Open()
		if err != nil {
			return err.Error()
		}
		bytes, err := io.ReadAll(opened)
		opened.Close()
		if err != nil {
			return err.Error()
		}
		if problem := text(string(bytes)); problem != "" && !strings.Contains(problem, "not known here") {
			return problem
		}
	}
	return ""
}
