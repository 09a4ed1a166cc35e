// A select with a send on a closed channel.
package main

func selecter(a, b chan int) {
	close(b)
	select {
	case <-a:
	case b <- 1:
	}
}

func main() {
	go selecter(make(chan int), make(chan int))
	select {}
}
