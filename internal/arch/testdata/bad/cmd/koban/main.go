package main

import (
	_ "net/http/pprof" // want wiring
	. "strings"        // want wiring
)

var loud = ToUpper("koban")

func main() { println(loud) }
