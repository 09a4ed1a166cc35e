// Goroutines that give way to each other take turns.
package main

import (
	"fmt"
	"runtime"
)

var order []string

func worker(name string, done chan bool) {
	for n := range 4 {
		order = append(order, fmt.Sprint(name, n))
		runtime.Gosched()
	}
	done <- true
}

func main() {
	done := make(chan bool)
	for _, name := range []string{"a", "b", "c"} {
		go worker(name, done)
	}
	for range 3 {
		<-done
	}
	fmt.Println(order)
}
