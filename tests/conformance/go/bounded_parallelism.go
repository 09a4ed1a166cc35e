// A buffered channel as a semaphore: never more than three at work, and three at once.
package main

import (
	"fmt"
	"runtime"
)

func main() {
	slots, done := make(chan bool, 3), make(chan int)
	running, most := 0, 0
	for i := range 12 {
		go func() {
			slots <- true
			running++
			most = max(most, running)
			for range 5 {
				runtime.Gosched()
			}
			running--
			<-slots
			done <- i
		}()
	}
	sum := 0
	for range 12 {
		sum += <-done
	}
	fmt.Println("most at once", most)
	fmt.Println("sum", sum, "left", running, len(slots))
}
