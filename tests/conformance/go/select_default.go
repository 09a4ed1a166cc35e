// Trying without waiting: full and empty buffers, nobody there, somebody there, closed.
package main

import (
	"fmt"
	"runtime"
)

func trySend(ch chan int, v int) bool {
	select {
	case ch <- v:
		return true
	default:
		return false
	}
}

func tryRecv(ch chan int) string {
	select {
	case v, ok := <-ch:
		return fmt.Sprint(v, " ", ok)
	default:
		return "nothing"
	}
}

func main() {
	buffered := make(chan int, 2)
	for i := range 4 {
		fmt.Println("send", i, trySend(buffered, i))
	}
	for range 3 {
		fmt.Println("recv", tryRecv(buffered))
	}

	ch := make(chan int)
	fmt.Println("nobody", trySend(ch, 1), tryRecv(ch))
	done := make(chan bool)
	go func() {
		fmt.Println("received", <-ch)
		done <- true
	}()
	runtime.Gosched()
	fmt.Println("a receiver waits", trySend(ch, 2))
	<-done
	go func() { ch <- 3 }()
	runtime.Gosched()
	fmt.Println("a sender waits", tryRecv(ch))

	close(buffered)
	fmt.Println("closed", tryRecv(buffered))
}
