// A goroutine that is locked to its thread fails: the header does not show the lock.
package main

import "runtime"

func work(ch chan int) {
	runtime.LockOSThread()
	<-ch
	panic("ValueError: on its own thread")
}

func main() {
	ch := make(chan int)
	go work(ch)
	ch <- 1
	select {}
}
