// Goexit cannot be recovered; it ends one goroutine from any depth, and its loop with it.
package main

import (
	"fmt"
	"runtime"
)

func deep(n int, out chan<- string) {
	defer func() { out <- fmt.Sprint("deferred ", n) }()
	if n == 0 {
		runtime.Goexit()
	}
	deep(n-1, out)
	out <- "not reached"
}

func consumer(in <-chan int, out chan<- string) {
	defer close(out)
	for v := range in {
		if v == 3 {
			deep(2, out)
		}
		out <- fmt.Sprint("value ", v)
	}
	out <- "not reached"
}

func main() {
	in, out := make(chan int, 5), make(chan string)
	for i := range 5 {
		in <- i
	}
	go consumer(in, out)
	for line := range out {
		fmt.Println(line)
	}
	fmt.Println("left in the queue", len(in))
	runtime.Gosched()
	fmt.Println("goroutines", runtime.NumGoroutine())
}
