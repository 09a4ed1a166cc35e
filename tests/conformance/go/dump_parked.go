// The stacks of goroutines that wait, taken by one that runs; and of one that has not begun.
package main

import (
	"fmt"
	"runtime"
	"time"
)

func receiver(ch chan int) {
	<-ch
}

func sender(ch chan int) {
	ch <- 1
}

func selecter(a, b chan int) {
	select {
	case <-a:
	case b <- 1:
	}
}

func nobody() {
	select {}
}

func sleeper() {
	time.Sleep(time.Hour)
}

func inner(ch chan int) {
	<-ch
}

func middle(ch chan int) {
	inner(ch)
}

func outer(ch chan int) {
	middle(ch)
}

func dump() {
	buf := make([]byte, 1<<16)
	fmt.Print(string(buf[:runtime.Stack(buf, true)]))
}

func main() {
	go receiver(make(chan int))
	go sender(make(chan int))
	go selecter(make(chan int), make(chan int))
	go nobody()
	go sleeper()
	go outer(make(chan int))
	time.Sleep(20 * time.Millisecond)
	go nobody()
	dump()
}
