// The stack of a goroutine while a panic is under way, while one is recovered, and after it; and in a Goexit.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

func look(what string) {
	os.Stdout.WriteString(what + "\n" + strings.TrimRight(string(debug.Stack()), "\n") + "\n\n")
}

func fails(n int) {
	if n == 0 {
		panic("oops")
	}
	fails(n - 1)
}

func passes() {
	defer func() { look("passing") }()
	fails(2)
}

func recovers() {
	defer func() {
		recover()
		look("recovered")
	}()
	passes()
}

func leaves(done chan int) {
	defer func() {
		look("leaving")
		close(done)
	}()
	runtime.Goexit()
}

func worker(done chan int) {
	look("before")
	recovers()
	look("after")
	close(done)
}

func main() {
	done := make(chan int)
	go worker(done)
	<-done
	left := make(chan int)
	go leaves(left)
	<-left
}
