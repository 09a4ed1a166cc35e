// Who goes on first after each rendezvous, seen by all three who take part.
package main

import "fmt"

var order []string

func note(who string, n int) {
	order = append(order, fmt.Sprint(who, " ", n))
}

func producer(ch chan int) {
	for n := range 5 {
		note("sends", n)
		ch <- n
		note("sent", n)
	}
	close(ch)
}

func forwarder(from, to chan int) {
	for n := range from {
		note("forwards", n)
		to <- n
	}
	close(to)
}

func main() {
	a, b := make(chan int), make(chan int)
	go producer(a)
	go forwarder(a, b)
	for n := range b {
		note("got", n)
	}
	for _, line := range order {
		fmt.Println(line)
	}
}
