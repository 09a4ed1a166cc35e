// Everybody waits for a neighbour: a full buffer, an empty one, and a chain of calls.
package main

import "fmt"

func fill(ch chan<- int) {
	for i := range 4 {
		ch <- i
	}
}

func left(a, b chan int) {
	<-a
	b <- 1
}

func right(a, b chan int) {
	<-b
	a <- 1
}

func ask(ch chan int) int {
	return wait(ch)
}

func wait(ch chan int) int {
	return <-ch
}

func main() {
	full := make(chan int, 2)
	a, b := make(chan int), make(chan int, 3)
	go fill(full)
	go left(a, b)
	go right(a, b)
	fmt.Println(ask(make(chan int, 1)))
}
