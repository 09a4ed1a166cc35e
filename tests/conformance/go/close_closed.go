// A channel closed twice.
package main

func closer(ch chan int) {
	close(ch)
	close(ch)
}

func main() {
	go closer(make(chan int))
	select {}
}
