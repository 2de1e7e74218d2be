package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	apache = "                                 Apache License\n                           Version 2.0, January 2004\n"
	mit    = "Copyright (c) 2020 Somebody\n\nPermission is hereby granted, free of charge, to any person obtaining a\ncopy of this software"
	agpl   = "                    GNU AFFERO GENERAL PUBLIC LICENSE\n                       Version 3, 19 November 2007\n"
	sspl   = "Server Side Public\nLicense\n VERSION 1, OCTOBER 16, 2018\n"
	vendor = "Elastic License 2.0\n\nURL: https://www.elastic.co/licensing/elastic-license\n"
	mpl    = "Mozilla Public License Version 2.0\n... \"Secondary License\" means the GNU General Public License, Version 2.0, the GNU Lesser General Public License, Version 2.1, the GNU Affero General Public License, Version 3.0"
)

func TestAModuleNeedsAFreeLicenceAndNoOtherBesideIt(t *testing.T) {
	for _, row := range []struct {
		name    string
		files   map[string]string
		problem string
	}{
		{"Apache-2.0", map[string]string{"LICENSE": apache}, ""},
		{"MIT", map[string]string{"LICENSE.md": mit}, ""},
		{"BSD, quoted", map[string]string{"LICENSE.txt": "Under this licence:\n\n> Redistribution and use in source and binary forms, with or\n> without modification, are permitted\n"}, ""},
		{"MPL-2.0", map[string]string{"LICENSE": mpl}, ""},
		{"AGPL", map[string]string{"LICENSE": agpl}, "under AGPL"},
		{"AGPL in a COPYING", map[string]string{"COPYING": agpl}, "under AGPL"},
		{"SSPL", map[string]string{"LICENSE.txt": sspl}, "under SSPL"},
		{"a vendor's own", map[string]string{"LICENSE": vendor}, "under Elastic's own terms"},
		{"Apache-2.0 with AGPL beside it", map[string]string{"LICENSE": apache, "LICENSE_AGPL": agpl}, "under AGPL"},
		{"none", map[string]string{"README.md": apache}, "without a licence"},
		{"one that nobody knows", map[string]string{"LICENSE": "All rights reserved."}, "not known here"},
	} {
		dir := t.TempDir()
		for name, content := range row.files {
			write(t, filepath.Join(dir, name), content)
		}
		compare(t, row.name, module(dir), row.problem)
	}
}

// A module under the AGPL among those that a program is linked from, as `go list` finds it.
func TestAProgramThatLinksAModuleUnderTheAgplIsFound(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module a\n\ngo 1.24\n\nrequire example.invalid/b v0.0.0\n\nreplace example.invalid/b => ./b\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nimport _ \"example.invalid/b\"\n\nfunc main() {}\n")
	write(t, filepath.Join(dir, "b", "go.mod"), "module example.invalid/b\n\ngo 1.24\n")
	write(t, filepath.Join(dir, "b", "b.go"), "package b\n")
	write(t, filepath.Join(dir, "b", "LICENSE"), agpl)
	found, err := modules(dir, []string{"."})
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	compare(t, found[0].name, found[0].problem, "under AGPL")
}

func TestAJarIsKnownByItsPomThePomsAboveAndTheTextWithin(t *testing.T) {
	licence := func(names ...string) string {
		all := ""
		for _, name := range names {
			all += "<license><name>" + name + "</name></license>"
		}
		return "<project><licenses>" + all + "</licenses></project>"
	}
	above := "<project><parent><groupId>g.h</groupId><artifactId>p</artifactId><version>2</version></parent></project>"
	for _, row := range []struct{ name, pom, parent, text, problem string }{
		{"Apache-2.0", licence("The Apache Software License, Version 2.0"), "", apache, ""},
		{"a choice", licence("LGPL-2.1-or-later", "Apache-2.0"), "", "", ""},
		{"from above", above, licence("BSD-3-Clause"), "", ""},
		{"three that are none", licence("Elastic License 2.0", "Server Side Public License", "GNU Affero General Public License"), "", "", "under Elastic License 2.0"},
		{"SSPL", licence("SSPL-1.0"), "", "", "under SSPL"},
		{"none", "<project/>", "", "", "names no licence"},
		{"none above", above, "<project/>", "", "names no licence"},
		{"another text within", licence("Apache-2.0"), "", agpl, "under AGPL"},
	} {
		root := t.TempDir()
		path := filepath.Join(root, "g", "h", "a", "1", "a-1.jar")
		write(t, filepath.Join(filepath.Dir(path), "a-1.pom"), row.pom)
		write(t, filepath.Join(root, "g", "h", "p", "2", "p-2.pom"), row.parent)
		write(t, path, "")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		archive := zip.NewWriter(file)
		inner, err := archive.Create("META-INF/LICENSE")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inner.Write([]byte(row.text)); err != nil {
			t.Fatal(err)
		}
		archive.Close()
		file.Close()
		found, err := jars(root)
		if err != nil || len(found) != 1 {
			t.Fatalf("%v %v", found, err)
		}
		compare(t, row.name, found[0].problem, row.problem)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, name, found, wanted string) {
	t.Helper()
	if (wanted == "") != (found == "") || !strings.Contains(found, wanted) {
		t.Errorf("%s: %q, wanted %q", name, found, wanted)
	}
}
