// A thousand goroutines in a row, each adding one to what its neighbour hands it.
package main

import (
	"fmt"
	"runtime"
)

func link(left, right chan int) {
	left <- 1 + <-right
}

func main() {
	leftmost := make(chan int)
	left := leftmost
	for range 1000 {
		right := make(chan int)
		go link(left, right)
		left = right
	}
	fmt.Println(runtime.NumGoroutine())
	go func() { left <- 1 }()
	fmt.Println(<-leftmost)
	runtime.Gosched()
	fmt.Println(runtime.NumGoroutine())
}
