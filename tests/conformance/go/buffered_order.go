// Waiting senders and receivers are served in the order they came; what is in a buffer too.
package main

import (
	"fmt"
	"runtime"
)

var order []string

func sender(ch chan int, n int) {
	ch <- n
	order = append(order, fmt.Sprint("sent ", n))
}

func receiver(ch chan int, n int) {
	v, ok := <-ch
	order = append(order, fmt.Sprint("receiver ", n, ": ", v, " ", ok))
}

func main() {
	ch := make(chan int, 2)
	for n := range 5 {
		go sender(ch, n)
		runtime.Gosched()
	}
	fmt.Println(len(ch), cap(ch))
	for range 5 {
		order = append(order, fmt.Sprint("got ", <-ch))
	}
	runtime.Gosched()
	for n := range 4 {
		go receiver(ch, n)
		runtime.Gosched()
	}
	ch <- 10
	ch <- 11
	close(ch)
	for range 3 {
		runtime.Gosched()
	}
	for _, line := range order {
		fmt.Println(line)
	}
}
