// A channel that is closed while somebody waits to send on it.
package main

import "runtime"

func sender(ch chan int) {
	ch <- 1
}

func main() {
	ch := make(chan int)
	go sender(ch)
	runtime.Gosched()
	close(ch)
	select {}
}
