// Goexit runs what was deferred, innermost first, and ends its goroutine only.
package main

import (
	"fmt"
	"runtime"
)

func inner(done chan string) {
	defer func() { done <- "inner" }()
	runtime.Goexit()
}

func outer(done chan string) {
	defer close(done)
	defer func() { done <- "outer" }()
	inner(done)
	done <- "not reached"
}

func main() {
	done := make(chan string)
	go outer(done)
	for what := range done {
		fmt.Println(what)
	}
}
