// A send on a channel that is closed.
package main

func sender(ch chan int) {
	close(ch)
	ch <- 1
}

func parent(ch chan int) {
	go sender(ch)
}

func main() {
	go parent(make(chan int))
	select {}
}
