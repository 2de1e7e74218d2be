package main

import (
	"fmt"
	"strings"
)

// forbidden are words of licences that keep a program out, whatever else stands there.
var forbidden = []struct{ words, name string }{
	{"gnu affero general public license", "AGPL"},
	{"agpl", "AGPL"},
	{"server side public license", "SSPL"},
	{"sspl", "SSPL"},
	{"elastic license", "Elastic's own terms"},
	{"business source license", "BUSL"},
	{"commons clause", "Commons Clause"},
	{"confluent community license", "Confluent's own terms"},
	{"functional source license", "FSL"},
	{"redis source available", "Redis' own terms"},
	{"timescale license", "Timescale's own terms"},
}

// free are words by which the texts of free licences are known.
var free = []string{
	"apache license version 2.0",
	"permission is hereby granted, free of charge, to any person obtaining a copy",
	"redistribution and use in source and binary forms, with or without modification, are permitted",
	"redistribution and use in source and binary forms, with or without modification, is permitted",
	"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee",
	"permission to use, copy, modify, and distribute this software for any purpose with or without fee",
	"mozilla public license version 2.0",
	"mozilla public license, version 2.0",
	"this is free and unencumbered software released into the public domain",
	"creative commons legal code cc0 1.0 universal",
	"eclipse public license - v 2.0",
	// What a notice that stands in for the text says.
	"licensed under the apache license, version 2.0",
	"http://www.apache.org/licenses/license-2.0",
}

// freeNames are how poms name such licences.
var freeNames = []string{
	"apache", "mit", "bsd", "isc", "mozilla public license", "mpl", "public domain", "cc0", "eclipse public license",
	"eclipse distribution license", "epl", "edl", "unlicense", "zlib", "lgpl", "gnu lesser general public license", "unicode",
}

// text tells why a licence in full may not be used; "" if it may.
func text(full string) string {
	// Without line breaks, whatever the width, and without the marks of a quotation.
	plain := strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(full, "\n>", "\n")), " "))
	for _, one := range forbidden {
		// Short names stand in other texts by chance, or in lists of what is compatible.
		if len(one.words) > 5 && strings.Contains(plain, one.words) && !mentioned(plain, one.words) {
			return "under " + one.name
		}
	}
	for _, words := range free {
		if strings.Contains(plain, words) {
			return ""
		}
	}
	return fmt.Sprintf("under a licence that is not known here: %.80q", plain)
}

// mentioned is whether a text only names the licence: the MPL lists the AGPL among its secondary licences.
func mentioned(plain, words string) bool {
	return strings.HasPrefix(plain, "mozilla public license") && words == "gnu affero general public license"
}

// names tells why none of the licences that a pom names may be used; "" if one may: they are for the user to choose from.
func names(all []string) string {
	if len(all) == 0 {
		return "names no licence"
	}
	for _, name := range all {
		if isFree(strings.ToLower(name)) {
			return ""
		}
	}
	return "under " + strings.Join(all, ", ")
}

func isFree(name string) bool {
	for _, one := range forbidden {
		if strings.Contains(name, one.words) {
			return false
		}
	}
	for _, word := range freeNames {
		for _, part := range []string{" ", "-", ",", "/", "(", "."} {
			name = strings.ReplaceAll(name, part, " ")
		}
		if strings.Contains(" "+name+" ", " "+word+" ") || (len(word) > 4 && strings.Contains(name, word)) {
			return true
		}
	}
	return false
}
