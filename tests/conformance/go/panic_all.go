// A panic that shows all goroutines, in the order they were started, the failing one first.
package main

import "runtime/debug"

func waits(ch chan int) {
	<-ch
}

func inner(ch chan int) {
	select {
	case ch <- 1:
	case <-make(chan int):
	}
}

func outer(ch chan int) {
	inner(ch)
}

func fails(start chan int) {
	<-start
	panic("ValueError: oops")
}

func main() {
	debug.SetTraceback("all")
	start := make(chan int)
	go waits(make(chan int))
	go fails(start)
	go outer(make(chan int))
	start <- 1
	waits(make(chan int))
}
