// Command licences checks that every Go module that is linked into a test server, and every jar that one loads, is under a
// free licence: none under the AGPL, the SSPL or a vendor's own terms, none without a licence.
//
//	licences go DIR PACKAGE...   the modules that these packages of the module in DIR are built from
//	licences jars DIR            the jars below DIR, each beside its pom as in a Maven repository
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: licences go DIR PACKAGE... | licences jars DIR")
		os.Exit(2)
	}
	var found []part
	var err error
	switch os.Args[1] {
	case "go":
		found, err = modules(os.Args[2], os.Args[3:])
	case "jars":
		found, err = jars(os.Args[2])
	default:
		err = fmt.Errorf("%s: go or jars", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bad := 0
	for _, one := range found {
		if one.problem != "" {
			bad++
			fmt.Printf("%s: %s\n", one.name, one.problem)
		}
	}
	fmt.Printf("%s: %d of %d under licences that tests may use\n", os.Args[2], len(found)-bad, len(found))
	if bad > 0 || len(found) == 0 {
		os.Exit(1)
	}
}

// part is a module or a jar, and why it may not be used.
type part struct{ name, problem string }
