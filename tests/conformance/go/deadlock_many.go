// A deadlock of several goroutines, each of which waits for something else.
package main

import "runtime"

func receiver(ch chan int) {
	<-ch
}

func sender(ch chan int) {
	ch <- 1
}

func selecter(a, b chan int) {
	select {
	case <-a:
	case b <- 1:
	}
}

func nobody() {
	select {}
}

func locked(ch chan int) {
	runtime.LockOSThread()
	<-ch
}

func main() {
	go receiver(make(chan int))
	go sender(make(chan int))
	go selecter(make(chan int), make(chan int))
	go nobody()
	go locked(make(chan int))
	<-make(chan int)
}
