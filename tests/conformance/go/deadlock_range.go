// The producers are done, but nobody has closed the channel.
package main

import "fmt"

func produce(ch chan<- int, done chan<- bool) {
	for i := range 3 {
		ch <- i
	}
	done <- true
}

func main() {
	ch, done := make(chan int), make(chan bool)
	go produce(ch, done)
	for v := range ch {
		fmt.Println(v)
	}
	<-done
}
