// Closing a channel starts everybody who waits for it, in the order in which they came.
package main

import (
	"fmt"
	"runtime"
)

func main() {
	start, order := make(chan bool), make(chan int, 10)
	for i := range 6 {
		go func() {
			<-start
			order <- i
		}()
		runtime.Gosched()
	}
	close(start)
	for range 6 {
		fmt.Println(<-order)
	}
	_, ok := <-start
	fmt.Println("again", ok)
}
